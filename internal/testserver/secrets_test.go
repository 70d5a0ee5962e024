package testserver

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever way a secret gets into a log, it is found.
func TestLeaksAreFound(t *testing.T) {
	t.Parallel()
	const secret = `correct horse+battery/"staple" ü`
	basic := func(user string) string { return base64.StdEncoding.EncodeToString([]byte(user + ":" + secret)) }
	for name, line := range map[string]string{
		"as it is":             "password " + secret + " is wrong",
		"in a URL":             "GET /token?password=" + url.QueryEscape(secret) + "&x",
		"in a path":            "GET /" + url.PathEscape(secret),
		"quoted":               fmt.Sprintf("err=%q", "verify "+secret),
		"in a header of a":     basic("a"),
		"in a header of al":    basic("al"),
		"in a header of ali":   basic("ali"),
		"in a header of alice": basic("alice"),
		"in base64 of URLs":    base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"a token":              "token=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
		"the head of a token":  "token=eyJhbGciOiJFUzI1NiJ9.",
		"a key":                "mgk_0123456789abcdef",
		"a refresh token":      "mgr_0123456789abcdef_0123456789abcdef",
		"of a webhook":         "secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"a header":             `Authorization: "Basic dXNlcjpwYXNzd29yZA=="`,
		"another header":       "bearer 0123456789abcdef0123",
		"a hash":               "alice:$2y$05$abcdefghijklmnopqrstuv",
		"a private key":        "-----BEGIN EC PRIVATE KEY-----",
	} {
		var o outputs
		o.secrets = map[string]bool{secret: true}
		b := &logBuffer{}
		o.add(b)
		_, _ = b.Write([]byte("level=INFO msg=listening\n" + line + "\nlevel=INFO msg=stopped\n")) // it never fails
		if found := o.leaks(); len(found) != 1 || found[0] != strings.TrimSpace(line) {
			t.Errorf("%s: found %q", name, found)
		}
	}
}

// What servers write to files is searched too, and that of files which were rotated.
func TestFilesAreSearched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, name := range []string{"audit.log", "audit.log.1"} {
		line := fmt.Sprintf("a line of the test of files, %d", i)
		t.Run(name, func(t *testing.T) {
			Written(t, filepath.Join(dir, "audit.log"))
			if err := os.WriteFile(filepath.Join(dir, name), []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
		})
		run.mu.Lock()
		found := slices.ContainsFunc(run.of, func(b *logBuffer) bool { return b.String() == line })
		run.mu.Unlock()
		if !found {
			t.Errorf("%s is not searched", name)
		}
	}
}

// A search that finds nothing because it looks at nothing is none.
func TestASearchThatWasNone(t *testing.T) {
	t.Parallel()
	var o outputs
	if !o.size().idle() {
		t.Error("nothing at all is enough")
	}
	o.secrets = map[string]bool{"correct horse battery staple": true}
	b := &logBuffer{}
	o.add(b)
	if !o.size().idle() {
		t.Error("servers that have printed nothing are enough")
	}
	_, _ = b.Write([]byte("level=INFO msg=listening\n")) // it never fails
	if got := o.size(); got.idle() || got.String() != "looked for 1 secrets in 1 outputs of servers, 25 bytes" {
		t.Error(got)
	}
	o.secrets = nil
	if !o.size().idle() {
		t.Error("logs without secrets to look for are enough")
	}
}

func TestLogsWithoutSecrets(t *testing.T) {
	t.Parallel()
	var o outputs
	o.secrets = map[string]bool{"correct horse battery staple": true}
	b := &logBuffer{}
	o.add(b)
	_, _ = b.Write([]byte(`  user:     admin
  password: ` + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + `
time=2026-11-27T18:00:00.000Z level=INFO msg=request id=NG4JMIC77TMT7SIMXVRZ6S26NG client=127.0.0.1 method=GET path=/v2/ status=401 agent=docker/20.10
{"v":1,"time":"2026-11-27T18:00:00.000000Z","outcome":"done","digest":"sha256:4f80161d175d0099abb0c74175f605b2d0da97e157e082804229085ab535a775","rule":"basic authentication and bearer authentication rules"}
`))
	if found := o.leaks(); len(found) != 0 {
		t.Errorf("found %q", found)
	}
	Secret("short", " \n", "long enough to count\n")
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.secrets["short"] || run.secrets[""] || !run.secrets["long enough to count"] {
		t.Errorf("%v", run.secrets)
	}
}
