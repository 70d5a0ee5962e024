package e2e

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestSkopeo(t *testing.T) {
	t.Parallel()
	skopeoLife(t, startRegistry(t))
}

// skopeoLife is all that skopeo does with a registry.
func skopeoLife(t *testing.T, reg *registry) {
	m := reg.machine(t)
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from skopeo\n")
	images.tag(t, image, "v1")
	multi := images.multiArch(t, "hello from skopeo\n")
	images.tag(t, multi, "multi")
	m.vars["OCI"] = images.dir

	t.Run("trusts the registry only with its certificate authority", func(t *testing.T) {
		m.refusedWith(t, reg.password, "x509", "skopeo login --username alice --password-stdin $REG")
		trustForContainers(t, m, reg)
	})
	t.Run("logs in", func(t *testing.T) {
		m.refusedWith(t, wrongPassword, "invalid username/password", "skopeo login --username alice --password-stdin $REG")
		m.refused(t, "unauthorized", "skopeo copy oci:$OCI:v1 docker://$REG/team/app:v1")
		m.runWith(t, reg.password, "skopeo login --username alice --password-stdin $REG")
	})
	t.Run("copies an image there and back", func(t *testing.T) {
		m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/team/app:v1")
		m.run(t, "skopeo copy docker://$REG/team/app:v1 oci:back:v1")
		images.sameImage(t, image.Digest, filepath.Join(m.home, "back"))
		raw := m.bytes(t, "skopeo inspect --raw docker://$REG/team/app:v1")
		sameBytes(t, images.blob(t, image.Digest), raw)
	})
	t.Run("copies a multi-arch index there and back", func(t *testing.T) {
		m.run(t, "skopeo copy --all oci:$OCI:multi docker://$REG/team/multi:v1")
		m.run(t, "skopeo copy --all docker://$REG/team/multi:v1 oci:all:v1")
		m.run(t, "skopeo copy --all docker://$REG/team/app:v1 oci:all:app")
		images.sameBlobs(t, filepath.Join(m.home, "all"))
	})
	t.Run("copies as Docker schema 2", func(t *testing.T) { skopeoSchema2(t, m) })
	t.Run("inspects and lists tags", func(t *testing.T) {
		var info struct {
			Name   string
			Digest digest.Digest
			Layers []digest.Digest
		}
		fromJSON(t, m.bytes(t, "skopeo inspect docker://$REG/team/app:v1"), &info)
		if info.Digest != image.Digest || info.Name != reg.Addr+"/team/app" || len(info.Layers) != 2 {
			t.Errorf("inspect says %+v, want digest %s and two layers", info, image.Digest)
		}
		m.run(t, "skopeo copy docker://$REG/team/app:v1 docker://$REG/team/app:v2")
		same(t, []string{"v1", "v2"}, skopeoTags(t, m, "$REG/team/app"))
	})
	t.Run("syncs to a directory and back", func(t *testing.T) {
		m.run(t, "skopeo sync --all --src docker --dest dir $REG/team/multi synced")
		m.run(t, "skopeo sync --all --src dir --dest docker synced $REG/mirror")
		raw := m.bytes(t, "skopeo inspect --raw docker://$REG/mirror/multi:v1")
		sameBytes(t, images.blob(t, multi.Digest), raw)
	})
	t.Run("deletes the manifest behind a tag", func(t *testing.T) {
		m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/team/old:v1")
		m.run(t, "skopeo delete docker://$REG/team/old:v1")
		m.refused(t, "manifest unknown", "skopeo inspect docker://$REG/team/old:v1")
		if tags := skopeoTags(t, m, "$REG/team/app"); !slices.Contains(tags, "v1") {
			t.Errorf("the delete reached another repository: its tags are %q", tags)
		}
	})
	t.Run("logs out", func(t *testing.T) {
		m.run(t, "skopeo logout $REG")
		m.refused(t, "unauthorized", "skopeo inspect docker://$REG/team/app:v1")
	})
}

// skopeoSchema2 stores an image and a list of images in Docker's own formats,
// and compares what comes back with what skopeo writes into a directory
// without a registry.
func skopeoSchema2(t *testing.T, m *machine) {
	t.Helper()
	m.run(t, "skopeo copy --format v2s2 oci:$OCI:v1 dir:plain")
	m.run(t, "skopeo copy dir:plain docker://$REG/team/schema2:v1")
	m.run(t, "skopeo copy docker://$REG/team/schema2:v1 dir:fetched")
	same(t, "application/vnd.docker.distribution.manifest.v2+json",
		mediaType(t, m.bytes(t, "skopeo inspect --raw docker://$REG/team/schema2:v1")))
	sameDir(t, filepath.Join(m.home, "plain"), filepath.Join(m.home, "fetched"))

	m.run(t, "skopeo copy --all --format v2s2 oci:$OCI:multi dir:plain-list")
	m.run(t, "skopeo copy --all dir:plain-list docker://$REG/team/schema2:list")
	m.run(t, "skopeo copy --all docker://$REG/team/schema2:list dir:fetched-list")
	same(t, "application/vnd.docker.distribution.manifest.list.v2+json",
		mediaType(t, m.bytes(t, "skopeo inspect --raw docker://$REG/team/schema2:list")))
	sameDir(t, filepath.Join(m.home, "plain-list"), filepath.Join(m.home, "fetched-list"))
}

func skopeoTags(t *testing.T, m *machine, repo string) []string {
	t.Helper()
	var list struct{ Tags []string }
	fromJSON(t, m.bytes(t, "skopeo list-tags docker://"+repo), &list)
	return list.Tags
}

// trustForContainers makes skopeo and podman on m trust the registry: they
// look into this directory for each registry's certificate authority.
func trustForContainers(t *testing.T, m *machine, reg *registry) {
	t.Helper()
	m.write(t, filepath.Join(".config", "containers", "certs.d", reg.Addr, "ca.crt"), string(readFile(t, reg.ca)))
}
