package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/moorgate/moorgate/internal/testserver"
)

// issuer is a token server as others write one: RSA keys of a name of its own
// choice, RS256, tokens for several audiences at once, the name access_token, and
// nothing that the protocol does not ask for. Alice may do everything in team/.
type issuer struct {
	people people

	mu   sync.Mutex
	keys []jose.JSONWebKey // the last one signs
}

// rotate makes a new key. The ones before are published no more.
func (s *issuer) rotate(t *testing.T, id string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = []jose.JSONWebKey{{Key: key, KeyID: id, Algorithm: "RS256", Use: "sig"}}
}

func (s *issuer) signer() jose.JSONWebKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[len(s.keys)-1]
}

func (s *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer any
	switch r.URL.Path {
	case "/keys":
		// Beside ours a key that nobody can use here, as others have too.
		key := s.signer()
		public := key.Public()
		answer = map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "secp256k1", "kid": "coin", "x": "AA", "y": "AA"}, public}}
	case "/auth":
		user, password, ok := r.BasicAuth()
		if ok && (s.people[user] == "" || s.people[user] != password) {
			http.Error(w, "wrong", http.StatusUnauthorized)
			return
		}
		text, err := s.token(user, r.URL.Query().Get("service"), r.URL.Query()["scope"])
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer = map[string]any{"access_token": text, "token": text, "expires_in": 60}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// token signs what is asked for, as far as it is in team/ and by alice.
func (s *issuer) token(user, service string, scopes []string) (string, error) {
	type grant struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Actions []string `json:"actions"`
	}
	grants := []grant{}
	for _, scope := range scopes {
		part := strings.Split(scope, ":")
		if user == "alice" && len(part) == 3 && strings.HasPrefix(part[1], "team/") {
			grants = append(grants, grant{part[0], part[1], strings.Split(part[2], ",")})
		}
	}
	key := s.signer()
	sign, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	now := time.Now()
	return jwt.Signed(sign).Claims(map[string]any{
		"iss": "https://login.example.com", "sub": user, "aud": []string{"something else", service},
		"exp": now.Add(time.Minute).Unix(), "nbf": now.Unix(), "iat": now.Unix(), "jti": rand.Text(), "access": grants,
	}).Serialize()
}

// startIssuer runs an issuer over TLS.
func startIssuer(t *testing.T) (*tokenServer, *issuer) {
	t.Helper()
	dir := t.TempDir()
	s := &tokenServer{ca: filepath.Join(dir, "ca.crt"), people: newPeople(), detour: startDetour(t)}
	s.cert, s.key = writeCertificates(t, dir)
	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	issuing := &issuer{people: s.people}
	issuing.rotate(t, "2026-10")
	server := &http.Server{Handler: issuing, ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ServeTLS(listener, "", "") }) // until it is closed
	t.Cleanup(func() { _ = server.Close(); serving.Wait() })
	addr := listener.Addr().String()
	s.Server = &testserver.Server{Addr: addr, URL: "https://" + addr}
	return s, issuing
}

// TestATokenServerOfOthers runs a moorgate that has no users, and sends its
// clients to a token server that is not ours.
func TestATokenServerOfOthers(t *testing.T) {
	t.Parallel()
	server, issuing := startIssuer(t)
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from a token of others\n")
	images.tag(t, image, "v1")
	file := filepath.Join(t.TempDir(), "moorgate.yaml")
	writeFile(t, file, fmt.Sprintf(audited+"token: {accept: [{issuer: %q, service: registry.example, realm: %q, keys_url: %q, ca: %q, refresh: 1s}]}\n",
		"https://login.example.com", "https://"+away(t, server.Addr)+"/auth", server.URL+"/keys", server.ca))
	own := testserver.Start(t, "--config", file, "--tls-cert", server.cert, "--tls-key", server.key)
	printLogAtFailure(t, own)
	reg := &delegated{peer: &peer{Addr: own.Addr}, trusts: server, service: "registry.example"}

	alice, bob, nobody := reg.craneUser(t, "alice"), reg.craneUser(t, "bob"), reg.craneUser(t, "")
	for _, m := range []*machine{alice, bob, nobody} {
		m.vars["IMAGE"], m.vars["OCI"] = images.dir, images.dir
	}
	alice.run(t, "crane push $IMAGE $REG/team/app:v1")
	alice.run(t, "crane copy $REG/team/app:v1 $REG/team/copy:v1")
	alice.refused(t, "UNAUTHORIZED", "crane push $IMAGE $REG/other/app:v1")
	bob.refused(t, "UNAUTHORIZED", "crane manifest $REG/team/app:v1")
	nobody.refused(t, "UNAUTHORIZED", "crane manifest $REG/team/app:v1")
	alice.runWith(t, server.people["alice"], "skopeo login --username alice --password-stdin $REG")
	alice.run(t, "skopeo copy docker://$REG/team/app:v1 oci:back:v1")
	images.sameBlobs(t, filepath.Join(alice.home, "back"))

	get := func(token string, want int) {
		t.Helper()
		reg.with(t, token, want, http.MethodGet, "/v2/team/app/manifests/v1")
	}
	text := func(service string) string {
		t.Helper()
		token, err := issuing.token("alice", service, []string{"repository:team/app:pull"})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	old := text("registry.example")
	get(old, http.StatusOK)
	get(text("registry.example.org"), http.StatusUnauthorized)

	issuing.rotate(t, "2026-11")
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !reg.takes(t, text("registry.example")) {
		select {
		case <-deadline.C:
			t.Fatal("the registry does not take the new key")
		case <-tick.C:
		}
	}
	get(old, http.StatusUnauthorized) // its key is published no more
}
