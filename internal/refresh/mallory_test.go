package refresh_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/refresh"
)

// Mallory has a token of her own, and knows the ID of one of alice's.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice, own := f.issue(t, user("alice")), f.issue(t, user("mallory"))
	secret := strings.Split(own, "_")[2]
	for what, test := range map[string]struct{ token, why string }{
		"the ID of another with her secret": {"mgr_" + id(alice) + "_" + secret, "the secret is another"},
		"an ID that nobody has":             {"mgr_" + strings.Repeat("a", 16) + "_" + secret, "there is none with the ID"},
		"nothing":                           {"", "form"},
		"only an ID":                        {"mgr_" + id(alice), "form"},
		"no secret":                         {"mgr_" + id(alice) + "_", "form"},
		"truncated":                         {alice[:len(alice)-1], "form"},
		"truncated to half":                 {alice[:len(alice)/2], "form"},
		"one more":                          {alice + "a", "form"},
		"a line behind":                     {alice + "\n", "form"},
		"a zero byte behind":                {alice + "\x00", "form"},
		"space before":                      {" " + alice, "form"},
		"upper case":                        {strings.ToUpper(alice), "form"},
		"upper case secret":                 {"mgr_" + id(alice) + "_" + strings.ToUpper(strings.Split(alice, "_")[2]), "form"},
		"without its prefix":                {strings.TrimPrefix(alice, "mgr_"), "form"},
		"a pattern":                         {"mgr_" + strings.Repeat("%", 16) + "_" + secret, "form"},
		"an ID of two":                      {"mgr_" + id(alice) + "_" + id(own) + "_" + secret, "form"},
		"not UTF-8":                         {"mgr_" + id(alice)[:15] + "\xff_" + secret, "form"},
		"huge":                              {"mgr_" + id(alice) + "_" + strings.Repeat("a", 1<<24), "form"},
		"the last character is another":     {alice[:len(alice)-1] + other(alice[len(alice)-1]), "the secret is another"},
	} {
		f.refused(t, what, test.token, test.why)
	}
	f.works(t, "alice, after all that", alice)
	if got := f.store.full.Load(); got != 2 {
		t.Errorf("%d writes, want those of the two tokens: a forged one must cost none", got)
	}
}

// other returns another character of a secret.
func other(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

func TestReplayOnAnotherService(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.issue(t, user("alice"))
	for _, other := range []string{"", "registry.example.", "REGISTRY.EXAMPLE", "other.example"} {
		f.refusedFor(t, "for "+other, token, other, "it is for")
	}
	f.works(t, "for its own", token)
}

func TestTokenEndsWithThePassword(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, ldap := f.issue(t, user("alice")), f.issue(t, access.Identity{User: "alice", Source: "ldap"})
	f.users["htpasswd/alice"] = "hash 2"
	f.refused(t, "after the change", token, "another password")
	f.works(t, "the alice of another source", ldap)
	f.users["htpasswd/alice"] = "hash 1"
	f.refused(t, "the old password again", token, "there is none with the ID")
	f.works(t, "a new one", f.issue(t, user("alice")))
}

// Whose source is not there any more may be gone, and nobody would ever tell.
func TestTokenEndsWithItsSource(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.issue(t, user("alice"))
	f.fault = authn.ErrCannotTell
	f.refused(t, "source removed", token, "htpasswd is no source here that can be asked")
	if _, err := f.Issue(t.Context(), user("alice"), service, "docker"); !errors.Is(err, authn.ErrCannotTell) {
		t.Errorf("a new one: %v", err)
	}
}

func TestTokenEndsWithItsUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.issue(t, user("alice"))
	delete(f.users, "htpasswd/alice")
	f.refused(t, "user gone", token, "its user is gone")
	f.users["htpasswd/alice"] = "hash 1"
	f.refused(t, "the same user again", token, "there is none with the ID")

	unused := f.issue(t, user("alice"))
	f.users["htpasswd/alice"] = "hash of another alice"
	f.refused(t, "removed and made anew, and not used in between", unused, "another password")
}

// Two texts that are the same when written one behind the other are not the same
// user with the same password.
func TestStampsOfDifferentUsersDiffer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.users["a/bc"], f.users["ab/c"] = "d", "d"
	f.users["a/b"], f.users["a/bcd"] = "cd", ""
	stamps := map[string]string{}
	for _, who := range []access.Identity{{Source: "a", User: "bc"}, {Source: "ab", User: "c"}, {Source: "a", User: "b"}, {Source: "a", User: "bcd"}} {
		stamp := f.stored(t, f.issue(t, who)).Stamp
		if same, ok := stamps[string(stamp)]; ok {
			t.Errorf("%+v has the stamp of %s", who, same)
		}
		stamps[string(stamp)] = who.Source + "/" + who.User
	}
}

// The same with a real password file, as "moorgate passwd" changes it.
func TestTokensOfAPasswordFile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	path := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(path, []byte("# users\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := htpasswd.Open("people", path, authn.NewLimiter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	set := func(user, password string) {
		t.Helper()
		hash, err := htpasswd.Hash(password, bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := htpasswd.Set(path, user, hash); err != nil {
			t.Fatal(err)
		}
		if err := source.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	f.Users = authn.Directories(f, source)
	set("alice", "first")
	who, err := source.VerifyPassword(t.Context(), "alice", "first")
	if err != nil {
		t.Fatal(err)
	}
	token := f.issue(t, who)
	set("bob", "x")
	f.works(t, "another user is added", token)
	set("alice", "second")
	f.refused(t, "another password", token, "another password")
	if _, err := f.Issue(t.Context(), access.Identity{User: "carol", Source: "people"}, service, ""); !errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("a token for a user whom the file has not: error %v", err)
	}
}

func TestRevokedInTheMiddleOfAUse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.issue(t, user("alice"))
	f.now = f.now.Add(2 * time.Hour)
	f.Users = meanwhile{f, func() {
		if err := f.Revoke(t.Context(), id(token)); err != nil {
			t.Error(err)
		}
	}}
	f.refused(t, "revoked after it was read", token, "revoked")
	f.Users = f
	f.refused(t, "and it is not there again", token, "there is none with the ID")
	if _, err := f.Redeem(t.Context(), token, service); !errors.Is(err, refresh.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

// TestNoTokenFromAKey: it would be worth as much as the password of its owner, and
// live on without the key.
func TestNoTokenFromAKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.users["key/ci"] = "a directory that knows robots"
	for _, who := range []access.Identity{
		{User: "alice", Source: "htpasswd", With: &access.Key{ID: "laptop"}},
		{User: "ci", Source: access.RobotSource, With: &access.Key{ID: "ci", Robot: true}},
	} {
		if token, err := f.Issue(t.Context(), who, service, "docker"); !errors.Is(err, authn.ErrCannotTell) || token != "" {
			t.Errorf("%s: error %v", who.User, err)
		}
	}
	if got := f.ids(t, ""); len(got) != 0 {
		t.Errorf("%d tokens are stored", len(got))
	}
}
