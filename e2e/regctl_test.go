package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestRegctl(t *testing.T) {
	t.Parallel()
	reg := startRegistry(t)
	m := reg.machine(t)
	images := newLayout(t)
	multi := images.multiArch(t, "hello from regctl\n")
	images.tag(t, multi, "multi")
	m.vars["OCI"] = images.dir

	regctlLogin(t, m, reg)
	t.Run("copies a multi-arch image there and back", func(t *testing.T) {
		m.run(t, "regctl image copy ocidir://$OCI:multi $REG/team/multi:v1")
		same(t, multi.Digest.String(), m.run(t, "regctl image digest $REG/team/multi:v1"))
		sameBytes(t, images.blob(t, multi.Digest), m.bytes(t, "regctl manifest get --format raw-body $REG/team/multi:v1"))
		m.run(t, "regctl image copy $REG/team/multi:v1 ocidir://back:v1")
		images.sameBlobs(t, filepath.Join(m.home, "back"))
	})
	t.Run("copies between repositories, mounting the layers", func(t *testing.T) {
		m.run(t, "regctl image copy $REG/team/multi:v1 $REG/other/multi:v1")
		same(t, multi.Digest.String(), m.run(t, "regctl image digest $REG/other/multi:v1"))
		reg.sawRequest(t, "method=POST", "path=/v2/other/multi/blobs/uploads/ ", "status=201")
	})
	t.Run("makes an index", func(t *testing.T) {
		m.run(t, "regctl index create --ref $REG/team/multi:v1 --platform linux/riscv64 $REG/team/multi:riscv")
		var index v1.Index
		fromJSON(t, m.bytes(t, "regctl manifest get --format raw-body $REG/team/multi:riscv"), &index)
		if len(index.Manifests) != 1 || index.Manifests[0].Platform.Architecture != "riscv64" {
			t.Errorf("the index lists %+v, want one image for riscv64", index.Manifests)
		}
	})
	t.Run("deletes a tag and nothing else", func(t *testing.T) {
		m.run(t, "regctl image copy $REG/team/multi:v1 $REG/team/multi:v2")
		m.run(t, "regctl tag delete $REG/team/multi:v2")
		same(t, "riscv\nv1", m.run(t, "regctl tag ls $REG/team/multi"))
		same(t, "other/multi\nteam/multi", m.run(t, "regctl repo ls $REG"))
		same(t, multi.Digest.String(), m.run(t, "regctl image digest $REG/team/multi:v1"))
	})
	t.Run("puts and finds artifacts", func(t *testing.T) { regctlArtifacts(t, m, reg) })
	t.Run("puts a blob in chunks and gets it", func(t *testing.T) {
		m.run(t, "regctl registry set --blob-max 1048576 --blob-chunk 1048576 $REG")
		blob := writeNoise(t, filepath.Join(m.home, "blob"), 5<<20+7)
		m.vars["BLOB"] = blob.String()
		same(t, blob.String(), m.runWith(t, string(readFile(t, filepath.Join(m.home, "blob"))), "regctl blob put $REG/team/blobs"))
		same(t, blob, digest.FromBytes(m.bytes(t, "regctl blob get $REG/team/blobs $BLOB")))
		reg.sawRequest(t, "method=PATCH", "path=/v2/team/blobs/blobs/uploads/", "status=202")
	})
	t.Run("turns an image to sha512", func(t *testing.T) {
		m.run(t, "regctl image mod --digest-algo sha512 --create long $REG/team/multi:v1")
		m.vars["LONG"] = m.run(t, "regctl image digest $REG/team/multi:long")
		if !strings.HasPrefix(m.vars["LONG"], "sha512:") {
			t.Fatalf("the image is %s, want a sha512", m.vars["LONG"])
		}
		raw := m.bytes(t, "regctl manifest get --format raw-body $REG/team/multi@$LONG")
		same(t, m.vars["LONG"], digest.SHA512.FromBytes(raw).String())
		m.run(t, "regctl image copy $REG/team/multi@$LONG ocidir://long:v1")
		sameBytes(t, raw, readFile(t, filepath.Join(m.home, "long", "blobs", "sha512", digest.Digest(m.vars["LONG"]).Encoded())))
	})
	t.Run("logs out", func(t *testing.T) {
		m.run(t, "regctl registry logout $REG")
		m.refused(t, "unauthorized", "regctl tag ls $REG/team/multi")
	})
}

// regctlArtifacts stores an artifact and one that refers to an image, and
// finds it by the referrers API.
func regctlArtifacts(t *testing.T, m *machine, reg *registry) {
	t.Helper()
	m.runWith(t, "a note\n", "regctl artifact put --artifact-type application/vnd.example.note $REG/team/notes:v1")
	same(t, "a note\n", string(m.bytes(t, "regctl artifact get $REG/team/notes:v1")))

	m.runWith(t, "a list of parts\n", "regctl artifact put --artifact-type application/vnd.example.sbom --subject $REG/team/multi:v1")
	m.runWith(t, "a signature\n", "regctl artifact put --artifact-type application/vnd.example.signature --subject $REG/team/multi:v1")
	var found v1.Index
	fromJSON(t, m.bytes(t, "regctl artifact list --format body $REG/team/multi:v1"), &found)
	same(t, 2, len(found.Manifests))
	fromJSON(t, m.bytes(t, "regctl artifact list --format body --filter-artifact-type application/vnd.example.sbom $REG/team/multi:v1"), &found)
	if len(found.Manifests) != 1 || found.Manifests[0].ArtifactType != "application/vnd.example.sbom" {
		t.Errorf("the filter finds %+v, want the sbom", found.Manifests)
	}
	same(t, "a list of parts\n", string(m.bytes(t, "regctl artifact get --subject $REG/team/multi:v1 --filter-artifact-type application/vnd.example.sbom")))
	if tree := m.run(t, "regctl artifact tree $REG/team/multi:v1"); !strings.Contains(tree, found.Manifests[0].Digest.String()) {
		t.Errorf("the tree lacks the sbom:\n%s", tree)
	}
	reg.sawRequest(t, "method=GET", "path=/v2/team/multi/referrers/sha256:", "status=200")
	same(t, "riscv\nv1", m.run(t, "regctl tag ls $REG/team/multi")) // no fallback tag
}

// regctlLogin makes m trust the registry and logs alice in.
func regctlLogin(t *testing.T, m *machine, reg *registry) {
	t.Helper()
	m.refusedWith(t, reg.password, "x509", "regctl registry login --user alice --pass-stdin $REG")
	m.vars["CA_PEM"] = string(readFile(t, reg.ca))
	m.run(t, "regctl registry set --skip-check --cacert $CA_PEM $REG")
	m.refusedWith(t, wrongPassword, "unauthorized", "regctl registry login --user alice --pass-stdin $REG")
	m.run(t, "regctl registry logout $REG")
	m.refused(t, "unauthorized", "regctl repo ls $REG")
	m.runWith(t, reg.password, "regctl registry login --user alice --pass-stdin $REG")
	same(t, "alice", m.run(t, "regctl registry whoami $REG"))
}
