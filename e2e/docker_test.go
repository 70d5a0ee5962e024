package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

func TestDocker(t *testing.T) {
	t.Parallel()
	engine := startEngine(t)
	t.Run("a private registry", func(t *testing.T) { dockerPrivate(t, engine) })
	t.Run("a multi-arch image", func(t *testing.T) { dockerMultiArch(t, engine) })
	t.Run("the registry of one command", func(t *testing.T) { dockerOneCommand(t, engine) })
}

// dockerPrivate uses a registry with TLS and passwords, both made by moorgate
// itself.
func dockerPrivate(t *testing.T, engine *engine) { dockerLife(t, engine, startOwnRegistry(t)) }

// dockerLife is the life of an image on a registry.
func dockerLife(t *testing.T, engine *engine, reg *registry) {
	m := engine.machine(t, reg)
	// Built now, while the first layer of the one is there for the other.
	dockerBuild(t, m, "team/app:v1", "hello from docker\n")
	dockerBuild(t, m, "other/app:v1", "hello from next door\n")

	t.Run("trusts the registry only with its certificate authority", func(t *testing.T) {
		m.refusedWith(t, reg.password, "x509", "docker login --username alice --password-stdin $REG")
		engine.trust(t, m.vars["REG"], reg)
	})
	t.Run("logs in", func(t *testing.T) {
		m.refusedWith(t, wrongPassword, "unauthorized", "docker login --username alice --password-stdin $REG")
		m.refused(t, "no basic auth credentials", "docker push $REG/team/app:v1")
		same(t, "Login Succeeded", m.runWith(t, reg.password, "docker login --username alice --password-stdin $REG"))
	})
	t.Run("pushes, removes, pulls and runs", func(t *testing.T) {
		id := m.run(t, "docker image inspect --format {{.Id}} $REG/team/app:v1")
		digest := dockerPush(t, m, "team/app:v1")
		m.run(t, "docker image rm $REG/team/app:v1")
		m.refused(t, "no such image", "docker image inspect $REG/team/app:v1")
		m.run(t, "docker pull $REG/team/app:v1")
		same(t, id, m.run(t, "docker image inspect --format {{.Id}} $REG/team/app:v1"))
		same(t, "["+m.vars["REG"]+"/team/app@"+digest+"]", m.run(t, "docker image inspect --format {{.RepoDigests}} $REG/team/app:v1"))
		same(t, "hello from docker", m.run(t, "docker run --rm --network none $REG/team/app:v1"))
		m.vars["DIGEST"] = digest
		m.run(t, "docker pull $REG/team/app@$DIGEST")
	})
	t.Run("pushes nothing twice", func(t *testing.T) {
		out := m.run(t, "docker push $REG/team/app:v1")
		same(t, 2, strings.Count(out, "Layer already exists"))
	})
	t.Run("mounts shared layers from another repository", func(t *testing.T) {
		out := m.run(t, "docker push $REG/other/app:v1")
		if !strings.Contains(out, "Mounted from team/app") {
			t.Errorf("nothing was mounted:\n%s", out)
		}
		m.run(t, "docker image rm $REG/other/app:v1")
		same(t, "hello from next door", m.run(t, "docker run --rm --network none --pull always --quiet $REG/other/app:v1"))
	})
	t.Run("pushes and pulls a large layer", func(t *testing.T) {
		want := writeNoise(t, filepath.Join(m.home, "context", "hello.txt"), 64<<20)
		m.run(t, "docker build --tag $REG/team/big:v1 context")
		dockerPush(t, m, "team/big:v1")
		m.run(t, "docker image rm $REG/team/big:v1")
		m.run(t, "docker pull $REG/team/big:v1")
		got := m.run(t, "docker run --rm --network none $REG/team/big:v1 /bin/busybox sha256sum /hello.txt")
		same(t, want.Encoded()+"  /hello.txt", got)
	})
	t.Run("pushes and pulls all tags", func(t *testing.T) {
		m.run(t, "docker tag $REG/team/app:v1 $REG/team/app:v2")
		m.run(t, "docker push --all-tags $REG/team/app")
		m.run(t, "docker image rm $REG/team/app:v1 $REG/team/app:v2")
		m.run(t, "docker pull --all-tags $REG/team/app")
		m.run(t, "docker image inspect $REG/team/app:v1 $REG/team/app:v2")
	})
	t.Run("logs out", func(t *testing.T) {
		m.run(t, "docker logout $REG")
		m.refused(t, "no basic auth credentials", "docker pull $REG/team/app:v1")
	})
}

// dockerMultiArch pulls an index that another client pushed.
func dockerMultiArch(t *testing.T, engine *engine) {
	reg := startRegistry(t)
	m := engine.machine(t, reg)
	engine.trust(t, m.vars["REG"], reg)
	trustForContainers(t, m, reg)
	images := newLayout(t)
	images.tag(t, images.multiArch(t, "hello from an index\n"), "multi")
	m.vars["OCI"], m.vars["HERE"] = images.dir, reg.Addr

	m.runWith(t, reg.password, "skopeo login --username alice --password-stdin $HERE")
	m.run(t, "skopeo copy --all oci:$OCI:multi docker://$HERE/team/multi:v1")
	m.runWith(t, reg.password, "docker login --username alice --password-stdin $REG")
	same(t, "hello from an index", m.run(t, "docker run --rm --network none --quiet $REG/team/multi:v1"))
	m.run(t, "docker pull --platform linux/riscv64 $REG/team/multi:v1")
	same(t, "riscv64", m.run(t, "docker image inspect --format {{.Architecture}} $REG/team/multi:v1"))
}

// dockerOneCommand does what "moorgate serve" on its own tells its user to do.
func dockerOneCommand(t *testing.T, engine *engine) {
	server := testserver.Start(t)
	printLogAtFailure(t, server)
	m := engine.plainMachine(t, server.Addr)
	found := regexp.MustCompile(`password:\s*(\S+)`).FindStringSubmatch(server.Log())
	if found == nil {
		t.Fatalf("the registry prints no password:\n%s", server.Log())
	}
	m.refusedWith(t, wrongPassword, "unauthorized", "docker login --username admin --password-stdin $REG")
	m.runWith(t, found[1], "docker login --username admin --password-stdin $REG")
	dockerBuild(t, m, "hello:v1", "hello from one command\n")
	dockerPush(t, m, "hello:v1")
	m.run(t, "docker image rm $REG/hello:v1")
	same(t, "hello from one command", m.run(t, "docker run --rm --network none --quiet $REG/hello:v1"))
}

// dockerBuild builds an image that prints text when it is run. Images share
// their first layer.
func dockerBuild(t *testing.T, m *machine, name, text string) {
	t.Helper()
	m.write(t, "context/Dockerfile", `FROM scratch
COPY busybox /bin/busybox
COPY hello.txt /hello.txt
CMD ["/bin/busybox", "cat", "/hello.txt"]
`)
	m.write(t, "context/busybox", string(readFile(t, busybox(t))))
	m.write(t, "context/hello.txt", text)
	m.run(t, "chmod 755 context/busybox")
	m.vars["NAME"] = name
	m.run(t, "docker build --tag $REG/$NAME context")
}

var pushed = regexp.MustCompile(`digest: (sha256:[0-9a-f]{64}) size: \d+`)

// dockerPush pushes one tag and returns the digest of its manifest.
func dockerPush(t *testing.T, m *machine, name string) string {
	t.Helper()
	m.vars["NAME"] = name
	out := m.run(t, "docker push $REG/$NAME")
	found := pushed.FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("docker push %s names no digest:\n%s", name, out)
	}
	return found[1]
}
