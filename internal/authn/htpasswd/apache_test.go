package htpasswd

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn"
)

// apache runs Apache's htpasswd (Debian package apache2-utils).
func apache(t *testing.T, args ...string) error {
	t.Helper()
	path, err := exec.LookPath("htpasswd")
	if err != nil {
		t.Fatalf("this test needs Apache's htpasswd; install apache2-utils: %v", err)
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err != nil {
		t.Logf("htpasswd %s: %s", strings.Join(args, " "), out)
	}
	return err
}

const apachePassword = "pass:wörd $1 \\ %"

func TestReadsWhatApacheWrites(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		Bcrypt:                 {"-cbB", "-C", "5"},
		APR1:                   {"-cbm"},
		SHA1:                   {"-cbs"},
		SHA256Crypt:            {"-cb2"},
		SHA512Crypt:            {"-cb5"},
		SHA256Crypt + " 10000": {"-cb2", "-r", "10000"},
		SHA512Crypt + " 1000":  {"-cb5", "-r", "1000"},
	}
	for name, flags := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t, "")
			if err := apache(t, append(flags, path, "alice", apachePassword)...); err != nil {
				t.Fatal(err)
			}
			if err := apache(t, "-bB", "-C", "4", path, "bob", "other"); err != nil {
				t.Fatal(err)
			}
			users, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if kind := users.Entries()[0].Kind; kind != strings.Fields(name)[0] {
				t.Errorf("kind %s", kind)
			}
			if err := users.Verify("alice", apachePassword); err != nil {
				t.Errorf("the right password: %v", err)
			}
			if err := users.Verify("alice", "wrong"); !errors.Is(err, authn.ErrWrongPassword) {
				t.Errorf("a wrong password: %v", err)
			}
			if err := users.Verify("bob", "other"); err != nil {
				t.Errorf("the other user: %v", err)
			}
		})
	}
}

func TestRefusesWhatApacheCallsInsecure(t *testing.T) {
	t.Parallel()
	for name, flag := range map[string]string{"DES": "-cbd", "plain": "-cbp"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t, "")
			if err := apache(t, flag, path, "alice", "secret"); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(path); err == nil || !strings.Contains(err.Error(), `line 1: user "alice": not a known password hash`) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestApacheReadsWhatWeWrite(t *testing.T) {
	t.Parallel()
	path := newFile(t, "# a comment\n")
	if err := apache(t, "-bm", path, "old", "x"); err != nil {
		t.Fatal(err)
	}
	hash, err := Hash(apachePassword, DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"alice", "old"} {
		if _, err := Set(path, user, hash); err != nil {
			t.Fatal(err)
		}
		if err := apache(t, "-vb", path, user, apachePassword); err != nil {
			t.Errorf("%s: htpasswd refuses the password: %v", user, err)
		}
		if err := apache(t, "-vb", path, user, "wrong"); err == nil {
			t.Errorf("%s: htpasswd accepts a wrong password", user)
		}
	}
	if _, err := Remove(path, "old"); err != nil {
		t.Fatal(err)
	}
	if err := apache(t, "-vb", path, "old", apachePassword); err == nil {
		t.Error("htpasswd still knows a removed user")
	}
	// It edits the file that we wrote, and we read it again.
	if err := apache(t, "-bB", "-C", "4", path, "carol", "x"); err != nil {
		t.Fatal(err)
	}
	users, err := Load(path)
	if err != nil || users.Len() != 2 || users.Verify("carol", "x") != nil {
		t.Errorf("after both have written: %v, %v", users, err)
	}
}
