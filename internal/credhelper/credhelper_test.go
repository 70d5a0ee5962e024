package credhelper_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/client"
	"github.com/moorgate/moorgate/internal/keyring"
)

// The life of a login, as docker goes through it.
func TestALoginGetsSessions(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	if err := r.store(t, r.server.Addr, "alice", r.password); err != nil {
		t.Fatal(err)
	}
	if kept := r.kept(t); strings.Contains(kept, r.password) {
		t.Errorf("the password is kept: %s", kept)
	}
	info, err := os.Stat(r.file())
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	first := r.mustGet(t)
	if first.Username != "alice" || first.ServerURL != r.server.Addr || r.status(t, "alice", first.Secret) != http.StatusOK {
		t.Errorf("%+v does not let alice in", first)
	}
	for _, address := range []string{"https://" + r.server.Addr, r.server.URL + "/v2/", r.server.Addr + "/team/app\n"} {
		if c, err := r.get(t, address); err != nil || c.Secret != first.Secret {
			t.Errorf("%q: %+v, %v", address, c, err)
		}
	}
	// Half of its life is enough for a push; then there is another one.
	r.advance(29 * time.Minute)
	if again := r.mustGet(t); again != first {
		t.Error("a new session for each question")
	}
	r.advance(2 * time.Minute)
	second := r.mustGet(t)
	if second.Secret == first.Secret || r.status(t, "alice", second.Secret) != http.StatusOK {
		t.Errorf("after half an hour: %+v", second)
	}
}

func TestALogout(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	if err := r.store(t, r.server.Addr, "alice", r.password); err != nil {
		t.Fatal(err)
	}
	out, err := r.serve(t, "list", "")
	var users map[string]string
	if err != nil || json.Unmarshal([]byte(out), &users) != nil {
		t.Fatalf("%q, %v", out, err)
	}
	if diff := cmp.Diff(map[string]string{r.server.Addr: "alice"}, users); diff != "" {
		t.Error(diff)
	}

	c, err := r.Keyring.Read(r.server.Addr)
	if err != nil || c.Refresh == "" {
		t.Fatalf("%+v, %v", c, err)
	}
	for range 2 { // docker tries several names
		if out, err := r.serve(t, "erase", "https://"+r.server.Addr); err != nil || out != "" {
			t.Errorf("%q, %v", out, err)
		}
	}
	if _, err := r.get(t, r.server.Addr); !credentials.IsErrCredentialsNotFound(err) {
		t.Errorf("after the logout: %v", err)
	}
	// The server has it no more either.
	asks := client.Client{HTTP: client.NewHTTP(client.Trust{})}
	if _, err := asks.Refresh(t.Context(), client.Server{Token: r.server.URL + "/token"}, c.Refresh); !errors.Is(err, client.ErrRefused) {
		t.Errorf("the refresh token after the logout: %v", err)
	}
}

// Where a server gives no refresh token, as for a key, the helper keeps what it was
// given.
func TestALoginWithoutRefreshTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t, "token: {refresh_ttl: 0}\n")
	if err := r.store(t, r.server.Addr, "alice", r.password); err != nil {
		t.Fatal(err)
	}
	first := r.mustGet(t)
	r.advance(2 * time.Hour)
	second := r.mustGet(t)
	if first.Secret == second.Secret || first.Secret == r.password || second.Secret == r.password || r.status(t, "alice", second.Secret) != http.StatusOK {
		t.Errorf("%+v, then %+v", first, second)
	}
}

func TestASecondLoginGivesTheFirstBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	var tokens []string
	for range 2 {
		if err := r.store(t, r.server.Addr, "alice", r.password); err != nil {
			t.Fatal(err)
		}
		c, err := r.Keyring.Read(r.server.Addr)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, c.Refresh)
	}
	asks := client.Client{HTTP: client.NewHTTP(client.Trust{})}
	server := client.Server{Token: r.server.URL + "/token"}
	if _, err := asks.Refresh(t.Context(), server, tokens[0]); !errors.Is(err, client.ErrRefused) {
		t.Errorf("the first: %v", err)
	}
	if _, err := asks.Refresh(t.Context(), server, tokens[1]); err != nil {
		t.Errorf("the second: %v", err)
	}
}

// Two pulls at once: one asks the server, all get the same.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	if err := r.store(t, r.server.Addr, "alice", r.password); err != nil {
		t.Fatal(err)
	}
	old := r.mustGet(t)
	r.advance(time.Hour)
	secrets := make([]string, 8)
	var all sync.WaitGroup
	for i := range secrets {
		all.Go(func() {
			if c, err := r.get(t, r.server.Addr); err != nil {
				t.Error(err)
			} else {
				secrets[i] = c.Secret
			}
		})
	}
	all.Wait()
	for _, secret := range secrets {
		if secret != secrets[0] || secret == old.Secret {
			t.Error("they have several sessions, or the old one")
		}
	}
}

func TestALoginThatIsNotTakenAnyMore(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	if err := r.store(t, r.server.Addr, "alice", r.password); err != nil {
		t.Fatal(err)
	}
	r.setPassword(t, "another")
	deadline := time.Now().Add(time.Minute)
	for {
		r.advance(time.Hour)
		_, err := r.get(t, r.server.Addr)
		if err != nil {
			if !strings.Contains(err.Error(), "sign in again") || !errors.Is(err, client.ErrRefused) {
				t.Errorf("it says %v", err)
			}
			return
		}
		if time.Now().After(deadline) { // the server reads its file soon
			t.Fatal("the old password is still good")
		}
	}
}

// A server that is away is no reason to stop before the session ends.
func TestAServerThatIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	if err := r.store(t, r.server.Addr, "alice", r.password); err != nil {
		t.Fatal(err)
	}
	first := r.mustGet(t)
	if err := r.server.Stop(); err != nil {
		t.Fatal(err)
	}
	r.advance(40 * time.Minute)
	if c := r.mustGet(t); c != first {
		t.Error("another session, without a server")
	}
	if kept, err := r.Keyring.Read(r.server.Addr); err != nil || kept.Unreachable.IsZero() {
		t.Errorf("that it is away is not noted for others: %v, %v", kept.Unreachable, err)
	}
	r.advance(time.Hour)
	if _, err := r.get(t, r.server.Addr); !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), r.server.Addr) {
		t.Errorf("it says %v", err)
	}
	r.advance(-24 * time.Hour) // a session from the future
	if _, err := r.get(t, r.server.Addr); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("with the clock set back: %v", err)
	}
	if err := r.store(t, r.server.Addr, "alice", r.password); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("a login: %v", err)
	}
	if _, err := r.serve(t, "erase", r.server.Addr); err != nil {
		t.Errorf("a logout: %v", err)
	}
	if _, err := r.get(t, r.server.Addr); !credentials.IsErrCredentialsNotFound(err) {
		t.Errorf("after the logout: %v", err)
	}
}

func TestWhatIsNotStored(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	for name, tt := range map[string]struct{ address, user, secret, says string }{
		"a wrong password":      {r.server.Addr, "alice", "s3cret-wrong", "user name or password is wrong"},
		"for another registry":  {strings.TrimPrefix(other.URL, "http://"), "alice", "s3cret-wrong", "credHelpers"},
		"a token for that":      {strings.TrimPrefix(other.URL, "http://"), "<token>", "s3cret-wrong", "credHelpers"},
		"without a user":        {r.server.Addr, "", "s3cret-wrong", "no credentials username"},
		"without a server":      {"", "alice", "s3cret-wrong", "no credentials server URL"},
		"for what is no server": {"../../x", "alice", "s3cret-wrong", "is not a registry"},
	} {
		err := r.store(t, tt.address, tt.user, tt.secret)
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v; want %q", name, err, tt.says)
		}
	}
	if hosts, err := r.Keyring.Hosts(); err != nil || len(hosts) > 0 {
		t.Errorf("kept for %q, %v", hosts, err)
	}
	for _, input := range []string{"", "{", strings.Repeat("x", 1<<20), `{"ServerURL":"` + strings.Repeat("x\n", 1<<20)} {
		if _, err := r.serve(t, "store", input); err == nil {
			t.Errorf("%.20q is stored", input)
		}
		if _, err := r.serve(t, "get", input); err == nil {
			t.Errorf("%.20q gets something", input)
		}
	}
	if _, err := r.serve(t, "steal", ""); err == nil {
		t.Error("an action that there is not")
	}
	if err := r.Serve(t.Context(), nil, strings.NewReader(""), nil); err == nil || !strings.Contains(err.Error(), "usage") {
		t.Errorf("no action: %v", err)
	}
}

// docker gets a refresh token itself where a registry sends it for tokens; it is handed
// out as it was.
func TestARefreshTokenOfDocker(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	if err := r.store(t, r.server.Addr, "<token>", "mgr_of-docker"); err != nil {
		t.Fatal(err)
	}
	if c := r.mustGet(t); c.Username != "<token>" || c.Secret != "mgr_of-docker" {
		t.Errorf("%+v", c)
	}
}

// Mallory runs a registry, or asks for what she likes. She gets nothing.
func TestMalloryAsks(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	if err := r.store(t, r.server.Addr, "alice", r.password); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(r.server.Addr, ":")
	for _, address := range []string{
		"mallory.example", host, host + ":1" + port, host + ".mallory.example:" + port, r.server.Addr + "@mallory.example",
		"https://alice@" + r.server.Addr, "mallory.example/" + r.server.Addr, "*", "..", ".", "/", r.server.Addr + "\x00", "[" + r.server.Addr + "]",
	} {
		if c, err := r.get(t, address); !credentials.IsErrCredentialsNotFound(err) {
			t.Errorf("%q: %+v, %v", address, c, err)
		}
	}
}

// listsTheOthers checks that a file that cannot be read does not hide the other logins,
// and that its fault is told aside.
func (r *rig) listsTheOthers(t *testing.T, says string) {
	t.Helper()
	r.aside.Reset()
	out, err := r.serve(t, "list", "")
	if err != nil || out != `{"other.example.com":"bob"}`+"\n" {
		t.Errorf("the list is %q, %v", out, err)
	}
	if told := r.aside.String(); !strings.Contains(told, says) || !strings.Contains(told, r.server.Addr) || strings.Contains(told, "mgr_") {
		t.Errorf("aside it says %q; want %q", told, says)
	}
}

func TestFilesThatOthersTouched(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	if err := r.Keyring.Write("other.example.com", keyring.Credential{User: "bob", Password: "s3cret"}); err != nil {
		t.Fatal(err)
	}
	login := func() {
		if err := r.store(t, r.server.Addr, "alice", r.password); err != nil {
			t.Fatal(err)
		}
	}
	login()
	for name, tt := range map[string]struct {
		spoil func() error
		says  string
	}{
		"that others can read": {func() error { return os.Chmod(r.file(), 0o644) }, "others can read"},
		"that is damaged":      {func() error { return os.WriteFile(r.file(), []byte(`{"version":1,"refresh":"mgr_`), 0o600) }, "damaged"},
		"that is empty":        {func() error { return os.WriteFile(r.file(), nil, 0o600) }, "damaged"},
		"of tomorrow":          {func() error { return os.WriteFile(r.file(), []byte(`{"version":2}`), 0o600) }, "another version"},
		"that is huge":         {func() error { return os.WriteFile(r.file(), []byte(strings.Repeat(" ", 1<<20)), 0o600) }, "larger than"},
	} {
		if err := tt.spoil(); err != nil {
			t.Fatal(err)
		}
		r.listsTheOthers(t, tt.says)
		_, err := r.get(t, r.server.Addr)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), r.file()) || strings.Contains(err.Error(), "mgr_") {
			t.Errorf("a file %s: %v", name, err)
		}
		login() // which is what it says to do
		if info, err := os.Stat(r.file()); err != nil || info.Mode() != 0o600 {
			t.Errorf("after a file %s: %v, %v", name, info.Mode(), err)
		}
		r.mustGet(t)
	}
	if err := os.Chmod(r.file(), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.serve(t, "erase", r.server.Addr); err != nil {
		t.Errorf("a logout: %v", err)
	}
	if _, err := r.Keyring.Read(r.server.Addr); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("after the logout: %v", err)
	}
}
