package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/testserver"
)

// TestDelegatedAlgorithms proves the signatures other than ES256, which is that
// of TestDelegated.
func TestDelegatedAlgorithms(t *testing.T) {
	t.Parallel()
	for algorithm, kinds := range map[string]map[string]peerKind{
		"RS256": {"two certificate": registry2, "three certificate": registry3, "jwks jwks": registry3},
		"EdDSA": {"three certificate": registry3, "jwks jwks": registry3}, // registry 2.8 does not know it
	} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			server := startTokenServer(t, algorithm, "two certificate", "three certificate", "jwks jwks")
			images := newLayout(t)
			images.tag(t, images.image(t, "amd64", "signed with "+algorithm), "v1")
			for service, kind := range kinds {
				name, keys, _ := strings.Cut(service, " ")
				t.Run(string(kind)+" with "+keys, func(t *testing.T) {
					reg := server.startTrusting(t, kind, name, keys)
					m := reg.craneUser(t, "alice")
					m.vars["IMAGE"] = images.dir
					m.run(t, "crane push $IMAGE $REG/team/app:v1")
					m.run(t, "crane validate --remote $REG/team/app:v1")
					m.refused(t, "UNAUTHORIZED", "crane push $IMAGE $REG/bob/app:v1")
					m.runWith(t, server.people["alice"], "skopeo login --username alice --password-stdin $REG")
					m.run(t, "skopeo inspect docker://$REG/team/app:v1")
				})
			}
		})
	}
}

// TestDelegatedRotation changes the signing key while registries run. Those with
// our authority take the new key by its certificate; those with a list of keys
// take it when they have read the new list.
func TestDelegatedRotation(t *testing.T) {
	t.Parallel()
	server := startTokenServer(t, "ES256", "two certificate", "three certificate", "jwks jwks")
	two := server.startTrusting(t, registry2, "two", "certificate")
	three := server.startTrusting(t, registry3, "three", "certificate")
	jwks := server.startTrusting(t, registry3, "jwks", "jwks")
	images := newLayout(t)
	image := images.image(t, "amd64", "signed with one key after the other")
	images.tag(t, image, "v1")
	all := []*delegated{two, three, jwks}
	machines, tokens := map[*delegated]*machine{}, map[*delegated]string{}
	for _, reg := range all {
		machines[reg] = reg.craneUser(t, "alice")
		machines[reg].vars["IMAGE"], machines[reg].vars["DATA"] = images.dir, server.DataDir
		machines[reg].run(t, "crane push $IMAGE $REG/team/app:v1")
		tokens[reg] = reg.token(t, "alice", "repository:team/app:pull")
	}

	m := machines[two]
	m.run(t, "moorgate token rotate --now --data $DATA")
	if keys := m.run(t, "moorgate token keys --data $DATA"); strings.Count(keys, "ES256") != 2 {
		t.Errorf("there are not two keys:\n%s", keys)
	}
	for _, reg := range all {
		if token := reg.token(t, "alice", "repository:team/app:pull"); keyID(t, token) == keyID(t, tokens[reg]) {
			t.Error("the new key does not sign")
		}
		reg.with(t, tokens[reg], http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1")
	}
	for _, reg := range []*delegated{two, three} {
		machines[reg].run(t, "crane push $IMAGE $REG/team/rotated:v1")
		machines[reg].run(t, "crane validate --remote $REG/team/rotated:v1")
	}
	machines[jwks].refused(t, "UNAUTHORIZED", "crane manifest $REG/team/app:v1")

	jwks.restart(t)
	m = jwks.craneUser(t, "alice")
	m.vars["IMAGE"] = images.dir
	m.run(t, "crane validate --remote $REG/team/app:v1")
	m.run(t, "crane push $IMAGE $REG/team/rotated:v1")
	jwks.with(t, tokens[jwks], http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1")
}

// keyID returns the header of a token, which names its key.
func keyID(t *testing.T, token string) string {
	t.Helper()
	header, _, ok := strings.Cut(token, ".")
	if !ok {
		t.Fatal("a token is not one")
	}
	return header
}

// TestForeignTokenServer runs a moorgate that has no users of its own and
// accepts the tokens of another server.
func TestForeignTokenServer(t *testing.T) {
	t.Parallel()
	server := startTokenServer(t, "ES256", "registry.example jwks")
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from a foreign token\n")
	images.tag(t, image, "v1")
	for name, keys := range map[string]string{
		"keys at a URL":  fmt.Sprintf("keys_url: %s/.well-known/jwks.json, ca: %s, refresh: 1s", server.URL, server.ca),
		"keys in a file": fmt.Sprintf("keys_file: %s", filepath.Join(server.DataDir, "token", "jwks.json")),
	} {
		t.Run(name, func(t *testing.T) {
			config := fmt.Sprintf(audited+"token: {accept: [{issuer: the gate, service: registry.example, realm: %q, %s}]}\n", server.realm(t), keys)
			file := filepath.Join(t.TempDir(), "moorgate.yaml")
			writeFile(t, file, config)
			own := testserver.Start(t, "--config", file, "--tls-cert", server.cert, "--tls-key", server.key)
			printLogAtFailure(t, own)
			reg := &delegated{peer: &peer{Addr: own.Addr}, trusts: server, service: "registry.example"}
			foreignClients(t, reg, images)
			foreignRotation(t, reg)
		})
	}
}

func foreignClients(t *testing.T, reg *delegated, images *layout) {
	t.Helper()
	alice, nobody := reg.craneUser(t, "alice"), reg.craneUser(t, "")
	alice.vars["IMAGE"], nobody.vars["IMAGE"] = images.dir, images.dir
	alice.run(t, "crane push $IMAGE $REG/team/app:v1")
	alice.run(t, "crane pull --format oci $REG/team/app:v1 image")
	images.sameBlobs(t, filepath.Join(alice.home, "image"))
	alice.run(t, "crane copy $REG/team/app:v1 $REG/team/copy:v1")
	alice.refused(t, "UNAUTHORIZED", "crane push $IMAGE $REG/bob/app:v1")
	alice.refused(t, "UNAUTHORIZED", "crane push $IMAGE $REG/public/app:v1")
	nobody.refused(t, "UNAUTHORIZED", "crane manifest $REG/team/app:v1")
	nobody.refused(t, "UNAUTHORIZED", "crane push $IMAGE $REG/public/app:v1")
	root := reg.craneUser(t, "root")
	root.vars["IMAGE"] = images.dir
	root.run(t, "crane push $IMAGE $REG/public/app:v1")
	nobody.run(t, "crane validate --remote $REG/public/app:v1")

	bob := reg.machine(t)
	bob.vars["OCI"] = images.dir
	bob.refusedWith(t, wrongPassword, "invalid username/password", "skopeo login --username bob --password-stdin $REG")
	bob.runWith(t, reg.trusts.people["bob"], "skopeo login --username bob --password-stdin $REG")
	bob.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/bob/app:v1")
	bob.run(t, "skopeo copy docker://$REG/bob/app:v1 oci:back:v1")
	images.sameBlobs(t, filepath.Join(bob.home, "back"))
	bob.refused(t, "denied", "skopeo inspect docker://$REG/team/app:v1")
}

// foreignRotation changes the key of the token server while the registry runs:
// it notices by itself.
func foreignRotation(t *testing.T, reg *delegated) {
	t.Helper()
	old := reg.token(t, "alice", "repository:team/app:pull")
	m := reg.craneUser(t, "alice")
	m.vars["DATA"] = reg.trusts.DataDir
	m.run(t, "moorgate token rotate --now --data $DATA")
	if keyID(t, old) == keyID(t, reg.token(t, "alice", "repository:team/app:pull")) {
		t.Error("the new key does not sign")
	}
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for token := reg.token(t, "alice", "repository:team/app:pull"); !reg.takes(t, token); {
		select {
		case <-deadline.C:
			t.Fatal("the registry does not take the new key")
		case <-tick.C:
		}
	}
	m.run(t, "crane validate --remote $REG/team/app:v1")
	reg.with(t, old, http.StatusOK, http.MethodGet, "/v2/team/app/manifests/v1")
}

// takes reports whether the registry lets in who has the token.
func (d *delegated) takes(t *testing.T, token string) bool {
	t.Helper()
	req := newRequest(t, http.MethodGet, "https://"+d.Addr+"/v2/team/app/manifests/v1")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := httpsClient(t, d.trusts.ca).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
