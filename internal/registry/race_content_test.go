package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

var errProtected = errors.New("the tag is protected")

// protected is a guard that lets no tag go.
func protected(e registry.Effect) error {
	if e.Action == registry.DeleteTag {
		return errProtected
	}
	return nil
}

// putTag pushes a manifest by tag.
func (f *fixture) putTag(t *testing.T, repo, tag string, body []byte) error {
	t.Helper()
	_, err := f.PutManifest(t.Context(), registry.ManifestPut{
		Repo: repo, Reference: oci.Reference{Tag: tag}, Body: body, By: tag, Guard: anything,
	})
	return err
}

// An image under a protected tag, and the delete of what it needs, at once: one of
// them is refused, whatever the order. An image never comes into force without
// its layer, nor loses it under its tag.
func TestAPushOrTheDeleteOfWhatItNeeds(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, open opener) {
		for what, prepare := range map[string]func(t *testing.T, f *fixture, tag string) (push, remove func() error){
			"blob": blobOfATag, "manifest": partOfATag,
		} {
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				f := open(t)
				duel(t, 40, func(round int) bool {
					tag := fmt.Sprint("v", round)
					push, remove := prepare(t, f, tag)
					var pushed, removed error
					f.against(round, func() { pushed = push() }, func() { removed = remove() })
					wantOneOf(t, "push", pushed, oci.ManifestBlobUnknown)
					if removed != nil && !errors.Is(removed, errProtected) {
						t.Errorf("delete: %v", removed)
					}
					if (pushed == nil) == (removed == nil) {
						t.Errorf("push: %v; delete: %v; want one of them", pushed, removed)
					}
					_, err := f.Manifest(t.Context(), "a", oci.Reference{Tag: tag})
					if (err == nil) != (pushed == nil) {
						t.Errorf("push: %v, and then the tag: %v", pushed, err)
					}
					return pushed == nil
				})
			})
		}
	})
}

// blobOfATag returns a push of an image, and the delete of its layer.
func blobOfATag(t *testing.T, f *fixture, tag string) (push, remove func() error) {
	t.Helper()
	d := f.push(t, "layer "+tag, "a")
	body := imageOf(tag, d, len("layer "+tag))
	return func() error { return f.putTag(t, "a", tag, body) },
		func() error { return f.DeleteBlob(t.Context(), "a", d, protected) }
}

// partOfATag returns a push of an index, and the delete of a manifest that is in it.
func partOfATag(t *testing.T, f *fixture, tag string) (push, remove func() error) {
	t.Helper()
	part := index("part of " + tag)
	d := f.put(t, "a", part)
	body := indexOf(v1.MediaTypeImageIndex, part)
	return func() error { return f.putTag(t, "a", tag, body) }, func() error {
		ref := oci.Reference{Digest: d}
		_, err := f.DeleteManifest(t.Context(), registry.ManifestDelete{Repo: "a", Reference: ref, Guard: protected})
		return err
	}
}

// A mount, and the delete of its source, at once: the delete counts there, and
// who was told that it holds the blob can read it.
func TestAMountAndTheDeleteOfItsSource(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, open opener) {
		f := open(t)
		duel(t, 40, func(round int) bool {
			content := fmt.Sprint("content ", round)
			d := f.push(t, content, "source")
			var mounted bool
			f.against(round, func() {
				var err error
				if mounted, err = f.Mount(t.Context(), "a", d, "source", anything); err != nil {
					t.Errorf("mount: %v", err)
				}
			}, func() {
				if err := f.DeleteBlob(t.Context(), "source", d, anything); err != nil {
					t.Errorf("delete: %v", err)
				}
			})
			_, err := f.BlobSize(t.Context(), "source", d)
			wantKind(t, "the source", err, oci.BlobUnknown)
			if !mounted {
				_, err := f.BlobSize(t.Context(), "a", d)
				wantKind(t, "what was not mounted", err, oci.BlobUnknown)
			} else if got := f.read(t, "a", d); got != content {
				t.Errorf("mounted is %q", got)
			}
			return mounted
		})
	})
}

// Images come by push and by mount, and go by tag, by manifest and by layer, all at
// once. When it is quiet, each tag has its manifest; and each manifest that is
// pushed then has its layer, or is refused.
func TestImagesThatComeAndGo(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, open opener) {
		f := open(t)
		const content = "layer"
		d := f.push(t, content, "source", "a")
		images := [][]byte{imageOf("0", d, len(content)), imageOf("1", d, len(content)), imageOf("2", d, len(content))}
		tag := func(i int) string { return fmt.Sprint("v", i%4) }
		put := func(i int) {
			wantOneOf(t, "put", f.putTag(t, "a", tag(i), images[i%3]), oci.ManifestBlobUnknown)
		}
		remove := func(ref oci.Reference) {
			_, err := f.DeleteManifest(t.Context(), registry.ManifestDelete{Repo: "a", Reference: ref, Guard: anything})
			wantOneOf(t, "delete", err, oci.ManifestUnknown)
		}
		together(
			25, put, put,
			func(i int) {
				if err := f.pushBySession(t.Context(), "a", content); err != nil {
					t.Errorf("push: %v", err)
				}
				put(i)
			},
			func(i int) {
				if ok, err := f.Mount(t.Context(), "a", d, "source", anything); !ok || err != nil {
					t.Errorf("mounted %t: %v", ok, err)
				}
				put(i)
			},
			func(i int) { remove(oci.Reference{Tag: tag(i)}) },
			func(i int) { remove(oci.Reference{Digest: oci.SHA256.FromBytes(images[i%3])}) },
			func(int) {
				wantOneOf(t, "delete", f.DeleteBlob(t.Context(), "a", d, anything), oci.BlobUnknown)
			},
			func(i int) {
				m, err := f.Manifest(t.Context(), "a", oci.Reference{Tag: tag(i)})
				if err == nil && m.Digest != oci.SHA256.FromBytes(m.Body) {
					t.Errorf("the manifest of %s is %s", m.Digest, m.Body)
				}
				wantOneOf(t, "read", err, oci.ManifestUnknown)
			},
		)
		f.tags(t, "a") // reads the manifest of each
		if got := f.read(t, "source", d); got != content {
			t.Errorf("the layer is %q", got)
		}
		_, held := f.BlobSize(t.Context(), "a", d)
		if err := f.putTag(t, "a", "last", images[0]); (err == nil) != (held == nil) {
			t.Errorf("push: %v, where the layer: %v", err, held)
		}
		if files := f.files(t); len(files) != 1 {
			t.Errorf("files are %v, want one", files)
		}
	})
}

// What is acknowledged is what everybody sees from then on, however many read the
// same meanwhile, out of memory or not.
func TestAcknowledgedIsSeen(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, open opener) {
		f := open(t)
		var over atomic.Bool
		var readers sync.WaitGroup
		ref := oci.Reference{Tag: "v1"}
		for range 4 {
			readers.Go(func() {
				for !over.Load() {
					_, err := f.Manifest(t.Context(), "a", ref)
					wantOneOf(t, "read", err, oci.ManifestUnknown, oci.NameUnknown)
				}
			})
		}
		defer readers.Wait()
		defer over.Store(true)
		for round := range 60 {
			body := index(fmt.Sprint(round))
			d := oci.SHA256.FromBytes(body)
			if err := f.putTag(t, "a", "v1", body); err != nil {
				t.Fatal(err)
			}
			if m, err := f.Manifest(t.Context(), "a", ref); err != nil || m.Digest != d {
				t.Errorf("after the push of %s the tag is %s: %v", d, m.Digest, err)
			}
			if round%3 != 0 {
				continue
			}
			_, err := f.DeleteManifest(t.Context(), registry.ManifestDelete{Repo: "a", Reference: oci.Reference{Digest: d}, Guard: anything})
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Manifest(t.Context(), "a", ref)
			wantKind(t, "the tag, after the delete of its manifest", err, oci.ManifestUnknown)
		}
	})
}

// Many move a tag: it ends at the last move, and the history has each of them, once.
func TestATagMovedByMany(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, open opener) {
		f := open(t)
		const movers, moves = 12, 8
		var want []string
		for i := range movers * moves {
			want = append(want, string(oci.SHA256.FromBytes(index(fmt.Sprint(i)))))
		}
		atOnce(movers, func(i int) {
			for k := range moves {
				if err := f.putTag(t, "a", "v1", index(fmt.Sprint(i*moves+k))); err != nil {
					t.Errorf("move: %v", err)
				}
			}
		})
		history := f.history(t, "v1")
		if len(history) == 0 || history[len(history)-1] != string(f.tags(t, "a")["v1"]) {
			t.Errorf("the tag is at %s, its history ends %v", f.tags(t, "a")["v1"], history)
		}
		slices.Sort(history)
		slices.Sort(want)
		if !slices.Equal(history, want) {
			t.Errorf("the history has %d entries, and not each of %d moves once", len(history), len(want))
		}
	})
}

// history returns where a tag has pointed, oldest first.
func (f *fixture) history(t *testing.T, tag string) (digests []string) {
	t.Helper()
	db, err := f.sql()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // it is only read
	var all string
	err = db.QueryRowContext(t.Context(), `SELECT string_agg(digest, ' ' ORDER BY id) FROM tag_history WHERE name = '`+tag+`'`).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(all)
}

// Of many that move a tag from where they saw it, one does in each round; the others
// learn it, and change nothing.
func TestOneOfManyMovesATagFromWhereItWas(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, open opener) {
		f := open(t)
		at := f.put(t, "a", index("first"), "v1")
		for round := range 20 {
			var mu sync.Mutex
			var winners []oci.Digest
			atOnce(8, func(i int) {
				pushed, err := f.PutManifest(t.Context(), registry.ManifestPut{
					Repo: "a", Reference: oci.Reference{Tag: "v1"}, Body: index(fmt.Sprint(round, " ", i)),
					If: registry.Precondition{Match: []oci.Digest{at}}, Guard: anything,
				})
				wantOneOf(t, "move", err, oci.PreconditionFailed)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					winners = append(winners, pushed.Digest)
				}
			})
			got := f.tags(t, "a")["v1"]
			if len(winners) != 1 || winners[0] != got {
				t.Fatalf("winners are %v, the tag is at %s", winners, got)
			}
			at = got
		}
		if n := len(f.history(t, "v1")); n != 21 {
			t.Errorf("the history has %d entries, want 21", n)
		}
	})
}
