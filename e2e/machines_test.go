package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/oidctest"
	"github.com/moorgate/moorgate/internal/testserver"
)

// TestMachineTokens is what jobs of a CI system do: they log in with the ID token that
// a real provider has signed for them, where passwords are asked for, and where clients
// are sent for a token.
func TestMachineTokens(t *testing.T) {
	t.Parallel()
	engine, provider := startEngine(t), oidctest.Start(t)
	for _, challenge := range []string{"basic", "bearer"} {
		reg := startForMachines(t, provider, challenge)
		t.Run("docker, "+challenge, func(t *testing.T) { machineDocker(t, engine, reg, provider) })
		t.Run("skopeo, "+challenge, func(t *testing.T) { machineSkopeo(t, reg, provider) })
	}
}

// startForMachines runs a registry where jobs push what they are about.
func startForMachines(t *testing.T, p *oidctest.Provider, challenge string) *registry {
	t.Helper()
	dir := t.TempDir()
	reg := &registry{ca: filepath.Join(dir, "ca.crt")}
	cert, key := writeCertificates(t, dir)
	config := filepath.Join(dir, "moorgate.yaml")
	writeFile(t, config, fmt.Sprintf(audited+`
token: {challenge: %s}
login:
  - name: ci
    oidc:
      issuer: %s
      ca: %s
      audience: registry.example
      require: 'claims.owner == "acme"'
      user: '"job:" + claims.project'
access:
  rules:
    - {who: "user:job:*", may: pull, repos: "**"}
    - {who: "user:job:*", may: push, repos: "acme/**", when: 'claims.ref == "main" && repo == claims.project'}
`, challenge, p.Issuer, p.CA))
	reg.Server = testserver.Start(t, "--tls-cert", cert, "--tls-key", key, "--config", config)
	printLogAtFailure(t, reg.Server)
	return reg
}

// jobToken is the ID token of a job.
func jobToken(t *testing.T, p *oidctest.Provider, project, ref, audience string) string {
	t.Helper()
	token := p.Token(t, map[string]any{"sub": "job of " + project, "aud": audience, "owner": "acme", "project": project, "ref": ref})
	testserver.Secret(token)
	return token
}

func machineDocker(t *testing.T, engine *engine, reg *registry, p *oidctest.Provider) {
	m := engine.machine(t, reg)
	engine.trust(t, m.vars["REG"], reg)
	dockerBuild(t, m, "acme/app:v1", "hello from a job\n")
	dockerBuild(t, m, "acme/other:v1", "hello from another job\n")

	login := "docker login -u oidc --password-stdin $REG"
	m.refusedWith(t, jobToken(t, p, "acme/app", "main", "sts.example"), "unauthorized", login)
	m.refusedWith(t, "a password", "unauthorized", login)
	same(t, "Login Succeeded", m.runWith(t, jobToken(t, p, "acme/app", "main", "registry.example"), login))
	dockerPush(t, m, "acme/app:v1")
	m.refused(t, "denied", "docker push $REG/acme/other:v1")
	m.run(t, "docker image rm $REG/acme/app:v1")

	same(t, "Login Succeeded", m.runWith(t, jobToken(t, p, "acme/app", "feature", "registry.example"), login))
	same(t, "hello from a job", m.run(t, "docker run --rm --network none --quiet $REG/acme/app:v1"))
	m.refused(t, "denied", "docker push $REG/acme/app:v1")
	if config := string(readFile(t, filepath.Join(m.home, ".docker", "config.json"))); strings.Contains(config, "identitytoken") {
		t.Errorf("docker keeps a refresh token, which outlives the job: %s", config)
	}
}

func machineSkopeo(t *testing.T, reg *registry, p *oidctest.Provider) {
	m := reg.machine(t)
	trustForContainers(t, m, reg)
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from skopeo\n")
	images.tag(t, image, "v1")
	m.vars["OCI"] = images.dir

	m.runWith(t, jobToken(t, p, "acme/tool", "main", "registry.example"), "skopeo login --username oidc --password-stdin $REG")
	m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/acme/tool:v1")
	m.refused(t, "denied", "skopeo copy oci:$OCI:v1 docker://$REG/acme/else:v1")
	m.run(t, "skopeo copy docker://$REG/acme/tool:v1 oci:back:v1")
	images.sameImage(t, image.Digest, filepath.Join(m.home, "back"))
}
