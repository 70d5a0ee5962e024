package registry_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// together runs functions at once, some times each, and waits for them.
func together(times int, list ...func(i int)) {
	var all sync.WaitGroup
	for _, fn := range list {
		all.Go(func() {
			for i := range times {
				fn(i)
			}
		})
	}
	all.Wait()
}

// A blob that a repository holds can be read, whoever pushes and deletes it at
// the same time.
func TestPushAndDeleteBlobAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	const content = "text"
	d := f.push(t, content, "source", "a")
	expect := func(what string, err error, kinds ...oci.Kind) {
		for _, kind := range append(kinds, -1) {
			if kindOf(err) == kind {
				return
			}
		}
		t.Errorf("%s: %v", what, err)
	}
	together(
		40,
		func(int) {
			expect("push", f.PushBlob(t.Context(), "a", d, -1, strings.NewReader(content)))
		},
		func(int) {
			key, err := f.StartUpload(t.Context(), "a", "", "")
			expect("start", err)
			_, err = f.FinishUpload(t.Context(), key, text(content), d)
			expect("finish", err)
		},
		func(int) {
			_, err := f.Mount(t.Context(), "a", d, "source", anything)
			expect("mount", err)
		},
		func(int) { expect("delete", f.DeleteBlob(t.Context(), "a", d, anything), oci.BlobUnknown) },
		func(int) {
			c, _, err := f.Blob(t.Context(), "a", d)
			if expect("read", err, oci.BlobUnknown); err != nil {
				return
			}
			defer c.Close() //nolint:errcheck // it was only read
			if got, err := io.ReadAll(c); string(got) != content || err != nil {
				t.Errorf("read %q: %v", got, err)
			}
		},
	)
	f.push(t, content, "a")
	if got := f.read(t, "a", d); got != content {
		t.Errorf("the blob is %q", got)
	}
	if files := f.files(t); len(files) != 1 {
		t.Errorf("files stay: %v", files)
	}
}

// A tag always points to a manifest that is there, whoever pushes and deletes
// manifests at the same time.
func TestPushAndDeleteManifestAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	even, odd := oci.SHA256.FromBytes(index("0")), oci.SHA256.FromBytes(index("1"))
	put := func(i int) {
		body := index(fmt.Sprint(i % 2))
		_, err := f.PutManifest(t.Context(), registry.ManifestPut{Repo: "a", Reference: oci.Reference{Tag: "v1"}, Body: body, Guard: anything})
		if err != nil {
			t.Errorf("push: %v", err)
		}
	}
	put(0)
	together(
		40, put,
		func(i int) {
			d := []oci.Digest{even, odd}[i%2]
			_, err := f.DeleteManifest(t.Context(), registry.ManifestDelete{Repo: "a", Reference: oci.Reference{Digest: d}, By: "", Guard: anything})
			if err != nil && kindOf(err) != oci.ManifestUnknown {
				t.Errorf("delete: %v", err)
			}
		},
		func(int) {
			m, err := f.Manifest(t.Context(), "a", oci.Reference{Tag: "v1"})
			switch {
			case err == nil && m.Digest != oci.SHA256.FromBytes(m.Body):
				t.Errorf("the manifest of %s is %s", m.Digest, m.Body)
			case err != nil && kindOf(err) != oci.ManifestUnknown:
				t.Errorf("read: %v", err)
			}
		},
	)
}

// Of many that want to be the first to push a tag exactly one is.
func TestOnlyOneMakesANewTag(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	var mu sync.Mutex
	winners := map[oci.Digest]bool{}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			pushed, err := f.PutManifest(t.Context(), registry.ManifestPut{
				Repo: "a", Reference: oci.Reference{Tag: "v1"}, Body: index(fmt.Sprint(i)), If: registry.Precondition{Absent: true}, Guard: anything,
			})
			if err != nil {
				wantKind(t, "a loser", err, oci.PreconditionFailed)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			winners[pushed.Digest] = true
		})
	}
	all.Wait()
	if len(winners) != 1 || !winners[f.tags(t, "a")["v1"]] {
		t.Errorf("winners are %v, the tag is %v", winners, f.tags(t, "a"))
	}
}

// Who may make a tag, but not move it, makes it once: whether it is there is
// decided in the transaction that makes it.
func TestAFinalTagIsMadeOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	denied := errors.New("the tag is final")
	guard := func(e registry.Effect) error {
		if e.Action == registry.MoveTag {
			return denied
		}
		return nil
	}
	for round := range 4 {
		tag := fmt.Sprint("v", round)
		made := make([]oci.Digest, 16)
		begin := make(chan struct{})
		var all sync.WaitGroup
		for i := range made {
			all.Go(func() {
				<-begin
				pushed, err := f.PutManifest(t.Context(), registry.ManifestPut{
					Repo: "a", Reference: oci.Reference{Tag: tag}, Body: index(fmt.Sprint(round, " ", i)), Guard: guard,
				})
				switch {
				case err == nil:
					made[i] = pushed.Digest
				case !errors.Is(err, denied):
					t.Errorf("a loser: %v", err)
				}
			})
		}
		close(begin)
		all.Wait()
		made = slices.DeleteFunc(made, func(d oci.Digest) bool { return d == "" })
		if len(made) != 1 || made[0] != f.tags(t, "a")[tag] {
			t.Errorf("%s was made as %v, and is %v", tag, made, f.tags(t, "a")[tag])
		}
	}
}
