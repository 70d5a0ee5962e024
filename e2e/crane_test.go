package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestCrane(t *testing.T) {
	t.Parallel()
	craneLife(t, startRegistry(t))
}

// craneLife is all that crane does with a registry.
func craneLife(t *testing.T, reg *registry) {
	m := reg.machine(t)
	images := newLayout(t)
	multi := images.multiArch(t, "hello from crane\n")
	images.tag(t, multi, "multi")
	m.vars["INDEX"] = images.dir
	single := newLayout(t)
	image := single.image(t, "amd64", "hello from crane\n")
	single.tag(t, image, "v1")
	m.vars["IMAGE"] = single.dir

	craneLogin(t, m, reg)
	t.Run("pushes and pulls an image", func(t *testing.T) {
		same(t, reg.Addr+"/team/app@"+image.Digest.String(), m.run(t, "crane push $IMAGE $REG/team/app:v1"))
		m.run(t, "crane pull --format oci $REG/team/app:v1 image")
		single.sameBlobs(t, filepath.Join(m.home, "image"))
		same(t, image.Digest.String(), m.run(t, "crane digest $REG/team/app:v1"))
		sameBytes(t, single.blob(t, image.Digest), m.bytes(t, "crane manifest $REG/team/app:v1"))
		m.run(t, "crane validate --remote $REG/team/app:v1")
	})
	t.Run("pushes and pulls a multi-arch index", func(t *testing.T) {
		m.run(t, "crane push --index $INDEX $REG/team/multi:all")
		m.run(t, "crane pull --format oci $REG/team/multi:all index")
		images.sameBlobs(t, filepath.Join(m.home, "index"))
		m.run(t, "crane validate --remote $REG/team/multi:all")
	})
	t.Run("makes an index of what is there", func(t *testing.T) {
		m.run(t, "crane index append -m $REG/team/app:v1 -t $REG/team/app:index")
		var index v1.Index
		fromJSON(t, m.bytes(t, "crane manifest $REG/team/app:index"), &index)
		if len(index.Manifests) != 1 || index.Manifests[0].Digest != image.Digest {
			t.Errorf("the index lists %+v, want %s", index.Manifests, image.Digest)
		}
	})
	t.Run("copies, mounting the layers", func(t *testing.T) {
		m.run(t, "crane copy $REG/team/app:v1 $REG/other/app:v1")
		same(t, image.Digest.String(), m.run(t, "crane digest $REG/other/app:v1"))
		m.run(t, "crane validate --remote $REG/other/app:v1")
		reg.sawRequest(t, "method=POST", "path=/v2/other/app/blobs/uploads/ ", "status=201")
	})
	t.Run("tags and lists", func(t *testing.T) {
		m.run(t, "crane tag $REG/team/app:v1 stable")
		same(t, "index\nstable\nv1", m.run(t, "crane ls $REG/team/app"))
		same(t, "other/app\nteam/app\nteam/multi", m.run(t, "crane catalog $REG"))
	})
	t.Run("deletes", func(t *testing.T) {
		m.run(t, "crane delete $REG/other/app:v1")
		m.refused(t, "MANIFEST_UNKNOWN", "crane manifest $REG/other/app:v1")
		m.run(t, "crane validate --remote $REG/team/app:v1")
	})
	t.Run("adds a layer", func(t *testing.T) {
		layer, _ := tarball(t, "added.txt", []byte("added\n"))
		m.write(t, "layer.tar.gz", string(layer))
		m.run(t, "crane append -b $REG/team/app:v1 -f layer.tar.gz -t $REG/team/app:v2")
		if files := m.run(t, "crane export $REG/team/app:v2 -"); !strings.Contains(files, "added.txt") {
			t.Error("the image lacks the added layer")
		}
	})
	t.Run("logs out", func(t *testing.T) {
		m.run(t, "crane auth logout $REG")
		m.refused(t, "UNAUTHORIZED", "crane manifest $REG/team/app:v1")
	})
}

// A layer of 1 GiB goes up as one stream whose length nobody announces, and
// comes back whole.
func TestCraneBigLayer(t *testing.T) {
	reg := startRegistry(t)
	m := reg.machine(t)
	craneLogin(t, m, reg)
	images := newLayout(t)
	images.tag(t, images.big(t, 1<<30), "big")
	m.vars["BIG"] = images.dir

	m.run(t, "crane push $BIG $REG/team/big:v1")
	m.run(t, "crane pull --format oci $REG/team/big:v1 pulled")
	images.sameBlobs(t, filepath.Join(m.home, "pulled"))
}

// craneLogin logs alice in on m, which has no session before. crane has no
// option for a certificate authority; it takes the system's, named by
// SSL_CERT_FILE.
func craneLogin(t *testing.T, m *machine, reg *registry) {
	t.Helper()
	m.refused(t, "x509", "crane catalog $REG")
	m.env = append(m.env, "SSL_CERT_FILE="+reg.ca)
	m.refused(t, "UNAUTHORIZED", "crane catalog $REG")
	// crane stores a password unseen; the registry refuses it when it is used.
	m.runWith(t, wrongPassword, "crane auth login --username alice --password-stdin $REG")
	m.refused(t, "UNAUTHORIZED", "crane catalog $REG")
	m.runWith(t, reg.password, "crane auth login --username alice --password-stdin $REG")
	m.run(t, "crane catalog $REG")
}
