package e2e

import (
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// TestKeys signs in with keys instead of passwords, where clients are asked for a
// password, and where they are sent for a token.
func TestKeys(t *testing.T) {
	t.Parallel()
	engine := startEngine(t)
	for _, challenge := range []string{"basic", "bearer"} {
		t.Run(challenge, func(t *testing.T) {
			reg := startKeyRegistry(t, challenge)
			t.Run("docker", func(t *testing.T) { dockerKeys(t, engine, reg) })
			t.Run("skopeo", func(t *testing.T) { skopeoKeys(t, reg) })
		})
	}
}

// startKeyRegistry is startRegistry with rules.
func startKeyRegistry(t *testing.T, challenge string) *registry {
	t.Helper()
	dir := t.TempDir()
	reg := &registry{ca: filepath.Join(dir, "ca.crt"), password: rand.Text()}
	cert, key := writeCertificates(t, dir)
	users, file := filepath.Join(dir, "registry.password"), filepath.Join(dir, "moorgate.yaml")
	writeFile(t, users, hashLine(t, "alice", reg.password))
	writeFile(t, file, audited+`
token: {challenge: `+challenge+`}
access:
  rules:
    - {who: user:alice, may: [pull, push], repos: ["alice/**", "team/**"]}
    - {who: "*", deny: overwrite, repos: "team/**", tags: "v*", because: releases are final}
`)
	reg.Server = testserver.Start(t, "--config", file, "--tls-cert", cert, "--tls-key", key, "--htpasswd", users)
	printLogAtFailure(t, reg.Server)
	return reg
}

// key makes a key as the operator does, and returns it.
func (m *machine) key(t *testing.T, reg *registry, arguments string) string {
	t.Helper()
	m.vars["DATA"] = reg.DataDir
	made := m.run(t, "moorgate key create --data $DATA --expires 1h "+arguments)
	if !strings.HasPrefix(made, "mgk_") || strings.ContainsAny(made, " \n") {
		t.Fatalf("the operator gets %q", made)
	}
	return made
}

// dockerKeys pushes and pulls as a robot, until its key is revoked.
func dockerKeys(t *testing.T, engine *engine, reg *registry) {
	m := engine.machine(t, reg)
	engine.trust(t, m.vars["REG"], reg)
	dockerBuild(t, m, "team/app:v1", "hello from a robot\n")
	dockerBuild(t, m, "alice/app:v1", "hello from next door\n")
	key := m.key(t, reg, "--name ci-app --may push,pull:team/app")
	m.refusedWith(t, key, "unauthorized", "docker login --username alice --password-stdin $REG")
	m.refusedWith(t, key[:len(key)-1], "unauthorized", "docker login --username ci-app --password-stdin $REG")
	same(t, "Login Succeeded", m.runWith(t, key, "docker login --username ci-app --password-stdin $REG"))
	dockerPush(t, m, "team/app:v1")
	m.refused(t, "name unknown", "docker push $REG/alice/app:v1")
	m.run(t, "docker image rm $REG/team/app:v1")
	same(t, "hello from a robot", m.run(t, "docker run --rm --network none --pull always --quiet $REG/team/app:v1"))

	rotated := m.run(t, "moorgate key rotate ci-app --data $DATA")
	m.run(t, "docker pull $REG/team/app:v1")
	m.run(t, "docker logout $REG")
	m.runWith(t, rotated, "docker login --username ci-app --password-stdin $REG")
	m.run(t, "docker pull $REG/team/app:v1")
	m.run(t, "moorgate key revoke ci-app --data $DATA")
	m.refused(t, "unauthorized", "docker pull $REG/team/app:v1")
	neverLogged(t, reg, key, rotated)
}

// skopeoKeys copies as alice, with a key that may less than she.
func skopeoKeys(t *testing.T, reg *registry) {
	m := reg.machine(t)
	trustForContainers(t, m, reg)
	images := newLayout(t)
	images.tag(t, images.image(t, "amd64", "hello from skopeo\n"), "v1")
	m.vars["OCI"] = images.dir
	m.runWith(t, reg.password, "skopeo login --username alice --password-stdin $REG")
	m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/alice/app:v1")
	m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/alice/web:v1")
	m.run(t, "skopeo logout $REG")

	key := m.key(t, reg, "--name laptop --user alice --may pull:alice/app")
	m.runWith(t, key, "skopeo login --username alice --password-stdin $REG")
	m.run(t, "skopeo inspect docker://$REG/alice/app:v1")
	m.refused(t, "repository name not known", "skopeo inspect docker://$REG/alice/web:v1")
	m.refused(t, "the key laptop does not allow it", "skopeo copy oci:$OCI:v1 docker://$REG/alice/app:v2")
	m.run(t, "moorgate key revoke laptop --user alice --data $DATA")
	m.refused(t, "unauthorized", "skopeo inspect docker://$REG/alice/app:v1")
	neverLogged(t, reg, key)
}

// neverLogged fails the test if a key is in the log of the registry.
func neverLogged(t *testing.T, reg *registry, secrets ...string) {
	t.Helper()
	for _, key := range secrets {
		if strings.Contains(reg.Log(), key[20:60]) {
			t.Error("a key is in the log of the registry")
		}
	}
}
