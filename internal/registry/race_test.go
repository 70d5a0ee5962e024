package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// atOnce runs fn for 0 to n-1, all let go at the same moment, and waits.
func atOnce(n int, fn func(i int)) {
	begin := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-begin
			fn(i)
		})
	}
	close(begin)
	group.Wait()
}

// wantOneOf fails unless err is none, or of one of the kinds.
func wantOneOf(t *testing.T, what string, err error, kinds ...oci.Kind) {
	t.Helper()
	if got := kindOf(err); got != -1 && !slices.Contains(kinds, got) {
		t.Errorf("%s: %v", what, err)
	}
}

// inPieces is a body that comes in small reads, so that others have their turn
// in between.
func inPieces(content string) io.Reader {
	return struct{ io.Reader }{io.MultiReader(slicesOf(content, 1000)...)}
}

func slicesOf(content string, size int) []io.Reader {
	var parts []io.Reader
	for part := range slices.Chunk([]byte(content), size) {
		parts = append(parts, bytes.NewReader(part))
	}
	return parts
}

// Writers of one session come one after the other: what is in it are whole
// chunks, each of those that were acknowledged and no other.
func TestChunksOfManyWritersAreNeverMixed(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, open opener) {
		const writers, size = 8, 300_000 // larger than what is written at a time
		f := open(t)
		for range 3 {
			key, err := f.StartUpload(t.Context(), "a", "alice", "")
			if err != nil {
				t.Fatal(err)
			}
			ends := make([]int64, writers) // where the session was after each writer's chunk; 0: it lost
			atOnce(writers, func(i int) {
				body := strings.Repeat(string(rune('a'+i)), size)
				end, err := f.AppendUpload(t.Context(), key, registry.Chunk{Start: -1, Length: size, Body: inPieces(body)})
				wantOneOf(t, "append", err, oci.BlobUploadBusy)
				if err == nil {
					ends[i] = end
				}
			})
			want := make([]string, writers) // by place
			won := 0
			for i, end := range ends {
				if end > 0 {
					want[end/size-1] = strings.Repeat(string(rune('a'+i)), size)
					won++
				}
			}
			if won == 0 {
				t.Fatal("nobody could write")
			}
			content := strings.Join(want[:won], "")
			d := oci.SHA256.FromString(content)
			if _, err := f.FinishUpload(t.Context(), key, text(""), d); err != nil {
				t.Fatalf("%d chunks: %v", won, err)
			}
			if got := f.read(t, "a", d); got != content {
				t.Errorf("%d bytes are stored, of other content than the %d of %d chunks", len(got), len(content), won)
			}
		}
	})
}

// Of many that end one session, each with content of its own, exactly one can:
// for its content, and nothing of the others is stored.
func TestOneOfManyEndsASession(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, open opener) {
		const writers = 8
		for round := range 6 {
			t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
				f := open(t)
				key, err := f.StartUpload(t.Context(), "a", "alice", "")
				if err != nil {
					t.Fatal(err)
				}
				contentOf := func(i int) string { return strings.Repeat(fmt.Sprint(round, i), 100_000) }
				var won atomic.Int64
				winner := atomic.Int64{}
				atOnce(writers, func(i int) {
					content := contentOf(i)
					chunk := registry.Chunk{Start: 0, Length: int64(len(content)), Body: inPieces(content)}
					_, err := f.FinishUpload(t.Context(), key, chunk, oci.SHA256.FromString(content))
					wantOneOf(t, "finish", err, oci.BlobUploadBusy, oci.BlobUploadUnknown)
					if err == nil {
						won.Add(1)
						winner.Store(int64(i))
					}
				})
				if won.Load() != 1 {
					t.Fatalf("%d of %d writers ended the session", won.Load(), writers)
				}
				content := contentOf(int(winner.Load()))
				d := oci.SHA256.FromString(content)
				if got := f.read(t, "a", d); got != content {
					t.Errorf("the blob has other content, %d bytes", len(got))
				}
				if files := f.files(t); len(files) != 1 {
					t.Errorf("files besides the winner's: %v", files)
				}
			})
		}
	})
}

// Who cancels and who finishes: one of them. A finish that is acknowledged is not
// undone, and after a cancel nothing is left.
func TestFinishOrCancel(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, open opener) {
		f := open(t)
		for round := range 20 {
			content := fmt.Sprint("content ", round)
			d := oci.SHA256.FromString(content)
			key, err := f.StartUpload(t.Context(), "a", "", "")
			if err != nil {
				t.Fatal(err)
			}
			errs := make([]error, 2)
			atOnce(2, func(i int) {
				if i == 0 {
					_, errs[0] = f.FinishUpload(t.Context(), key, text(content), d)
				} else {
					errs[1] = f.CancelUpload(t.Context(), key)
				}
				wantOneOf(t, "finish or cancel", errs[i], oci.BlobUploadBusy, oci.BlobUploadUnknown)
			})
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Errorf("finish: %v; cancel: %v; want one of them", errs[0], errs[1])
			}
			_, err = f.BlobSize(t.Context(), "a", d)
			if (err == nil) != (errs[0] == nil) {
				t.Errorf("finish: %v, and then the blob: %v", errs[0], err)
			}
		}
		for _, file := range f.files(t) {
			if !strings.HasPrefix(file, "blobs/") {
				t.Errorf("%s stays", file)
			}
		}
	})
}

// Many push the same blob, each into a repository of its own and in each way: all
// hold it afterwards, and it is one file.
func TestTheSameBlobByMany(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, open opener) {
		f := open(t)
		content := strings.Repeat("the same", 100_000)
		d := oci.SHA256.FromString(content)
		repo := func(i int) string { return fmt.Sprint("repo", i) }
		const n = 24
		atOnce(n, func(i int) {
			var err error
			if i%2 == 0 {
				err = f.PushBlob(t.Context(), repo(i), d, int64(len(content)), inPieces(content))
			} else {
				err = f.pushBySession(t.Context(), repo(i), content)
			}
			if err != nil {
				t.Errorf("push into %s: %v", repo(i), err)
			}
		})
		for i := range n {
			if got := f.read(t, repo(i), d); got != content {
				t.Errorf("%s has other content, %d bytes", repo(i), len(got))
			}
		}
		if files := f.files(t); len(files) != 1 {
			t.Errorf("files are %v, want one", files)
		}
	})
}

func (f *fixture) pushBySession(ctx context.Context, repo, content string) error {
	key, err := f.StartUpload(ctx, repo, "", "")
	if err != nil {
		return err
	}
	middle := len(content) / 3
	_, err1 := f.AppendUpload(ctx, key, registry.Chunk{Start: 0, Length: -1, Body: inPieces(content[:middle])})
	last := registry.Chunk{Start: int64(middle), Length: -1, Body: inPieces(content[middle:])}
	_, err2 := f.FinishUpload(ctx, key, last, oci.SHA256.FromString(content))
	return errors.Join(err1, err2)
}

// A writer that gives no sign of life loses the session to the next one, while it
// still writes: whoever wins then, what is stored is what was hashed.
func TestWritersThatLoseTheirLease(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, open opener) {
		const writers = 6
		lost := 0 // sessions, by writers that had begun
		for round := range 4 {
			t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
				f := open(t)
				key, err := f.StartUpload(t.Context(), "a", "alice", "")
				if err != nil {
					t.Fatal(err)
				}
				errs := make([]error, writers)
				contentOf := func(i int) string { return strings.Repeat(fmt.Sprint(round, i), 200_000) }
				atOnce(writers, func(i int) {
					errs[i] = f.finishLate(t, key, contentOf(i))
					wantOneOf(t, "finish", errs[i], oci.BlobUploadBusy, oci.BlobUploadUnknown)
				})
				var stored []string
				for i, err := range errs {
					d := oci.SHA256.FromString(contentOf(i))
					if _, missing := f.BlobSize(t.Context(), "a", d); (err == nil) != (missing == nil) {
						t.Errorf("writer %d: %v; its blob: %v", i, err, missing)
					}
					if err != nil {
						if kindOf(err) == oci.BlobUploadBusy { // only those who had begun return it
							lost++
						}
						continue
					}
					stored = append(stored, "blobs/"+d.Encoded())
					if f.read(t, "a", d) != contentOf(i) {
						t.Errorf("the blob of writer %d has other content", i)
					}
				}
				if len(stored) != 1 {
					t.Errorf("%d writers have ended one session", len(stored))
				}
				if files := f.files(t); !slices.Equal(files, stored) {
					t.Errorf("files are %v, want %v", files, stored)
				}
			})
		}
		if lost == 0 {
			t.Error("nobody has lost a session in the middle: that shows nothing")
		}
	})
}

// finishLate ends a session, as soon as nobody else writes to it, by a body during
// which the lease ends again and again.
func (f *fixture) finishLate(t *testing.T, key registry.SessionKey, content string) error {
	body := &lateBody{f: f, Reader: inPieces(content)}
	for {
		_, err := f.FinishUpload(t.Context(), key, registry.Chunk{Start: 0, Length: -1, Body: body}, oci.SHA256.FromString(content))
		if body.begun || kindOf(err) != oci.BlobUploadBusy {
			return err
		}
	}
}

// lateBody is a body during which time passes.
type lateBody struct {
	io.Reader
	f     *fixture
	begun bool
}

func (b *lateBody) Read(p []byte) (int, error) {
	b.begun = true
	b.f.pass(2 * time.Minute)
	return b.Reader.Read(p)
}
