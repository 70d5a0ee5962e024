package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// startGatewayTo runs "moorgate proxy" for alice in front of an upstream, whose
// settings are given as in the configuration file.
func startGatewayTo(t *testing.T, settings section) *registry {
	t.Helper()
	dir := t.TempDir()
	reg := &registry{ca: filepath.Join(dir, "ca.crt"), password: rand.Text()}
	cert, key := writeCertificates(t, dir)
	users := people{"alice": reg.password}.write(t, dir)
	file := filepath.Join(dir, "gateway.yaml")
	writeFile(t, file, fmt.Sprintf(audited+"login: [{htpasswd: {file: %s}}]\nupstreams: [%s]\n", users, asJSON(t, settings)))
	reg.Server = testserver.StartAs(t, "proxy", "--config", file, "--tls-cert", cert, "--tls-key", key)
	printLogAtFailure(t, reg.Server)
	return reg
}

// worksThrough fails the test unless alice can push, mount, list and pull
// through the gateway.
func worksThrough(t *testing.T, reg *registry) {
	t.Helper()
	m := reg.machine(t)
	m.env = append(m.env, "SSL_CERT_FILE="+reg.ca)
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from upstream\n")
	images.tag(t, image, "v1")
	m.vars["IMAGE"], m.vars["DIGEST"] = images.dir, image.Digest.String()
	m.runWith(t, reg.password, "crane auth login --username alice --password-stdin $REG")
	m.run(t, "crane push $IMAGE $REG/team/app:v1")
	m.run(t, "crane copy $REG/team/app:v1 $REG/other/app:v1")
	reg.sawRequest(t, "method=POST", "path=/v2/other/app/blobs/uploads/ ", "status=201") // mounted
	m.run(t, "crane pull --format oci $REG/other/app:v1 image")
	images.sameBlobs(t, filepath.Join(m.home, "image"))
	same(t, "v1", m.run(t, "crane ls $REG/team/app"))
	same(t, "other/app\nteam/app", m.run(t, "crane catalog $REG"))
	m.run(t, "crane delete $REG/other/app@$DIGEST")
	m.refused(t, "MANIFEST_UNKNOWN", "crane manifest $REG/other/app@$DIGEST")
	m.run(t, "crane validate --remote $REG/team/app:v1")
}

// brokenThrough fails the test unless the gateway cannot use its upstream, says
// so to its operator, and lets nobody without a password know.
func brokenThrough(t *testing.T, reg *registry, because string) {
	t.Helper()
	client := httpsClient(t, reg.ca)
	req := newRequest(t, http.MethodGet, reg.URL+"/v2/team/app/tags/list")
	wantStatus(t, client, req, http.StatusUnauthorized)
	req = newRequest(t, http.MethodGet, reg.URL+"/v2/team/app/tags/list")
	req.SetBasicAuth("alice", reg.password)
	wantStatus(t, client, req, http.StatusBadGateway)
	reg.sawRequest(t, "level=ERROR", because)
}

// TestGatewayUpstream reaches registries in each way there is.
func TestGatewayUpstream(t *testing.T) {
	t.Parallel()
	t.Run("with a password", upstreamPassword)
	t.Run("with tokens", upstreamTokens)
	t.Run("over a Unix socket", func(t *testing.T) {
		for _, kind := range peerKinds() {
			socket := filepath.Join(shortTempDir(t), "registry.sock")
			startPeer(t, kind, section{"http": section{"net": "unix", "addr": socket, "secret": "not one"}})
			worksThrough(t, startGatewayTo(t, section{"url": "unix:" + socket}))
		}
	})
	t.Run("over TLS", func(t *testing.T) {
		dir := t.TempDir()
		cert, key := writeCertificates(t, dir)
		tls := section{"certificate": cert, "key": key}
		for _, kind := range peerKinds() {
			reg := startPeer(t, kind, section{"http": section{"addr": "127.0.0.1:0", "secret": "not one", "tls": tls}})
			worksThrough(t, startGatewayTo(t, section{"url": "https://" + reg.Addr, "ca": filepath.Join(dir, "ca.crt")}))
			brokenThrough(t, startGatewayTo(t, section{"url": "https://" + reg.Addr}), "x509")
		}
	})
}

// upstreamPassword is a registry that lets in nobody but the gateway.
func upstreamPassword(t *testing.T) {
	dir := t.TempDir()
	own := people{"gateway": rand.Text()}
	users := own.write(t, dir)
	password, wrong := filepath.Join(dir, "password"), filepath.Join(dir, "wrong")
	writeFile(t, password, own["gateway"]+"\n")
	writeFile(t, wrong, wrongPassword+"\n")
	for _, kind := range peerKinds() {
		reg := startPeer(t, kind, section{"auth": section{"htpasswd": section{"realm": "upstream", "path": users}}})
		wantStatus(t, http.DefaultClient, newRequest(t, http.MethodGet, "http://"+reg.Addr+"/v2/"), http.StatusUnauthorized)
		worksThrough(t, startGatewayTo(t, section{"url": "http://" + reg.Addr, "username": "gateway", "password_file": password}))
		if kind == registry3 { // the other does not log who asks
			reg.sawRequest(t, "auth.user.name=gateway", "http.request.method=PUT", "/v2/team/app/manifests/v1")
			reg.sawNoRequest(t, "auth.user.name=alice")
		}
		brokenThrough(t, startGatewayTo(t, section{"url": "http://" + reg.Addr, "username": "gateway", "password_file": wrong}), "does not let the gateway in")
		brokenThrough(t, startGatewayTo(t, section{"url": "http://" + reg.Addr}), "401")
	}
}

// upstreamTokens is a registry that takes the tokens of a "moorgate token",
// where the gateway signs in as root.
func upstreamTokens(t *testing.T) {
	server := startTokenServer(t, "ES256", "two certificate", "three jwks")
	password := filepath.Join(t.TempDir(), "password")
	writeFile(t, password, server.people["root"])
	for service, kind := range map[string]peerKind{"two": registry2, "three": registry3} {
		keys := "certificate"
		if kind == registry3 {
			keys = "jwks"
		}
		config := server.trustedBy(t, service, keys)
		config["auth"].(section)["token"].(section)["realm"] = server.URL + "/token" // see trustedBy
		reg := startPeer(t, kind, config)
		settings := section{
			"url": "https://" + reg.Addr, "ca": server.ca, "username": "root", "password_file": password, "realms": []string{server.Addr},
		}
		worksThrough(t, startGatewayTo(t, settings))
		delete(settings, "realms") // the gateway sends its password nowhere else unless told to
		brokenThrough(t, startGatewayTo(t, settings), "it asks to log in at the token server "+server.URL)
	}
}
