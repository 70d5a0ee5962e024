package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/certtest"
)

// TestProbeTriesThoseWhoAreKnownByHowTheyCome tells whose certificates count, which
// proxy is believed, and what is wrong with their files.
func TestProbeTriesThoseWhoAreKnownByHowTheyCome(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, now := certtest.NewAuthority(t, "Clients"), time.Now()
	file := func(name, text string) string { return certtest.Write(t, filepath.Join(dir, name), text) }
	pem := file("ca.pem", ca.PEM())
	good, stale := file("good.pem", ca.List(t, now.Add(-time.Minute), nil)), file("stale.pem", ca.List(t, now.Add(-2*time.Hour), nil))
	secret, short := file("secret", "the word of the front\n"), file("short", "short\n")
	certificate := func(more string) string { return "  - certificate: {ca: " + pem + more + "}\n" }
	front := func(more string) string { return "  - front: {from: 127.0.0.1, secret_file: " + more + "}\n" }
	for name, tt := range map[string]struct {
		login string
		code  int
		want  []string
	}{
		"all is well": {certificate(", crl: "+good) + front(secret), 0, []string{
			`login certificate: ok: certificates by "CN=Clients" until `, "; revocation lists in " + good + "\n",
			"login front: ok: X-Forwarded-User, X-Front-Secret from 127.0.0.1 is believed, with a secret of " + secret + "\n",
		}},
		"a list that is out of date": {certificate(", crl: "+stale) + front(secret), 1, []string{
			"login certificate: failed: the revocation list of \"CN=Clients\" in " + stale + " is out of date since ", "login front: ok: ",
		}},
		"no list":        {certificate(", crl: "+pem) + front(secret), 1, []string{`login certificate: failed: login certificate: the revocation lists (crl): ` + pem + `: there is a "CERTIFICATE" in it`}},
		"a short secret": {certificate("") + front(short), 1, []string{"login certificate: ok: ", "login front: failed: ", "has 5 characters, at least 16 are needed"}},
		"no secret":      {front(filepath.Join(dir, "nowhere")), 1, []string{"login front: failed: ", "(secret_file)", "no such file"}},
		"no authority":   {"  - certificate: {ca: " + secret + "}\n", 1, []string{"login certificate: failed: ", "there is no certificate in " + secret}},
	} {
		code, output := probe(t, tt.login+"tls: {self_signed: true}\n")
		for _, want := range tt.want {
			if code != tt.code || !strings.Contains(output, want) {
				t.Errorf("%s: exit code %d, want %d and %q in:\n%s", name, code, tt.code, want, output)
			}
		}
	}
}
