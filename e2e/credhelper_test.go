package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/oidctest"
	"github.com/moorgate/moorgate/internal/testserver"
)

// TestCredentialHelper lets clients keep their logins by docker-credential-moorgate.
func TestCredentialHelper(t *testing.T) {
	t.Parallel()
	engine := startEngine(t)
	t.Run("docker", func(t *testing.T) { helperDocker(t, engine, startRegistry(t)) })
	t.Run("docker, several at once", func(t *testing.T) { helperAtOnce(t, engine, startRegistry(t)) })
	t.Run("docker where anybody may pull", func(t *testing.T) { helperPublic(t, engine) })
	t.Run("skopeo", func(t *testing.T) { helperSkopeo(t, startRegistry(t)) })
	t.Run("podman", func(t *testing.T) { helperPodman(t, startRegistry(t)) })
	t.Run("a key", helperKey)
	t.Run("a registry of others", helperDelegated)
	t.Run("a person at an identity provider", helperPerson)
}

// installHelper puts the program into the PATH of m under the name that clients run.
func installHelper(t *testing.T, m *machine) {
	t.Helper()
	dir := m.mkdir(t, "bin")
	if err := os.Symlink(testserver.Binary(t), filepath.Join(dir, "docker-credential-moorgate")); err != nil {
		t.Fatal(err)
	}
	m.vars["HELPER"] = filepath.Join(dir, "docker-credential-moorgate")
	m.env = append(m.env, "PATH="+dir+string(os.PathListSeparator)+searchPath())
}

// helperConfig is what makes clients use the helper for a registry.
func helperConfig(reg string) string {
	return fmt.Sprintf("{\"credHelpers\": {%q: \"moorgate\"}}\n", reg)
}

// dockerWithHelper returns a machine whose docker uses the helper for reg.
func dockerWithHelper(t *testing.T, engine *engine, reg *registry) *machine {
	t.Helper()
	m := engine.machine(t, reg)
	installHelper(t, m)
	engine.trust(t, m.vars["REG"], reg)
	m.write(t, filepath.Join(".config", "docker", "certs.d", m.vars["REG"], "ca.crt"), string(readFile(t, reg.ca)))
	m.env = append(m.env, "HTTPS_PROXY="+engine.detour.URL)
	m.write(t, ".docker/config.json", helperConfig(m.vars["REG"]))
	return m
}

// wantNoSecret fails the test if a file of m, but those of the helper, has something to
// sign in with, or any file has the password; or the log of the registry has.
func wantNoSecret(t *testing.T, m *machine, reg *registry, password string) {
	t.Helper()
	err := filepath.WalkDir(m.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() > 1<<20 {
			return err
		}
		text := string(readFile(t, path))
		if strings.Contains(text, password) {
			t.Errorf("%s has the password", path)
		}
		if filepath.Base(path) == "credential.json" && info.Mode() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if strings.Contains(text, `"auth":`) || strings.Contains(text, `"identitytoken":`) {
			t.Errorf("%s has something to sign in with: %s", path, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(reg.Log(), password) {
		t.Error("the log of the registry has the password")
	}
}

func helperDocker(t *testing.T, engine *engine, reg *registry) {
	m := dockerWithHelper(t, engine, reg)
	dockerBuild(t, m, "team/app:v1", "hello from a session\n")
	m.refused(t, "no basic auth credentials", "docker push $REG/team/app:v1")
	m.refusedWith(t, wrongPassword, "unauthorized", "docker login --username alice --password-stdin $REG")
	same(t, "Login Succeeded", m.runWith(t, reg.password, "docker login --username alice --password-stdin $REG"))
	dockerPush(t, m, "team/app:v1")
	m.run(t, "docker image rm $REG/team/app:v1")
	same(t, "hello from a session", m.run(t, "docker run --rm --network none --quiet $REG/team/app:v1"))
	same(t, fmt.Sprintf("{%q:\"alice\"}", m.vars["REG"]), m.run(t, "$HELPER list"))
	wantNoSecret(t, m, reg, reg.password)

	// Mallory has docker ask for what is not hers.
	m.refusedWith(t, "mallory.example", "credentials not found in native keychain", "$HELPER get")

	m.run(t, "docker logout $REG")
	m.refused(t, "no basic auth credentials", "docker pull $REG/team/app:v1")
	m.refusedWith(t, m.vars["REG"], "credentials not found in native keychain", "$HELPER get")

	// What docker says when the server is away.
	m.runWith(t, reg.password, "docker login --username alice --password-stdin $REG")
	expire(t, m, m.vars["REG"])
	if err := reg.Stop(); err != nil {
		t.Fatal(err)
	}
	m.refusedWith(t, m.vars["REG"], "it cannot be reached", "$HELPER get")
}

// expire makes the session that m keeps for a registry one that is over.
func expire(t *testing.T, m *machine, reg string) {
	t.Helper()
	path := filepath.Join(m.home, ".config", "moorgate", "credentials", reg, "credential.json")
	var kept map[string]any
	fromJSON(t, readFile(t, path), &kept)
	session, ok := kept["session"].(map[string]any)
	if !ok {
		t.Fatalf("no session in %v", kept)
	}
	session["issued"], session["expires"], session["secret"] = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "over"
	text, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(text))
}

// helperAtOnce has several dockers ask when the session is over.
func helperAtOnce(t *testing.T, engine *engine, reg *registry) {
	m := dockerWithHelper(t, engine, reg)
	m.runWith(t, reg.password, "docker login --username alice --password-stdin $REG")
	dockerBuild(t, m, "team/app:v1", "hello at once\n")
	expire(t, m, m.vars["REG"])
	var all sync.WaitGroup
	for i := range 3 {
		command := fmt.Sprintf("docker push $REG/team/app:v%d", i+1)
		if i > 0 {
			m.run(t, fmt.Sprintf("docker tag $REG/team/app:v1 $REG/team/app:v%d", i+1))
		}
		all.Go(func() {
			if err := m.exec(t, nil, io.Discard, io.Discard, command); err != nil {
				t.Errorf("%s: %v", command, err)
			}
		})
	}
	all.Wait()
}

// helperPublic uses a registry that sends clients for tokens: docker login gets a
// refresh token there, and moorgate login does not leave one to docker.
func helperPublic(t *testing.T, engine *engine) {
	reg := startConfigured(t, "access: {rules: [{who: \"*\", may: pull, repos: \"**\"}, {who: user:alice, may: push, repos: \"**\"}]}\n")
	m := dockerWithHelper(t, engine, reg)
	dockerBuild(t, m, "team/app:v1", "hello to all\n")
	same(t, "Login Succeeded", m.runWith(t, reg.password, "docker login --username alice --password-stdin $REG"))
	dockerPush(t, m, "team/app:v1")
	m.runWith(t, reg.password, "moorgate login $REG --username alice")
	wantNoSecret(t, m, reg, reg.password)
	same(t, fmt.Sprintf("{%q:\"alice\"}", m.vars["REG"]), m.run(t, "$HELPER list"))
	dockerBuild(t, m, "team/app:v2", "hello once more\n")
	dockerPush(t, m, "team/app:v2")
	m.run(t, "moorgate logout $REG")
	m.refused(t, "denied", "docker push $REG/team/app:v1")
	m.run(t, "docker pull $REG/team/app:v2")
}

// startConfigured is startRegistry with more in its configuration, which may name other
// users.
func startConfigured(t *testing.T, config string) *registry {
	t.Helper()
	dir := t.TempDir()
	p := newPeople()
	reg := &registry{ca: filepath.Join(dir, "ca.crt"), password: p["alice"]}
	cert, key := writeCertificates(t, dir)
	file := filepath.Join(dir, "moorgate.yaml")
	if !strings.Contains(config, "login:") {
		config += fmt.Sprintf("login: [{htpasswd: {file: %q}}]\n", p.write(t, dir))
	}
	writeFile(t, file, audited+config)
	reg.Server = testserver.Start(t, "--config", file, "--tls-cert", cert, "--tls-key", key)
	printLogAtFailure(t, reg.Server)
	return reg
}

func helperSkopeo(t *testing.T, reg *registry) {
	m := reg.machine(t)
	installHelper(t, m)
	trustForContainers(t, m, reg)
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from skopeo\n")
	images.tag(t, image, "v1")
	m.vars["OCI"] = images.dir
	auth := m.write(t, "auth.json", helperConfig(reg.Addr))
	m.env = append(m.env, "REGISTRY_AUTH_FILE="+auth)

	m.refused(t, "unauthorized", "skopeo copy oci:$OCI:v1 docker://$REG/team/app:v1")
	m.runWith(t, reg.password, "skopeo login --username alice --password-stdin $REG")
	m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/team/app:v1")
	m.run(t, "skopeo copy docker://$REG/team/app:v1 oci:back:v1")
	images.sameImage(t, image.Digest, filepath.Join(m.home, "back"))
	wantNoSecret(t, m, reg, reg.password)

	// A session that is over is renewed, and nobody notices.
	expire(t, m, reg.Addr)
	m.run(t, "skopeo inspect docker://$REG/team/app:v1")
	reg.sawRequest(t, "path=/token", "status=200")
	m.run(t, "skopeo logout $REG")
	m.refused(t, "unauthorized", "skopeo inspect docker://$REG/team/app:v1")
}

func helperPodman(t *testing.T, reg *registry) {
	m := podmanMachine(t, reg)
	installHelper(t, m)
	trustForContainers(t, m, reg)
	images := newLayout(t)
	images.tag(t, images.image(t, "amd64", "hello from podman\n"), "v1")
	m.vars["OCI"] = images.dir
	m.env = append(m.env, "REGISTRY_AUTH_FILE="+m.write(t, "auth.json", helperConfig(reg.Addr)))
	m.runWith(t, reg.password, "podman login --username alice --password-stdin $REG")
	m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/team/app:v1")
	m.run(t, "podman pull $REG/team/app:v1")
	m.run(t, "podman logout $REG")
	m.refused(t, "unauthorized", "podman pull $REG/team/app:v1")
}

// helperKey keeps a key, which gets no refresh token: clients still see sessions only,
// and these end when the key is revoked.
func helperKey(t *testing.T) {
	reg := startRegistry(t)
	m := reg.machine(t)
	installHelper(t, m)
	trustForContainers(t, m, reg)
	images := newLayout(t)
	images.tag(t, images.image(t, "amd64", "hello from a key\n"), "v1")
	m.vars["OCI"], m.vars["DATA"] = images.dir, reg.DataDir
	m.env = append(m.env, "REGISTRY_AUTH_FILE="+m.write(t, "auth.json", helperConfig(reg.Addr)))
	key := m.run(t, "moorgate key create --data $DATA --name ci --may pull,push:team/app --expires 1d")
	m.runWith(t, key, "skopeo login --username ci --password-stdin $REG")
	m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/team/app:v1")
	m.refused(t, "name unknown", "skopeo copy oci:$OCI:v1 docker://$REG/team/other:v1")
	if got := m.runWith(t, reg.Addr, "$HELPER get"); strings.Contains(got, key) || !strings.Contains(got, `"Username":"ci"`) {
		t.Errorf("the client gets %s", got)
	}
	m.run(t, "moorgate key revoke --data $DATA ci")
	m.refused(t, "unauthorized", "skopeo inspect docker://$REG/team/app:v1")
	expire(t, m, reg.Addr)
	m.refusedWith(t, reg.Addr, "sign in again", "$HELPER get")
}

// helperDelegated signs in to a registry of others that trusts a token server of ours:
// sessions come from there, and are good for its tokens.
func helperDelegated(t *testing.T) {
	server := startTokenServer(t, "ES256", "three jwks")
	reg := server.startTrusting(t, registry3, "three", "jwks")
	m := reg.machine(t)
	installHelper(t, m)
	images := newLayout(t)
	images.tag(t, images.image(t, "amd64", "hello from others\n"), "v1")
	m.vars["OCI"] = images.dir
	trustForContainers(t, m, &registry{Server: &testserver.Server{Addr: m.vars["REG"]}, ca: server.ca})
	m.env = append(m.env, "REGISTRY_AUTH_FILE="+m.write(t, "auth.json", helperConfig(m.vars["REG"])))
	m.runWith(t, server.people["alice"], "moorgate login $REG --username alice")
	m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/team/app:v1")
	m.refused(t, "denied", "skopeo copy oci:$OCI:v1 docker://$REG/bob/app:v1")
}

// helperPerson signs in at an identity provider, from a terminal that has no browser.
func helperPerson(t *testing.T) {
	p := oidctest.Start(t)
	reg := startConfigured(t, fmt.Sprintf(`
login:
  - oidc: {issuer: %s, ca: %s, audience: %s, user: claims.sub, require: "true"}
access: {rules: [{who: user:ada, may: [pull, push], repos: "**"}]}
`, p.Issuer, p.CA, oidctest.Client))
	m := reg.machine(t)
	installHelper(t, m)
	trustForContainers(t, m, reg)
	images := newLayout(t)
	images.tag(t, images.image(t, "amd64", "hello from ada\n"), "v1")
	m.vars["OCI"], m.vars["ISSUER"], m.vars["ICA"], m.vars["CLIENT"] = images.dir, p.Issuer, p.CA, oidctest.Client
	m.env = append(m.env, "REGISTRY_AUTH_FILE="+m.write(t, "auth.json", helperConfig(reg.Addr)))

	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := m.exec(t, nil, io.Discard, in, "moorgate login $REG --issuer $ISSUER --issuer-ca $ICA --client-id $CLIENT")
		done <- err
		_ = in.CloseWithError(io.EOF)
	}()
	lines := bufio.NewScanner(out)
	code, said := "", ""
	for code == "" && lines.Scan() {
		said += lines.Text() + "\n"
		if found := regexp.MustCompile(`type the code (\S+)`).FindStringSubmatch(lines.Text()); found != nil {
			code = found[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if code == "" {
		t.Fatalf("no code is shown:\n%s", said)
	}
	p.Approve(t, code, oidctest.Ada, oidctest.AdaPassword)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	m.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/team/app:v1")
	reg.sawRequest(t, "user=ada", "path=/v2/team/app/manifests/v1")
	expire(t, m, reg.Addr)
	m.run(t, "skopeo inspect docker://$REG/team/app:v1")
	expire(t, m, reg.Addr) // the refresh token is another one now
	m.run(t, "skopeo inspect docker://$REG/team/app:v1")
	wantNoSecret(t, m, reg, oidctest.AdaPassword)

	p.Stop()
	p.Restart(t) // it has forgotten everybody
	expire(t, m, reg.Addr)
	m.refused(t, "sign in again with moorgate login", "skopeo inspect docker://$REG/team/app:v1")
}
