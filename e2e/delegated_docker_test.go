package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// delegatedDocker is the life of an image with tokens: docker stores a refresh
// token instead of the password.
func delegatedDocker(t *testing.T, engine *engine, reg *delegated) {
	at := reg.as(t, "alice")
	engine.trust(t, at.Addr, at)
	m := engine.machine(t, at)
	for _, name := range []string{"team/docker:v1", "team/mounted:v1", "bob/docker:v1", "public/docker:v1"} {
		dockerBuild(t, m, name, "hello from a token to "+name+"\n")
	}
	t.Run("logs in, and keeps no password", func(t *testing.T) {
		m.refusedWith(t, wrongPassword, "unauthorized", "docker login --username alice --password-stdin $REG")
		dockerLogin(t, m, reg, "alice")
		if config := string(readFile(t, filepath.Join(m.home, ".docker", "config.json"))); !strings.Contains(config, "identitytoken") {
			t.Errorf("docker keeps no refresh token: %s", config)
		}
	})
	t.Run("pushes, pulls and runs where it may", func(t *testing.T) {
		dockerPush(t, m, "team/docker:v1")
		m.run(t, "docker image rm $REG/team/docker:v1")
		same(t, "hello from a token to team/docker:v1", m.run(t, "docker run --rm --network none --quiet $REG/team/docker:v1"))
	})
	t.Run("mounts shared layers from another repository", func(t *testing.T) {
		if out := m.run(t, "docker push $REG/team/mounted:v1"); !strings.Contains(out, "Mounted from team/docker") {
			t.Errorf("nothing was mounted:\n%s", out)
		}
	})
	t.Run("does nothing where it may not", func(t *testing.T) {
		m.refused(t, "denied: requested access to the resource is denied", "docker push $REG/bob/docker:v1")
		m.refused(t, "denied: requested access to the resource is denied", "docker push $REG/public/docker:v1")
		m.refused(t, "pull access denied", "docker pull $REG/bob/docker:v1")
	})
	t.Run("mounts nothing from what it may not read", func(t *testing.T) {
		// The engine still knows that the first layer is in team/docker.
		dockerLogin(t, m, reg, "bob")
		out := m.run(t, "docker push $REG/bob/docker:v1")
		if strings.Contains(out, "Mounted") || strings.Count(out, "Pushed") != 2 {
			t.Errorf("it was not all pushed:\n%s", out)
		}
		reg.sawRequest(t, `"POST /v2/bob/docker/blobs/uploads/?from=team`, ` 401 `)
		m.refused(t, "pull access denied", "docker pull $REG/team/docker:v1")
	})
	t.Run("nobody pulls what is public, and pushes nothing", func(t *testing.T) {
		dockerLogin(t, m, reg, "root")
		dockerPush(t, m, "public/docker:v1")
		m.run(t, "docker logout $REG")
		m.run(t, "docker image rm $REG/public/docker:v1")
		same(t, "hello from a token to public/docker:v1", m.run(t, "docker run --rm --network none --quiet $REG/public/docker:v1"))
		m.refused(t, "denied: requested access to the resource is denied", "docker push $REG/public/docker:v1")
		m.refused(t, "pull access denied", "docker pull $REG/team/docker:v1")
	})
	if reg.service == "two" {
		t.Run("a revoked refresh token is the end of a login", func(t *testing.T) { delegatedRevoke(t, m, reg) })
	}
}

// delegatedRevoke takes the logins of carol away.
func delegatedRevoke(t *testing.T, m *machine, reg *delegated) {
	dockerLogin(t, m, reg, "carol")
	m.run(t, "docker push $REG/team/docker:v1")
	m.vars["DATA"] = reg.trusts.DataDir
	if list := m.run(t, "moorgate token list --data $DATA --user carol"); strings.Count(list, " two ") != 1 || !strings.Contains(list, "docker") {
		t.Errorf("the refresh token of carol is not listed:\n%s", list)
	}
	same(t, "revoked 1 refresh token of carol", m.run(t, "moorgate token revoke --data $DATA --user carol"))
	m.refused(t, "unauthorized", "docker push $REG/team/docker:v1")
	m.refused(t, "unauthorized", "docker pull $REG/team/docker:v1")
	dockerLogin(t, m, reg, "carol")
	m.run(t, "docker push $REG/team/docker:v1")
}

func dockerLogin(t *testing.T, m *machine, reg *delegated, user string) {
	t.Helper()
	same(t, "Login Succeeded", m.runWith(t, reg.trusts.people[user], "docker login --username "+user+" --password-stdin $REG"))
}
