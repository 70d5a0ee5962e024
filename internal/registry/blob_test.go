package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

func TestMountAsksForTheRightToReadTheSource(t *testing.T) {
	t.Parallel()
	denied := errors.New("denied")
	reads := func(repos ...string) (effects []registry.Effect) {
		for _, repo := range repos {
			effects = append(effects, registry.Effect{Action: registry.ReadBlob, Repo: repo})
		}
		return effects
	}
	for name, test := range map[string]struct {
		from    string
		denied  []string
		unknown bool // the blob
		want    bool
		asked   []registry.Effect // "" is left out
	}{
		"from a repository":                        {from: "b", want: true, asked: reads("b")},
		"from a repository that may not be read":   {from: "b", denied: []string{"b"}, asked: reads("b")},
		"from a repository that lacks it":          {from: "empty"},
		"from a repository that is not there":      {from: "nowhere"},
		"from anywhere":                            {want: true, asked: reads("a")},
		"from anywhere, the first denied":          {denied: []string{"a", "b"}, want: true, asked: reads("a", "b", "c")},
		"from anywhere, all denied":                {denied: []string{"a", "b", "c"}, asked: reads("a", "b", "c")},
		"of what nobody has":                       {unknown: true},
		"of what the named repository has not":     {unknown: true, from: "a"},
		"no second choice if a repository is said": {from: "b", denied: []string{"b"}, asked: reads("b")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, registry.Options{})
			d := f.push(t, "text", "a", "b", "c")
			f.push(t, "other text", "empty")
			if test.unknown {
				d = oci.SHA256.FromString("unknown")
			}
			g := &guard{denied: map[registry.Effect]error{}}
			for _, e := range reads(test.denied...) {
				g.denied[e] = denied
			}
			mounted, err := f.Mount(t.Context(), "to", d, test.from, g.ask)
			if mounted != test.want || err != nil {
				t.Errorf("mounted: %v, %v", mounted, err)
			}
			if diff := cmp.Diff(test.asked, g.asked); diff != "" {
				t.Errorf("the guard was asked (-want +got):\n%s", diff)
			}
			_, err = f.BlobSize(t.Context(), "to", d)
			if test.want {
				wantKind(t, "read", err, -1)
			} else {
				wantKind(t, "read", err, oci.BlobUnknown)
			}
		})
	}
}

// A blob whose link fails is not stored: no file without an owner stays, and one
// that others have stays theirs.
func TestFailedLinkLeavesNoFile(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		err  error
		kind oci.Kind
	}{{errors.New("disk on fire"), oci.Internal}, {meta.ErrNoSpace, oci.NoSpace}} {
		f := newFixture(t, registry.Options{})
		f.push(t, "held", "other")
		before := f.files(t)
		f.meta.linkErr = fault.err
		for _, text := range []string{"held", "new"} {
			d := oci.SHA256.FromString(text)
			err := f.PushBlob(t.Context(), "a", d, -1, strings.NewReader(text))
			wantKind(t, "push "+text, err, fault.kind)

			key, err := f.StartUpload(t.Context(), "a", "", "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.AppendUpload(t.Context(), key, registry.Chunk{Start: -1, Length: -1, Body: strings.NewReader(text)}); err != nil {
				t.Fatal(err)
			}
			_, err = f.FinishUpload(t.Context(), key, registry.Chunk{Start: -1, Length: -1, Body: strings.NewReader("")}, d)
			wantKind(t, "finish "+text, err, fault.kind)
			if diff := cmp.Diff(before, f.files(t)); diff != "" {
				t.Errorf("files (-before +after):\n%s", diff)
			}
			// The bytes are gone, so the session is of no use but to be cancelled.
			wantKind(t, "cancel", f.CancelUpload(t.Context(), key), -1)
			_, err = f.UploadOffset(t.Context(), key)
			wantKind(t, "look", err, oci.BlobUploadUnknown)

			_, err = f.BlobSize(t.Context(), "a", d)
			wantKind(t, "stat "+text, err, oci.BlobUnknown)
		}
		_, err := f.Mount(t.Context(), "a", oci.SHA256.FromString("held"), "other", anything)
		wantKind(t, "mount", err, fault.kind)
		f.read(t, "other", oci.SHA256.FromString("held"))
		f.meta.linkErr = nil
		f.push(t, "new", "a")
		f.read(t, "a", oci.SHA256.FromString("new"))
	}
}

// Whoever has let it go may want it back for a while.
func TestFailedLinkLeavesContentItsGrace(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{FreeAfter: time.Hour})
	d := f.push(t, "text", "a")
	if err := f.DeleteBlob(t.Context(), "a", d, anything); err != nil {
		t.Fatal(err)
	}
	before := f.files(t)
	f.meta.linkErr = meta.ErrNoSpace
	wantKind(t, "push", f.PushBlob(t.Context(), "b", d, -1, strings.NewReader("text")), oci.NoSpace)
	if diff := cmp.Diff(before, f.files(t)); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
}

// An earlier push may have linked it, though nobody sees that until a restart.
func TestFailedLinkLeavesContentThatMayBeHeld(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	f.meta.linkErr, f.meta.doubt = meta.ErrNoSpace, errors.New("it is not known what was committed")
	text := "text"
	err := f.PushBlob(t.Context(), "a", oci.SHA256.FromString(text), -1, strings.NewReader(text))
	wantKind(t, "push", err, oci.NoSpace)
	if n := len(f.files(t)); n != 1 {
		t.Errorf("%d files are left, want the content", n)
	}
}

// A damaged file is not served, and a new push heals it.
func TestDamagedBlob(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	d := f.push(t, "text", "a")
	i := slices.IndexFunc(f.files(t), func(name string) bool { return strings.HasPrefix(name, "blobs/") })
	if i < 0 {
		t.Fatal("there is no file")
	}
	file := filepath.Join(f.dir, "blobs", "sha256", d.Encoded()[:2], d.Encoded())
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 2); err != nil {
		t.Fatal(err)
	}
	_, _, err := f.Blob(t.Context(), "a", d)
	wantKind(t, "read", err, oci.Internal)
	f.push(t, "text", "b")
	if got := f.read(t, "a", d); got != "text" {
		t.Errorf("the blob is %q", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, _, err = f.Blob(t.Context(), "a", d)
	wantKind(t, "read what is lost", err, oci.Internal)
}
