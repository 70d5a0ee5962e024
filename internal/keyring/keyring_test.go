package keyring_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/keyring"
)

func TestAKeyring(t *testing.T) {
	t.Parallel()
	k := keyring.Keyring{Dir: filepath.Join(t.TempDir(), "a", "b")}
	if hosts, err := k.Hosts(); err != nil || len(hosts) > 0 {
		t.Errorf("an empty one has %q, %v", hosts, err)
	}
	if _, err := k.Read("one:5000"); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
	want := keyring.Credential{Version: 1, User: "alice", Refresh: "r", OIDC: &keyring.OIDC{Issuer: "i", Scopes: []string{"openid"}}}
	for _, host := range []string{"two", "one:5000", "[::1]:5000"} {
		if err := k.Write(host, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := k.Read("one:5000")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if err := k.Remove("two"); err != nil {
		t.Error(err)
	}
	if err := k.Remove("two"); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	hosts, err := k.Hosts()
	if diff := cmp.Diff([]string{"[::1]:5000", "one:5000"}, hosts); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, dir := range []string{k.Dir, filepath.Join(k.Dir, "one:5000")} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, %v", dir, info.Mode(), err)
		}
	}
}

// Mallory has put a link where the file is to be: what it leads to is not touched.
func TestALinkInPlaceOfAFile(t *testing.T) {
	t.Parallel()
	k := keyring.Keyring{Dir: t.TempDir()}
	file, link := filepath.Join(t.TempDir(), "theirs"), filepath.Join(k.Dir, "host", "credential.json")
	if err := errors.Join(os.WriteFile(file, []byte("theirs"), 0o600), os.Mkdir(filepath.Dir(link), 0o700), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	if err := k.Write("host", keyring.Credential{User: "alice"}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "theirs" {
		t.Errorf("written through the link: %s, %v", text, err)
	}
	if c, err := k.Read("host"); err != nil || c.User != "alice" {
		t.Errorf("%+v, %v", c, err)
	}
}

// Who holds the lock may take long: others need not wait for it.
func TestNobodyHasToWaitForTheLock(t *testing.T) {
	t.Parallel()
	k := keyring.Keyring{Dir: t.TempDir()}
	unlock, err := k.Lock(t.Context(), "host")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	time.AfterFunc(100*time.Millisecond, func() { cancel(enough) })
	if _, err := k.Lock(ctx, "host"); !errors.Is(err, enough) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("given up: %v", err)
	}
	if again, err := k.Lock(ctx, "another"); err != nil {
		t.Errorf("one that is free: %v", err)
	} else if err := again(); err != nil {
		t.Error(err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if again, err := k.Lock(t.Context(), "host"); err != nil {
		t.Errorf("given back: %v", err)
	} else if err := again(); err != nil {
		t.Error(err)
	}
}

// Of many that read, change and write under the lock nothing is lost.
func TestTheLock(t *testing.T) {
	t.Parallel()
	k := keyring.Keyring{Dir: t.TempDir()}
	if err := k.Write("host", keyring.Credential{}); err != nil {
		t.Fatal(err)
	}
	const many = 20
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			unlock, err := k.Lock(t.Context(), "host")
			if err != nil {
				t.Error(err)
				return
			}
			c, err := k.Read("host")
			c.User += "x"
			if err := errors.Join(err, k.Write("host", c), unlock()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if c, err := k.Read("host"); err != nil || len(c.User) != many {
		t.Errorf("%d of %d, %v", len(c.User), many, err)
	}
}
