package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// pushed is what the server has acknowledged.
type pushed struct {
	mu        sync.Mutex
	blobs     [][]byte
	manifests map[string][]byte // by tag
}

func (p *pushed) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.manifests)
}

// pushOn pushes small images until the server is gone.
func (p *pushed) pushOn(ctx context.Context, c *client, who int) {
	for n := 0; ; n++ {
		blob := randomBytes(20_000 + n)
		a, err := c.try(ctx, http.MethodPost, "/v2/app/blobs/uploads/?digest="+digestOf(blob), bytes.NewReader(blob))
		if err != nil || a.status != http.StatusCreated {
			return
		}
		p.mu.Lock()
		p.blobs = append(p.blobs, blob)
		p.mu.Unlock()
		tag, m := fmt.Sprintf("v%d.%d", who, n), manifest(blob, 0)
		a, err = c.try(ctx, http.MethodPut, "/v2/app/manifests/"+tag, bytes.NewReader(m), "Content-Type", manifestType)
		if err != nil || a.status != http.StatusCreated {
			return
		}
		p.mu.Lock()
		p.manifests[tag] = m
		p.mu.Unlock()
	}
}

func TestCrashLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, "open: true\n", "--data", data)
	c := newClient(t, s, nil)
	content := randomBytes(4 * chunk)
	resting, running := c.session(t, "app"), c.session(t, "app")
	c.want(t, http.StatusAccepted, http.MethodPatch, resting, bytes.NewReader(content[:chunk]))
	body, _ := slowPatch(t, s, newClient(t, s, nil), running, content[:chunk])

	all := &pushed{manifests: map[string][]byte{}}
	var group sync.WaitGroup
	for who := range 4 {
		group.Go(func() { all.pushOn(t.Context(), c, who) })
	}
	eventually(t, "some pushes", func() bool { return all.count() >= 20 })
	s.Kill()
	_ = body.Close()
	group.Wait()

	again := start(t, "open: true\n", "--data", data)
	c = newClient(t, again, nil)
	for _, blob := range all.blobs {
		c.holds(t, "app", blob)
	}
	for tag, want := range all.manifests {
		if a := c.want(t, http.StatusOK, http.MethodGet, "/v2/app/manifests/"+tag, nil); !bytes.Equal(a.body, want) {
			t.Errorf("manifest %s came back as other bytes", tag)
		}
	}
	if !c.resume(t, resting, content) {
		t.Error("the session that was at rest is gone: only the process has ended, not the machine")
	}
	c.resume(t, running, content)
	if strings.Contains(again.Log(), "level=ERROR") || strings.Contains(again.Log(), "level=WARN msg=\"cannot") {
		t.Errorf("errors after the crash:\n%s", again.Log())
	}
}

// resume goes on with a session from where it stands, and reports whether it was
// still there.
func (c *client) resume(t *testing.T, session string, content []byte) bool {
	t.Helper()
	a := c.do(t, http.MethodGet, session, nil)
	if a.status == http.StatusNotFound {
		return false
	}
	if a.status != http.StatusNoContent {
		t.Fatalf("GET %s: status %d, want 204 or 404\n%s", session, a.status, a.body)
	}
	_, end, _ := strings.Cut(a.header.Get("Range"), "-")
	offset, err := strconv.Atoi(end)
	if err != nil {
		t.Fatalf("Range %q: %v", a.header.Get("Range"), err)
	}
	if offset > 0 {
		offset++ // the range names the last byte; 0-0 is none
	}
	if a = c.do(t, http.MethodPatch, session, bytes.NewReader(content[offset:])); a.status == http.StatusNotFound {
		return false
	}
	c.want(t, http.StatusCreated, http.MethodPut, session+"?digest="+digestOf(content), nil)
	c.holds(t, "app", content)
	return true
}

// Content that no repository holds and no upload goes on with, such as a crash
// leaves between storing and linking, goes after the next start.
func TestWhatACrashLeftIsRemoved(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, "open: true\n", "--data", data)
	held := randomBytes(1000)
	newClient(t, s, nil).push(t, "app", held)
	s.Kill()
	content := func(text string) string {
		name := strings.TrimPrefix(digestOf([]byte(text)), "sha256:")
		file := filepath.Join(data, "blobs", "sha256", name[:2], name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		return file
	}
	young, lost := write(t, content("young"), "young"), write(t, content("lost"), "lost")
	old := time.Now().Add(-2 * time.Hour)
	for _, file := range []string{lost, content(string(held))} {
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	again := start(t, "open: true\n", "--data", data)
	logged(t, again, "removed content that no repository holds", "blobs=1 bytes=4")
	if _, err := os.Stat(lost); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what nobody holds is there: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("what somebody may be about to link: %v", err)
	}
	newClient(t, again, nil).holds(t, "app", held)
}
