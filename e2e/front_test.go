package e2e

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/testserver"
)

// Addresses of this machine: nginx comes from the first, and others from others.
const (
	frontIP   = "127.0.0.2"
	malloryIP = "127.0.0.1"
)

// fronted is a registry behind a real nginx that signs people in: alice, who is a
// developer, and bob, with the configuration that the page about it shows.
type fronted struct {
	*registry                    // nginx, as clients see it
	behind    *testserver.Server // moorgate itself
	secret    string
	people    people
}

// frontConfig is what the page about fronts says, made one for addresses of tests.
const frontConfig = `
trusted_proxies: %[1]s
login:
  - front:
      from: %[1]s
      secret_file: %[2]s
      groups: X-Forwarded-Groups
access:
  rules:
    - {who: group:developers, may: [pull, push], repos: "team/**"}
    - {who: "user:*", may: [pull, push], repos: "home/${user}/**"}
`

// startFronted runs both. more goes into the server block of nginx.
func startFronted(t *testing.T, more string) *fronted {
	t.Helper()
	dir := t.TempDir()
	f := &fronted{registry: &registry{ca: filepath.Join(dir, "ca.crt")}, secret: rand.Text(), people: people{"alice": rand.Text(), "bob": rand.Text()}}
	cert, key := writeCertificates(t, dir)
	users := f.people.write(t, dir)
	secret, config := filepath.Join(dir, "front.secret"), filepath.Join(dir, "moorgate.yaml")
	testserver.Secret(f.secret)
	writeFile(t, secret, f.secret+"\n")
	writeFile(t, config, fmt.Sprintf(audited+frontConfig, frontIP, secret))
	f.behind = testserver.Start(t, "--config", config)
	printLogAtFailure(t, f.behind)
	addr := "127.0.0.1:" + freePort(t)
	f.Server = &testserver.Server{Addr: addr, URL: "https://" + addr}
	startNginx(t, dir, f.URL, strings.NewReplacer(
		"listen 443 ssl", "listen "+f.Addr+" ssl",
		"/etc/nginx/domain.crt", cert, "/etc/nginx/domain.key", key, "/etc/nginx/users", users,
		"http://127.0.0.1:5000", f.behind.URL,
		strings.Repeat("0", 64), f.secret,
		"location / {", more+"\nlocation / {\nproxy_bind "+frontIP+";",
	).Replace(frontPage(t)))
	return f
}

var nginxBlock = regexp.MustCompile("(?s)```nginx\n(.*?)```\n")

// frontPage returns the configuration of nginx that the page about fronts shows.
func frontPage(t *testing.T) string {
	t.Helper()
	found := nginxBlock.FindSubmatch(readFile(t, filepath.Join("..", "docs", "login", "front.md")))
	if found == nil {
		t.Fatal("the page shows no configuration of nginx")
	}
	return string(found[1])
}

// startNginx runs nginx with what belongs into its http block, until the end of the
// test, and waits until it answers at url.
func startNginx(t *testing.T, dir, url, http string) {
	t.Helper()
	config, log := filepath.Join(dir, "nginx.conf"), filepath.Join(dir, "nginx.log")
	writeFile(t, config, fmt.Sprintf(`user root;
daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log %[2]s;
events {}
http {
access_log %[2]s;
client_body_temp_path %[1]s/body;
proxy_temp_path %[1]s/proxy;
fastcgi_temp_path %[1]s/fastcgi;
uwsgi_temp_path %[1]s/uwsgi;
scgi_temp_path %[1]s/scgi;
%[3]s
}
`, dir, log, http))
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program(t, "nginx"), "-c", config, "-e", log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	done := make(chan struct{})
	if err := runBeside(cmd, done); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		<-done
		if t.Failed() {
			t.Logf("log of nginx:\n%s", readFile(t, log))
		}
	})
	if !answers(t, strings.TrimPrefix(url, "https://")) {
		t.Fatal("nginx does not listen")
	}
}

// answers waits until somebody listens at an address.
func answers(t *testing.T, addr string) bool {
	t.Helper()
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr); err == nil {
			_ = c.Close()
			return true
		}
		select {
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
}

// TestFront lets real clients sign in to nginx, which says to the registry who they
// are.
func TestFront(t *testing.T) {
	t.Parallel()
	f := startFronted(t, "")
	images := newLayout(t)
	image := images.image(t, "amd64", "hello from behind a front\n")
	images.tag(t, image, "v1")
	alice, bob := f.machine(t), f.machine(t)
	for user, m := range map[string]*machine{"alice": alice, "bob": bob} {
		m.vars["IMAGE"], m.vars["OCI"] = images.dir, images.dir
		trustForContainers(t, m, f.registry)
		m.env = append(m.env, "SSL_CERT_FILE="+f.ca)
		m.refused(t, "UNAUTHORIZED", "crane push $IMAGE $REG/team/app:v1")
		m.refusedWith(t, wrongPassword, "invalid username/password", "skopeo login --username "+user+" --password-stdin $REG")
		m.runWith(t, f.people[user], "skopeo login --username "+user+" --password-stdin $REG")
		m.runWith(t, f.people[user], "crane auth login --username "+user+" --password-stdin $REG")
		m.run(t, "crane push $IMAGE $REG/home/"+user+"/app:v1")
		m.run(t, "skopeo copy docker://$REG/home/"+user+"/app:v1 oci:back:v1")
		images.sameImage(t, image.Digest, filepath.Join(m.home, "back"))
	}
	alice.run(t, "skopeo copy oci:$OCI:v1 docker://$REG/team/app:v1")
	alice.run(t, "crane copy $REG/team/app:v1 $REG/team/other:v1")
	bob.refused(t, "NAME_UNKNOWN", "crane push $IMAGE $REG/team/app:v1")
	bob.refused(t, "NAME_UNKNOWN", "crane push $IMAGE $REG/home/alice/app:v1")
	if !awaitLine(f.behind.Log, "method=PUT", "path=/v2/home/bob/app/manifests/v1 ", "user=bob") {
		t.Error("the registry has not known bob")
	}
}

// ask sends a request that would begin an upload, with headers as they are given, from
// an address of this machine.
func (f *fronted) ask(t *testing.T, url, from, user, repo string, headers ...string) int {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(readFile(t, f.ca))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext:     (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext,
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v2/"+repo+"/blobs/uploads/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, f.people[user])
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// TestMalloryAndTheFront tries to be alice: past nginx, and through it as bob.
func TestMalloryAndTheFront(t *testing.T) {
	t.Parallel()
	f := startFronted(t, "")
	lax := startFronted(t, "underscores_in_headers on;")
	const user, groups, word = "X-Forwarded-User", "X-Forwarded-Groups", "X-Front-Secret"
	for name, tt := range map[string]struct {
		to        *fronted
		past      bool   // nginx, straight to the registry
		from, who string // who signs in to nginx
		headers   []string
		repo      string
		want      int
	}{
		"alice, for comparison":           {f, false, malloryIP, "alice", nil, "home/alice/app", http.StatusAccepted},
		"alice, past nginx by its secret": {f, true, frontIP, "", []string{user, "alice", word, f.secret}, "home/alice/app", http.StatusAccepted},
		"past nginx, from elsewhere":      {f, true, malloryIP, "", []string{user, "alice", word, f.secret}, "home/alice/app", http.StatusUnauthorized},
		"past nginx, forwarded":           {f, true, malloryIP, "", []string{user, "alice", word, f.secret, "X-Forwarded-For", frontIP}, "home/alice/app", http.StatusUnauthorized},
		"past nginx, without its secret":  {f, true, frontIP, "", []string{user, "alice", "X-Forwarded-Proto", "https"}, "home/alice/app", http.StatusUnauthorized},
		"nobody":                          {f, false, malloryIP, "", []string{user, "alice", word, f.secret}, "home/alice/app", http.StatusUnauthorized},
		"bob, who says alice":             {f, false, malloryIP, "bob", []string{user, "alice"}, "home/alice/app", http.StatusNotFound},
		"bob stays bob":                   {f, false, malloryIP, "bob", []string{user, "alice"}, "home/bob/app", http.StatusAccepted},
		"bob, who says it twice":          {f, false, malloryIP, "bob", []string{user, "alice", user, "alice"}, "home/alice/app", http.StatusNotFound},
		"bob, who says it in lower case":  {f, false, malloryIP, "bob", []string{"x-forwarded-user", "alice"}, "home/alice/app", http.StatusNotFound},
		"bob, who says a group":           {f, false, malloryIP, "bob", []string{groups, "developers"}, "team/app", http.StatusNotFound},
		"bob, who takes the header away":  {f, false, malloryIP, "bob", []string{"Connection", "close, X-Forwarded-User"}, "home/bob/app", http.StatusAccepted},
		"bob with underscores":            {f, false, malloryIP, "bob", []string{"X_Forwarded_User", "alice"}, "home/alice/app", http.StatusNotFound},
		"bob with underscores, let pass":  {lax, false, malloryIP, "bob", []string{"X_Forwarded_User", "alice"}, "home/alice/app", http.StatusUnauthorized},
		"bob without, where they pass":    {lax, false, malloryIP, "bob", nil, "home/bob/app", http.StatusAccepted},
	} {
		url := tt.to.URL
		if tt.past {
			url = tt.to.behind.URL
		}
		if got := tt.to.ask(t, url, tt.from, tt.who, tt.repo, tt.headers...); got != tt.want {
			t.Errorf("%s: status %d, want %d", name, got, tt.want)
		}
	}
	if !awaitLine(lax.behind.Log, "outcome=login-failed", "looks like X-Forwarded-User") {
		t.Error("the log does not say why")
	}
}
