package limits

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/moorgate/moorgate/torture/client"
)

// contents are many large blobs that share the memory of one: each is the same
// block and a number.
type contents struct {
	block  []byte
	hashed hash.Cloner // of the block
}

func newContents(t *testing.T, size int) *contents {
	t.Helper()
	c := &contents{block: client.Random(size)}
	h := sha256.New()
	_, _ = h.Write(c.block)
	c.hashed = h.(hash.Cloner)
	return c
}

func number(i int) []byte { return fmt.Appendf(nil, "%08d", i) }

// reader reads blob i from its beginning.
func (c *contents) reader(i int) io.Reader {
	return io.MultiReader(bytes.NewReader(c.block), bytes.NewReader(number(i)))
}

func (c *contents) digest(t *testing.T, i int) string {
	t.Helper()
	h, err := c.hashed.Clone()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = h.Write(number(i))
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// push pushes blob i with a session, and without saying its length, as docker does.
func (c *contents) push(ctx context.Context, t *testing.T, to *client.Client, i int) error {
	a, err := to.Want(ctx, http.StatusAccepted, http.MethodPost, "/v2/big/app/blobs/uploads/", nil)
	if err != nil {
		return err
	}
	a, err = to.Want(ctx, http.StatusAccepted, http.MethodPatch, a.Header.Get("Location"), c.reader(i))
	if err != nil {
		return err
	}
	_, err = to.Want(ctx, http.StatusCreated, http.MethodPut, a.Header.Get("Location")+"?digest="+c.digest(t, i), nil)
	return err
}

// TestManyPushesFitInLittleMemory pushes all at once, to a server that was told to be
// content with 256 MiB. It is not parallel, for it sets the environment.
func TestManyPushesFitInLittleMemory(t *testing.T) {
	pushes, size, most := 40, 4<<20, uint64(150<<20) // less than all that is pushed
	if client.Full(t) {
		// GOMEMLIMIT is a wish, and about the memory of the Go runtime alone. While it
		// collects, the pushes go on and take more; and the program's own pages, those
		// of the database and what SQLite takes for itself come on top.
		pushes, size, most = 200, 100<<20, 400<<20
	}
	t.Setenv("GOMEMLIMIT", "256MiB")
	s := start(t, "")
	s.works(t)
	before := s.status(t)
	c, blobs := client.New(t, s.URL), newContents(t, size)
	begin := time.Now()
	atOnce(pushes, func(i int) {
		if err := blobs.push(t.Context(), t, c, i); err != nil {
			t.Errorf("push %d: %v", i, err)
		}
	})
	took := time.Since(begin)
	after := s.status(t)
	t.Logf("%d pushes of %d MiB at once: %.0f MiB/s, memory at most %d MiB, %d collections",
		pushes, size>>20, float64(pushes*size>>20)/took.Seconds(), after.PeakBytes>>20, after.Collections-before.Collections)
	if after.PeakBytes > most {
		t.Errorf("the server has taken %d MiB, more than %d MiB", after.PeakBytes>>20, most>>20)
	}
	for i := range pushes { // each whole
		want := fmt.Sprint(size + len(number(i)))
		a, err := c.Want(t.Context(), http.StatusOK, http.MethodHead, "/v2/big/app/blobs/"+blobs.digest(t, i), nil)
		if err != nil || a.Header.Get("Content-Length") != want {
			t.Errorf("blob %d has %s bytes, %v; want %s", i, a.Header.Get("Content-Length"), err, want)
		}
	}
	for _, i := range []int{0, pushes - 1} {
		d := blobs.digest(t, i)
		if got, err := c.Blob(t.Context(), "big/app", d); err != nil || client.Digest(got) != d {
			t.Errorf("blob %d: %d bytes came back, %v; want those of %s", i, len(got), err, d)
		}
	}
	c.HTTP.CloseIdleConnections()
	s.rests(t, before)
}
