package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// sameBlobs fails the test unless the layout in dir holds each blob of l, byte
// for byte.
func (l *layout) sameBlobs(t *testing.T, dir string) {
	t.Helper()
	blobs, err := os.ReadDir(filepath.Join(l.dir, "blobs", "sha256"))
	if err != nil {
		t.Fatal(err)
	}
	if len(blobs) == 0 {
		t.Fatal("the layout is empty")
	}
	for _, blob := range blobs {
		path := filepath.Join(dir, "blobs", "sha256", blob.Name())
		if got := fileDigest(t, path); got.Encoded() != blob.Name() {
			t.Errorf("blob sha256:%s came back as %s", blob.Name(), got)
		}
	}
}

// sameImage fails the test unless the layout in dir holds the manifest d of l
// and all it names, byte for byte.
func (l *layout) sameImage(t *testing.T, d digest.Digest, dir string) {
	t.Helper()
	var manifest v1.Manifest
	fromJSON(t, l.blob(t, d), &manifest)
	l.sameBlob(t, d, dir)
	l.sameBlob(t, manifest.Config.Digest, dir)
	for _, layer := range manifest.Layers {
		l.sameBlob(t, layer.Digest, dir)
	}
}

func (l *layout) sameBlob(t *testing.T, d digest.Digest, dir string) {
	t.Helper()
	path := filepath.Join("blobs", d.Algorithm().String(), d.Encoded())
	sameFile(t, filepath.Join(l.dir, path), filepath.Join(dir, path))
}

// sameDir fails the test unless the files of both directories have the same
// names and bytes.
func sameDir(t *testing.T, want, got string) {
	t.Helper()
	if diff := cmp.Diff(dirDigests(t, want), dirDigests(t, got)); diff != "" {
		t.Errorf("%s differs from %s (-want +got):\n%s", got, want, diff)
	}
}

func dirDigests(t *testing.T, dir string) map[string]digest.Digest {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		t.Fatalf("%s is empty", dir)
	}
	all := map[string]digest.Digest{}
	for _, entry := range entries {
		all[entry.Name()] = fileDigest(t, filepath.Join(dir, entry.Name()))
	}
	return all
}

// sameBytes fails the test unless content is what was pushed.
func sameBytes(t *testing.T, want, got []byte) {
	t.Helper()
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("it came back different (-want +got):\n%s", diff)
	}
}

// same fails the test unless got is want.
func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// fileDigest returns the sha256 of a file.
func fileDigest(t *testing.T, path string) digest.Digest {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	d, err := digest.SHA256.FromReader(file)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sameFile fails the test unless both files hold the same bytes.
func sameFile(t *testing.T, want, got string) {
	t.Helper()
	if w, g := fileDigest(t, want), fileDigest(t, got); w != g {
		t.Errorf("%s is %s, want %s as %s", got, g, w, want)
	}
}

func mediaType(t *testing.T, manifest []byte) string {
	t.Helper()
	var m struct{ MediaType string }
	fromJSON(t, manifest, &m)
	return m.MediaType
}

func fromJSON(t *testing.T, content []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(content, v); err != nil {
		t.Fatalf("%v in %s", err, content)
	}
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
