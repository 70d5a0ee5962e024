package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// imageOf is an image whose config and only layer is the blob d.
func imageOf(name string, d oci.Digest, size int) []byte {
	descriptor := func(mediaType string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, d, size)
	}
	return []byte(`{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageManifest + `","config":` + descriptor(v1.MediaTypeImageConfig) +
		`,"layers":[` + descriptor(v1.MediaTypeImageLayer) + `],"annotations":{"name":"` + name + `"}}`)
}

// indexOf is an index of other manifests.
func indexOf(mediaType string, bodies ...[]byte) []byte {
	var all []string
	for _, body := range bodies {
		all = append(all, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, oci.SHA256.FromBytes(body), len(body)))
	}
	return []byte(`{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `","manifests":[` + strings.Join(all, ",") + `]}`)
}

// nested has in repository "a" an image without a tag that is part of the index
// "index", which is part of the index "outer"; and beside them the image "other",
// which shares its layer, and the index "signature", whose subject it is. The same
// is in repository "b".
type nested struct {
	*fixture
	layer, image, index, outer, lone oci.Digest
}

func newNested(t *testing.T, opts registry.Options) nested {
	t.Helper()
	n := nested{fixture: newFixture(t, opts)}
	image := imageOf("image", oci.SHA256.FromString("layer"), len("layer"))
	index := indexOf(v1.MediaTypeImageManifest, image)
	outer := indexOf(v1.MediaTypeImageIndex, index)
	signature := strings.Replace(string(imageOf("signature", oci.SHA256.FromString("payload"), len("payload"))), `"config"`,
		fmt.Sprintf(`"subject":{"mediaType":%q,"digest":%q,"size":%d},"config"`, v1.MediaTypeImageManifest, oci.SHA256.FromBytes(image), len(image)), 1)
	for _, repo := range []string{"a", "b"} {
		n.layer = n.push(t, "layer", repo)
		n.lone = n.push(t, "lone", repo)
		n.push(t, "payload", repo)
		n.image = n.put(t, repo, image)
		n.index = n.put(t, repo, index, "index")
		n.outer = n.put(t, repo, outer, "outer")
		n.put(t, repo, imageOf("other", n.layer, len("layer")), "other")
		n.put(t, repo, []byte(signature), "signature")
	}
	return n
}

func deletesOf(tags ...string) (effects []registry.Effect) {
	for _, tag := range tags {
		effects = append(effects, registry.Effect{Action: registry.DeleteTag, Repo: "a", Tag: tag})
	}
	return effects
}

// state is what is there of n in a repository.
func (n nested) state(t *testing.T, repo string) map[string]any {
	t.Helper()
	state := map[string]any{"tags": n.tags(t, repo)}
	for name, d := range map[string]oci.Digest{"layer": n.layer, "lone": n.lone} {
		_, err := n.BlobSize(t.Context(), repo, d)
		state[name] = kindOf(err)
	}
	for name, d := range map[string]oci.Digest{"image": n.image, "index": n.index, "outer": n.outer} {
		_, err := n.Manifest(t.Context(), repo, oci.Reference{Digest: d})
		state[name] = kindOf(err)
	}
	return state
}

// A delete by digest under a protected tag is refused, however deep it is below,
// and nothing is changed.
func TestDeleteByDigestAsksForTagsThatWouldBreak(t *testing.T) {
	t.Parallel()
	denied := errors.New("denied")
	for name, test := range map[string]struct {
		what   string // layer, lone: blobs; image, index, outer: manifests
		denied string
		asked  []registry.Effect
	}{
		"image of an index of an index":        {"image", "", deletesOf("index", "outer")},
		"image, the index denied":              {"image", "index", deletesOf("index")},
		"image, the outer index denied":        {"image", "outer", deletesOf("index", "outer")},
		"index with a tag, all allowed":        {"index", "", deletesOf("index", "outer")},
		"index with a tag, its own denied":     {"index", "index", deletesOf("index")},
		"index with a tag, the outer denied":   {"index", "outer", deletesOf("index", "outer")},
		"outer index":                          {"outer", "", deletesOf("outer")},
		"outer index, what is below protected": {"outer", "index", deletesOf("outer")},
		"image, its signature protected":       {"image", "signature", deletesOf("index", "outer")},
		"blob":                                 {"layer", "", deletesOf("index", "other", "outer")},
		"blob, the index denied":               {"layer", "index", deletesOf("index")},
		"blob, the outer index denied":         {"layer", "outer", deletesOf("index", "other", "outer")},
		"blob, another image denied":           {"layer", "other", deletesOf("index", "other")},
		"blob that nothing needs":              {"lone", "index", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNested(t, registry.Options{})
			before, elsewhere := n.state(t, "a"), n.state(t, "b")
			g := &guard{denied: map[registry.Effect]error{{Action: registry.DeleteTag, Repo: "a", Tag: test.denied}: denied}}
			err := n.remove(t, test.what, g)
			if diff := cmp.Diff(test.asked, g.asked); diff != "" {
				t.Errorf("the guard was asked (-want +got):\n%s", diff)
			}
			after := n.state(t, "a")
			if len(test.asked) > 0 && test.asked[len(test.asked)-1].Tag == test.denied {
				if !errors.Is(err, denied) {
					t.Errorf("the error is %v", err)
				}
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("it was refused, and changed (-before +after):\n%s", diff)
				}
			} else {
				wantKind(t, "delete", err, -1)
				before[test.what] = gone(test.what)
				delete(before["tags"].(map[string]oci.Digest), test.what) // the others stay, though broken
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("after the delete (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(elsewhere, n.state(t, "b")); diff != "" {
				t.Errorf("another repository changed (-before +after):\n%s", diff)
			}
		})
	}
}

// remove deletes something of n from repository "a".
func (n nested) remove(t *testing.T, what string, g *guard) error {
	t.Helper()
	d, blob := map[string]oci.Digest{"layer": n.layer, "lone": n.lone}[what]
	if blob {
		return n.DeleteBlob(t.Context(), "a", d, g.ask)
	}
	d = map[string]oci.Digest{"image": n.image, "index": n.index, "outer": n.outer}[what]
	_, err := n.DeleteManifest(t.Context(), registry.ManifestDelete{Repo: "a", Reference: oci.Reference{Digest: d}, By: "alice", Guard: g.ask})
	return err
}

// gone is what nested.state has for what is not there.
func gone(what string) oci.Kind {
	if what == "layer" || what == "lone" {
		return oci.BlobUnknown
	}
	return oci.ManifestUnknown
}

// Who asks for what is not there, or for something else by its digest, hears so,
// and nothing about tags.
func TestDeleteOfWhatIsNotThereAsksNobody(t *testing.T) {
	t.Parallel()
	n := newNested(t, registry.Options{})
	g := &guard{}
	deleteManifest := func(repo string, d oci.Digest) error {
		_, err := n.DeleteManifest(t.Context(), registry.ManifestDelete{Repo: repo, Reference: oci.Reference{Digest: d}, Guard: g.ask})
		return err
	}
	wantKind(t, "a blob, as a manifest", deleteManifest("a", n.layer), oci.ManifestUnknown)
	wantKind(t, "a manifest, elsewhere", deleteManifest("none", n.image), oci.NameUnknown)
	wantKind(t, "a manifest, as a blob", n.DeleteBlob(t.Context(), "a", n.image, g.ask), oci.BlobUnknown)
	wantKind(t, "a blob, elsewhere", n.DeleteBlob(t.Context(), "none", n.layer, g.ask), oci.BlobUnknown)
	if err := n.DeleteBlob(t.Context(), "a", n.layer, anything); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "a blob, again", n.DeleteBlob(t.Context(), "a", n.layer, g.ask), oci.BlobUnknown)
	if len(g.asked) > 0 {
		t.Errorf("the guard was asked %v", g.asked)
	}

	off := newNested(t, registry.Options{NoDelete: true})
	wantKind(t, "switched off", off.DeleteBlob(t.Context(), "a", off.layer, g.ask), oci.Unsupported)
	if len(g.asked) > 0 {
		t.Errorf("switched off: the guard was asked %v", g.asked)
	}
}
