package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestPodman(t *testing.T) {
	t.Parallel()
	podmanLife(t, startRegistry(t))
}

// podmanLife is all that podman does with a registry.
func podmanLife(t *testing.T, reg *registry) {
	m := podmanMachine(t, reg)
	m.write(t, "context/Containerfile", `FROM scratch
COPY --chmod=755 busybox /bin/busybox
COPY hello.txt /hello.txt
CMD ["/bin/busybox", "cat", "/hello.txt"]
`)
	m.write(t, "context/busybox", string(readFile(t, busybox(t))))
	m.write(t, "context/hello.txt", "hello from podman\n")
	m.run(t, "podman build --tag $REG/team/app:v1 context")

	t.Run("trusts the registry only with its certificate authority", func(t *testing.T) {
		m.refusedWith(t, reg.password, "x509", "podman login --username alice --password-stdin $REG")
		trustForContainers(t, m, reg)
	})
	t.Run("logs in", func(t *testing.T) {
		m.refusedWith(t, wrongPassword, "invalid username/password", "podman login --username alice --password-stdin $REG")
		m.refused(t, "unauthorized", "podman push $REG/team/app:v1")
		same(t, "Login Succeeded!", m.runWith(t, reg.password, "podman login --username alice --password-stdin $REG"))
		same(t, "alice", m.run(t, "podman login --get-login $REG"))
	})
	t.Run("pushes, removes, pulls and runs", func(t *testing.T) { podmanRoundTrip(t, m) })
	t.Run("pushes as Docker schema 2", func(t *testing.T) {
		m.run(t, "podman push --format v2s2 $REG/team/app:v1 docker://$REG/team/app:schema2")
		m.run(t, "podman pull $REG/team/app:schema2")
		same(t, "hello from podman", m.run(t, "podman run --rm --network none $REG/team/app:schema2"))
	})
	t.Run("pushes and pulls a list of platforms", func(t *testing.T) { podmanList(t, m) })
	t.Run("searches the tags", func(t *testing.T) {
		var found []struct{ Tags []string }
		fromJSON(t, m.bytes(t, "podman search --list-tags --format json $REG/team/app"), &found)
		same(t, 1, len(found))
		slices.Sort(found[0].Tags) // not all registries do
		same(t, []string{"schema2", "v1"}, found[0].Tags)
	})
	t.Run("logs out", func(t *testing.T) {
		m.run(t, "podman logout $REG")
		m.refused(t, "unauthorized", "podman pull $REG/team/app:v1")
	})
}

// podmanRoundTrip pushes an image, removes it, and compares what a pull brings
// back: the identity of the image, and each byte of its manifest.
func podmanRoundTrip(t *testing.T, m *machine) {
	t.Helper()
	id := m.run(t, "podman image inspect --format {{.Id}} $REG/team/app:v1")
	m.run(t, "podman push --digestfile digest $REG/team/app:v1")
	want := strings.TrimSpace(string(readFile(t, filepath.Join(m.home, "digest"))))
	m.run(t, "podman image rm $REG/team/app:v1")
	m.refused(t, "image not known", "podman image inspect $REG/team/app:v1")
	m.run(t, "podman pull $REG/team/app:v1")
	same(t, id, m.run(t, "podman image inspect --format {{.Id}} $REG/team/app:v1"))
	same(t, want, m.run(t, "podman image inspect --format {{.Digest}} $REG/team/app:v1"))
	same(t, "hello from podman", m.run(t, "podman run --rm --network none $REG/team/app:v1"))
	raw := m.bytes(t, "skopeo inspect --raw docker://$REG/team/app:v1")
	same(t, want, digest.FromBytes(raw).String())
}

// podmanList pushes an index with two platforms and pulls each of them.
func podmanList(t *testing.T, m *machine) {
	t.Helper()
	m.run(t, "podman build --platform linux/riscv64 --tag $REG/team/list:riscv64 context")
	m.run(t, "podman manifest create list")
	m.run(t, "podman manifest add list containers-storage:$REG/team/app:v1")
	m.run(t, "podman manifest add list containers-storage:$REG/team/list:riscv64")
	m.run(t, "podman manifest push --all list docker://$REG/team/list:v1")
	var index v1.Index
	fromJSON(t, m.bytes(t, "skopeo inspect --raw docker://$REG/team/list:v1"), &index)
	same(t, 2, len(index.Manifests))
	m.run(t, "podman pull --platform linux/riscv64 $REG/team/list:v1")
	same(t, "riscv64", m.run(t, "podman image inspect --format {{.Architecture}} $REG/team/list:v1"))
	m.run(t, "podman pull $REG/team/list:v1")
	same(t, "hello from podman", m.run(t, "podman run --rm --network none $REG/team/list:v1"))
}

// podmanMachine returns a machine whose podman keeps all its state in the home
// directory. runc, unlike crun, works with each way to mount cgroups.
func podmanMachine(t *testing.T, reg *registry) *machine {
	t.Helper()
	m := reg.machine(t)
	m.enclosed = true
	storage := fmt.Sprintf(`[storage]
driver = "vfs"
graphroot = %q
runroot = %q
`, m.mkdir(t, "storage"), m.mkdir(t, "runroot"))
	containers := fmt.Sprintf(`[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = %q
`, m.mkdir(t, "tmp/libpod"))
	m.env = append(m.env,
		"CONTAINERS_STORAGE_CONF="+m.write(t, "storage.conf", storage),
		"CONTAINERS_CONF="+m.write(t, "containers.conf", containers))
	return m
}
