package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// certified is a registry that knows people by their certificates alone.
type certified struct {
	*registry
	dir string // the certificates of people, as "moorgate cert client" has made them
}

// certifiedRules let developers push, and anybody pull what is public: so clients are
// asked for a token, and with a certificate need none.
const certifiedRules = `
access:
  rules:
    - {who: "*", may: pull, repos: "public/**"}
    - {who: group:developers, may: [pull, push], repos: ["team/**", "public/**"]}
`

// startCertified runs a registry, or a gateway to the one at upstream, for alice, who
// is a developer, and bob.
func startCertified(t *testing.T, upstream string) *certified {
	t.Helper()
	testserver.Binary(t) // builds the moorgate that m runs
	m := newMachine(t)
	m.vars["HOSTS"] = "localhost,127.0.0.1," + awayIP
	m.run(t, "moorgate cert create --host $HOSTS --out certs")
	m.run(t, "moorgate cert client alice --group developers --out certs")
	m.run(t, "moorgate cert client bob --out certs")
	reg := &certified{registry: &registry{ca: filepath.Join(m.home, "certs", "ca.crt")}, dir: filepath.Join(m.home, "certs")}
	config := m.write(t, "moorgate.yaml", fmt.Sprintf(audited+"login:\n  - certificate: {ca: %s, groups: ou}\n%s", reg.ca, certifiedRules))
	args := []string{"--config", config, "--tls-cert", filepath.Join(reg.dir, "domain.crt"), "--tls-key", filepath.Join(reg.dir, "domain.key")}
	if upstream == "" {
		reg.Server = testserver.Start(t, args...)
	} else {
		reg.Server = testserver.StartAs(t, "proxy", append(args, "--upstream", upstream)...)
	}
	printLogAtFailure(t, reg.Server)
	return reg
}

// give puts the certificate of somebody where clients look for it; that of nobody is
// none.
func (c *certified) give(t *testing.T, dir, user string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"cert", "key"} {
		file := filepath.Join(dir, "client."+kind)
		if user != "" {
			writeFile(t, file, string(readFile(t, filepath.Join(c.dir, user+"."+kind))))
		} else if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCertificates lets real clients in by their certificates: nobody logs in.
func TestCertificates(t *testing.T) {
	t.Parallel()
	engine := startEngine(t)
	for name, start := range map[string]func() *certified{
		"a registry": func() *certified { return startCertified(t, "") },
		"a gateway":  func() *certified { return startCertified(t, startUpstream(t, registry3)) },
	} {
		t.Run(name, func(t *testing.T) {
			reg := start()
			t.Run("docker", func(t *testing.T) { certifiedDocker(t, engine, reg) })
			t.Run("skopeo and podman", func(t *testing.T) { certifiedContainers(t, reg) })
		})
	}
}

func certifiedDocker(t *testing.T, engine *engine, reg *certified) {
	m := engine.machine(t, reg.registry)
	engine.trust(t, m.vars["REG"], reg.registry)
	certs := filepath.Join(engine.dir, "etc", "certs.d", m.vars["REG"])
	dockerBuild(t, m, "team/app:v1", "hello from a certificate\n")
	dockerBuild(t, m, "public/app:v1", "hello to everybody\n")

	m.refused(t, "denied", "docker push $REG/team/app:v1")
	reg.give(t, certs, "bob")
	m.refused(t, "not known to registry, or not to you", "docker push $REG/team/app:v1")
	reg.give(t, certs, "alice")
	dockerPush(t, m, "team/app:v1")
	dockerPush(t, m, "public/app:v1")
	reg.sawRequest(t, "method=PUT", "path=/v2/team/app/manifests/v1 ", "user=alice", "status=201")
	m.run(t, "docker image rm $REG/team/app:v1")
	same(t, "hello from a certificate", m.run(t, "docker run --rm --network none --quiet $REG/team/app:v1"))

	reg.give(t, certs, "")
	m.run(t, "docker image rm --force $REG/team/app:v1 $REG/public/app:v1")
	m.refused(t, "denied", "docker pull $REG/team/app:v1")
	same(t, "hello to everybody", m.run(t, "docker run --rm --network none --quiet $REG/public/app:v1"))
}

// certifiedContainers uses the clients that take a folder of certificates, and look
// into one of their own.
func certifiedContainers(t *testing.T, reg *certified) {
	m := podmanMachine(t, reg.registry)
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from a certificate\n")
	images.tag(t, image, "v1")
	m.vars["OCI"], m.vars["CERTS"] = images.dir, filepath.Join(m.home, "alice")
	writeFile(t, filepath.Join(m.mkdir(t, "alice"), "ca.crt"), string(readFile(t, reg.ca)))
	reg.give(t, m.vars["CERTS"], "alice")
	m.run(t, "skopeo copy --dest-cert-dir $CERTS oci:$OCI:v1 docker://$REG/team/skopeo:v1")
	m.run(t, "podman pull --cert-dir $CERTS $REG/team/skopeo:v1")
	m.run(t, "podman push --cert-dir $CERTS $REG/team/skopeo:v1 docker://$REG/team/podman:v1")

	trustForContainers(t, m, reg.registry)
	m.refused(t, "denied", "skopeo inspect docker://$REG/team/skopeo:v1")
	reg.give(t, filepath.Join(m.home, ".config", "containers", "certs.d", reg.Addr), "alice")
	m.run(t, "skopeo copy docker://$REG/team/skopeo:v1 oci:back:v1")
	images.sameImage(t, image.Digest, filepath.Join(m.home, "back"))
}
