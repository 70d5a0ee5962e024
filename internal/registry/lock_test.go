package registry_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// stepsMeta writes down when blobs are locked and unlocked, and links made and
// committed.
type stepsMeta struct {
	meta.Store

	mu    sync.Mutex // an update may run on another goroutine
	steps []string
}

func (m *stepsMeta) note(step string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps = append(m.steps, step)
}

// taken returns the steps since it was called last.
func (m *stepsMeta) taken() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	steps := m.steps
	m.steps = nil
	return steps
}

func (m *stepsMeta) LockBlob(ctx context.Context, d oci.Digest) (func(), error) {
	unlock, err := m.Store.LockBlob(ctx, d)
	m.note("lock " + d.String())
	return func() {
		m.note("unlock " + d.String())
		unlock()
	}, err
}

func (m *stepsMeta) Update(ctx context.Context, fn func(meta.Tx) error) error {
	err := m.Store.Update(ctx, func(tx meta.Tx) error { return fn(stepsTx{tx, m}) })
	m.note("end of update")
	return err
}

type stepsTx struct {
	meta.Tx
	store *stepsMeta
}

func (tx stepsTx) LinkBlob(repo string, d oci.Digest, size int64, now time.Time) error {
	tx.store.note("link " + d.String())
	return tx.Tx.LinkBlob(repo, d, size, now)
}

// Garbage collection removes content under the lock, if it finds no link: so there
// must not be one about to come, whoever makes it.
func TestALinkIsMadeAndCommittedUnderTheLock(t *testing.T) {
	t.Parallel()
	const text = "text"
	d := oci.SHA256.FromString(text)
	for name, link := range map[string]func(ctx context.Context, f *fixture) error{
		"push": func(ctx context.Context, f *fixture) error {
			return f.PushBlob(ctx, "a", d, -1, strings.NewReader(text))
		},
		"push by session": func(ctx context.Context, f *fixture) error { return f.pushBySession(ctx, "a", text) },
		"mount": func(ctx context.Context, f *fixture) error {
			_, err := f.Mount(ctx, "a", d, "source", anything)
			return err
		},
		"mount from anywhere": func(ctx context.Context, f *fixture) error {
			_, err := f.Mount(ctx, "a", d, "", anything)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, registry.Options{})
			store := &stepsMeta{Store: f.meta.Store}
			f.serve(t, store)
			f.push(t, text, "source")
			store.taken()
			if err := link(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			want := []string{"lock " + d.String(), "link " + d.String(), "end of update", "unlock " + d.String()}
			if diff := cmp.Diff(want, store.taken()); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}
