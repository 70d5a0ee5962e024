package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/testserver"
)

// recorded is a line of the audit.
type recorded struct {
	V                                                       int
	Time                                                    time.Time
	ID, Outcome, Operation, Action, Repo, Tag, Digest, User string
	Source, Client, Rule, Code, Detail                      string
	Status                                                  int
}

// short is what a test compares.
func (r recorded) short() string {
	text := fmt.Sprintf("%s %s %s", r.Outcome, r.User, r.Operation)
	for _, more := range []string{r.Action, r.Repo, r.Tag, r.Digest, r.Code} {
		if more != "" {
			text += " " + more
		}
	}
	return text
}

// auditLines reads the lines of an audit.
func auditLines(t *testing.T, text string) []recorded {
	t.Helper()
	var list []recorded
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, `{"v":1,`) {
			continue // of the log
		}
		var r recorded
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, r)
	}
	return list
}

// auditFile returns the path of an audit in a directory, which is searched for secrets at
// the end of the test.
func auditFile(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "audit.log")
	testserver.Written(t, file)
	return file
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shorts are the records of a file in short.
func shorts(t *testing.T, file string) (list []string) {
	t.Helper()
	for _, r := range auditLines(t, readFile(t, file)) {
		list = append(list, r.short())
	}
	return list
}

const auditedRules = `
  rules:
    - {who: user:alice, may: [pull, push, delete], repos: "team/**"}
    - {who: user:alice, deny: overwrite, repos: "team/**", tags: "v*", because: releases are final}
`

// audited is a configuration of users and rules, and an audit.
func audited(users, audit string) string {
	return "login: [{htpasswd: {file: " + users + "}}]\naudit: " + audit + "\naccess:" + auditedRules
}

// TestAuditOfAServer does one of everything that matters, and reads about it.
func TestAuditOfAServer(t *testing.T) {
	t.Parallel()
	const password, wrong = "the password of alice", "a password that is wrong"
	dir := t.TempDir()
	file := auditFile(t, filepath.Join(dir, "log"))
	config := write(t, filepath.Join(dir, "moorgate.yaml"), audited(usersFile(t, password), "{file: {path: "+file+"}}"))
	s := start(t, "", "--config", config)
	nobody := newClient(t, s, nil)
	alice := nobody.as("alice", password)

	nobody.want(t, http.StatusUnauthorized, http.MethodGet, "/v2/", nil) // as each client begins: no record
	nobody.as("alice", wrong).want(t, http.StatusUnauthorized, http.MethodGet, "/v2/", nil)
	alice.want(t, http.StatusNotFound, http.MethodGet, "/v2/other/tags/list", nil)
	blob := randomBytes(100)
	alice.push(t, "team/app", blob)
	alice.holds(t, "team/app", blob) // no record
	one, two := manifest(blob, 1), manifest(blob, 2)
	put := func(status int, tag string, body []byte) {
		alice.want(t, status, http.MethodPut, "/v2/team/app/manifests/"+tag, bytes.NewReader(body), "Content-Type", manifestType)
	}
	put(http.StatusCreated, "latest", one)
	put(http.StatusCreated, "latest", two)
	put(http.StatusCreated, "v1", one)
	put(http.StatusForbidden, "v1", two)
	put(http.StatusBadRequest, "v2", []byte("{"))
	alice.want(t, http.StatusAccepted, http.MethodDelete, "/v2/team/app/manifests/"+digestOf(two), nil)
	token := nobody.token(t, "alice", "repository:team/app:push") // no record: what it is used for has one
	command(t, "token", "rotate", "--now", "--data", s.DataDir)
	write(t, config, strings.Replace(readFile(t, config), "[pull, push, delete]", "[pull]", 1))
	logged(t, s, "reloaded policy")
	write(t, config, "access: {rules: [")
	logged(t, s, "cannot reload policy")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}

	want := []string{
		"done operator server-start",
		"login-failed alice login",
		"denied alice tag-list list other",
		"done alice upload-finish push team/app " + digestOf(blob),
		"done alice manifest-put push team/app latest " + digestOf(one),
		"done alice manifest-put overwrite team/app latest " + digestOf(two),
		"done alice manifest-put push team/app v1 " + digestOf(one),
		"denied alice manifest-put overwrite team/app v1",
		"failed alice manifest-put push team/app v2 MANIFEST_INVALID",
		"done alice manifest-delete delete team/app " + digestOf(two),
		"done alice manifest-delete delete team/app latest " + digestOf(two),
		"done operator key-rotate admin",
		"done operator policy-change",
		"failed operator policy-change",
		"done operator server-stop",
	}
	if diff := cmp.Diff(want, unique(shorts(t, file))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	checkRecords(t, file)
	for _, secret := range []string{password, wrong, token} {
		if strings.Contains(readFile(t, file), secret) || strings.Contains(s.Log(), secret) {
			t.Errorf("a secret is written: %s", secret)
		}
	}
}

// checkRecords looks at what the short form leaves out.
func checkRecords(t *testing.T, file string) {
	t.Helper()
	text := readFile(t, file)
	for _, r := range auditLines(t, text) {
		if r.User == "alice" && (r.Client != "127.0.0.1" || r.ID == "" || r.Rule == "" || r.Source != "htpasswd") {
			t.Errorf("something is missing: %+v", r)
		}
		if age := time.Since(r.Time); age < -time.Minute || age > time.Hour || r.V != 1 {
			t.Errorf("version or time: %+v", r)
		}
	}
	if !strings.Contains(text, "releases are final") || !regexp.MustCompile(`moorgate serve \S+, policy sha256:[0-9a-f]{64}`).MatchString(text) {
		t.Errorf("no rule or no start in %s", text)
	}
}

// What the token endpoint refuses is recorded, and what lasts that it gives out.
func TestAuditOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	const password, refresh = "the password of alice", "mgr_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	file := auditFile(t, t.TempDir())
	s := start(t, audited(usersFile(t, password), "{file: {path: "+file+"}}"))
	nobody := newClient(t, s, nil)
	alice := nobody.as("alice", password)
	const ask = "/token?service=moorgate&scope="
	nobody.want(t, http.StatusOK, http.MethodGet, ask+"repository:team/app:pull", nil) // as each client begins: no record
	nobody.as("alice", "a wrong password").want(t, http.StatusUnauthorized, http.MethodGet, ask+"repository:team/app:pull", nil)
	alice.want(t, http.StatusOK, http.MethodGet, ask+"repository:team/app:pull", nil) // no record
	alice.want(t, http.StatusOK, http.MethodGet, ask+"repository:other:push", nil)
	alice.want(t, http.StatusOK, http.MethodGet, "/token?service=moorgate&offline_token=true&client_id=docker", nil)
	nobody.want(t, http.StatusUnauthorized, http.MethodPost, "/token", strings.NewReader("grant_type=refresh_token&service=moorgate&client_id=docker&refresh_token="+refresh),
		"Content-Type", "application/x-www-form-urlencoded")
	nobody.want(t, http.StatusUnauthorized, http.MethodGet, "/v2/team/app/tags/list", nil, "Authorization", "Bearer eyJhbGciOiJFUzI1NiJ9.e30.eA")
	want := []string{
		"done operator server-start", "login-failed alice login", "denied alice token push other",
		"done alice token-issue", "login-failed  token", "login-failed  tag-list",
	}
	if diff := cmp.Diff(want, unique(shorts(t, file))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := readFile(t, file); strings.Contains(text, refresh) || strings.Contains(text, "mgr_") || strings.Contains(text, "eyJ") {
		t.Errorf("a secret in %s", text)
	}
}

// Whoever types a secret where the name belongs has not published it.
func TestASecretAsTheUserName(t *testing.T) {
	t.Parallel()
	const password = "the password of alice"
	file := filepath.Join(t.TempDir(), "audit.log")
	s := start(t, audited(usersFile(t, password), "{file: {path: "+file+"}}"))
	k := keysOf(t, s)
	_, made := k.robot("ci", "pull:**")
	var answer struct {
		Token   string `json:"token"`
		Refresh string `json:"refresh_token"`
	}
	got := k.c.as("alice", password).want(t, http.StatusOK, http.MethodGet, "/token?service=moorgate&offline_token=true&client_id=docker", nil)
	if err := json.Unmarshal(got.body, &answer); err != nil || answer.Refresh == "" {
		t.Fatalf("%v, %s", err, got.body)
	}
	testserver.Secret(made.Secret, answer.Token, answer.Refresh)
	for _, secret := range []string{made.Secret, answer.Refresh, answer.Token, "eyJhbGciOiJFUzI1NiJ9.e30.eA", made.Secret[:40]} {
		k.c.as(secret, "").want(t, http.StatusUnauthorized, http.MethodGet, "/v2/", nil)
		k.c.as(secret, secret).want(t, http.StatusUnauthorized, http.MethodGet, "/token?service=moorgate", nil)
		k.c.want(t, http.StatusUnauthorized, http.MethodPost, "/token", strings.NewReader("grant_type=password&service=moorgate&client_id=docker&password=x&username="+secret),
			"Content-Type", "application/x-www-form-urlencoded")
	}
	for name, text := range map[string]string{"audit": readFile(t, file), "log": s.Log()} {
		for _, secret := range []string{made.Secret[4:40], answer.Refresh[4:], answer.Token[:40], "eyJhbGciOiJFUzI1NiJ9"} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				t.Errorf("the %s has %s", name, secret)
			}
		}
		if !strings.Contains(text, `mgk_…`) || !strings.Contains(text, `mgr_…`) || !strings.Contains(text, `eyJ…`) {
			t.Errorf("the %s does not say what was typed: %s", name, text)
		}
	}
}

// unique drops records that follow the same one, and those of files that were read
// again: files are seen to change more than once while they are written.
func unique(list []string) (short []string) {
	for _, one := range list {
		if one != "done operator reload" && (len(short) == 0 || short[len(short)-1] != one) {
			short = append(short, one)
		}
	}
	return short
}

// command runs moorgate.
func command(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testserver.Binary(t), args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// As logrotate does: the file gets another name, and the server a signal.
func TestAuditFileThatOthersRotate(t *testing.T) {
	t.Parallel()
	file := auditFile(t, t.TempDir())
	s := start(t, audited(usersFile(t, "pw"), "{file: {path: "+file+", max_size: 0}}"))
	mallory := newClient(t, s, nil).as("mallory", "x")
	mallory.want(t, http.StatusUnauthorized, http.MethodGet, "/v2/", nil)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new file", func() bool { _, err := os.Stat(file); return err == nil })
	eventually(t, "a record in it", func() bool {
		mallory.want(t, http.StatusUnauthorized, http.MethodGet, "/v2/", nil)
		return strings.Contains(readFile(t, file), "login-failed")
	})
	if got := shorts(t, file+".1"); len(got) < 2 || got[0] != "done operator server-start" || got[1] != "login-failed mallory login" {
		t.Errorf("before: %q", got)
	}
}

// With stdout the audit goes there, and the log to standard error.
func TestAuditOnStdout(t *testing.T) {
	t.Parallel()
	s := start(t, audited(usersFile(t, "pw"), "{stdout: true, pulls: true}"))
	alice := newClient(t, s, nil).as("alice", "pw")
	blob := randomBytes(10)
	alice.push(t, "team/app", blob)
	alice.holds(t, "team/app", blob)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range auditLines(t, s.Log()) {
		got = append(got, r.short())
	}
	want := []string{
		"done operator server-start", "done alice upload-finish push team/app " + digestOf(blob),
		"allowed alice blob-read pull team/app " + digestOf(blob), "done operator server-stop",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A registry where nothing may change without a record refuses to change while the
// disk of the audit is full; one where it is not required goes on. Both have all
// records when there is space again.
func TestAuditOnAFullDisk(t *testing.T) {
	t.Parallel()
	for _, required := range []bool{true, false} {
		disk := smallDisk(t)
		file, filler := auditFile(t, disk), filepath.Join(disk, "filler")
		s := start(t, audited(usersFile(t, "pw"), fmt.Sprintf("{file: {path: %s}, required: %v}", file, required)))
		alice := newClient(t, s, nil).as("alice", "pw")
		kept := randomBytes(10)
		alice.push(t, "team/app", kept)
		fill(t, filler, 20<<20)
		refused, denials := false, 0
		for range 100 { // the last page of the file has room for some
			alice.want(t, http.StatusNotFound, http.MethodGet, "/v2/other/tags/list", nil)
			denials++
			a := alice.do(t, http.MethodPost, "/v2/team/app/blobs/uploads/?digest="+digestOf(kept), bytes.NewReader(kept))
			if a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" {
				refused = true
				break
			}
			if a.status != http.StatusCreated {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
		}
		if refused != required {
			t.Errorf("required %v: refused %v", required, refused)
		}
		alice.holds(t, "team/app", kept) // reading goes on
		logged(t, s, "level=ERROR", "the audit cannot be written", "no space left on device")
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		eventually(t, "pushes to be taken again", func() bool {
			a := alice.do(t, http.MethodPost, "/v2/team/app/blobs/uploads/?digest="+digestOf(kept), bytes.NewReader(kept))
			return a.status == http.StatusCreated
		})
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		text := readFile(t, file)
		if got := strings.Count(text, `"outcome":"denied"`); got != denials {
			t.Errorf("required %v: %d records of %d denials", required, got, denials)
		}
		if got := auditLines(t, text); len(got) != strings.Count(text, "\n") {
			t.Errorf("required %v: %d records in %d lines", required, len(got), strings.Count(text, "\n"))
		}
	}
}

// What is wrong shows at the start.
func TestAuditThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	users := usersFile(t, "pw")
	for audit, want := range map[string]string{
		"{file: {path: " + dir + "}}":                                   dir + " is no regular file",
		"{file: {path: " + users + "/audit.log}}":                       "not a directory",
		"{syslog: {address: 'tls://127.0.0.1:6514', ca: /nowhere.crt}}": "cannot read audit.syslog.ca",
		"{syslog: {address: 'logs:514'}}":                               "line 2: audit.syslog.address: ",
		"{file: {keep: 3}}":                                             "line 2: audit.file.path: name the file",
		"{fiel: {path: x}}":                                             "audit.fiel: ",
	} {
		s, err := testserver.TryStart(t, withConfig(t, audited(users, audit), nil)...)
		if err == nil || !strings.Contains(s.Log(), "moorgate: error: ") || !strings.Contains(s.Log(), want) {
			t.Errorf("%s: %v\n%s", audit, err, s.Log())
		}
	}
	s, err := testserver.TryStart(t, withConfig(t, "audit: {stdout: true}\n", nil)...)
	if err == nil || !strings.Contains(s.Log(), "audit.stdout: ") || strings.Contains(s.Log(), "password: ") {
		t.Errorf("%v\n%s", err, s.Log())
	}
}
