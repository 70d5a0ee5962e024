package token_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/token"
)

// published returns the kids of the JWKS file in dir.
func published(t *testing.T, dir string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "jwks.json"))
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []struct{ Kid string }
	}
	if err := json.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids
}

func ids(list []token.KeyInfo) []string {
	ids := []string{}
	for _, k := range list {
		ids = append(ids, k.ID)
	}
	return ids
}

func signsNow(t *testing.T, keys *token.Keys) token.KeyInfo {
	t.Helper()
	i := slices.IndexFunc(keys.List(), func(k token.KeyInfo) bool { return k.SignsNow })
	if i < 0 {
		t.Fatal("no key signs")
	}
	return keys.List()[i]
}

func rotate(t *testing.T, keys *token.Keys) token.Rotation {
	t.Helper()
	done, err := keys.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestTheFirstStartMakesAnAuthorityAndAKey(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), filepath.Join(t.TempDir(), "a", "tokens")
	keys := openKeys(t, dir, token.KeysOptions{Now: c.Now})
	got := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		rel, _ := filepath.Rel(dir, path)
		got[rel] = info.Mode().Perm()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{
		".": 0o755, "ca.crt": 0o644, "ca.key": 0o600, "jwks.json": 0o644,
		"keys": 0o700, "keys/000001.pem": 0o600,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	k := signsNow(t, keys)
	if len(keys.List()) != 1 || k.Algorithm != "ES256" || !k.Created.Equal(c.Now()) || !k.SignsFrom.Equal(c.Now()) ||
		k.CertificateEnd.Before(c.Now().AddDate(19, 11, 0)) || k.File != filepath.Join(dir, "keys", "000001.pem") {
		t.Errorf("%+v", k)
	}
	if diff := cmp.Diff([]string{k.ID}, published(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestKeysStayWhenTheyAreOpenedAgain(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	first := openKeys(t, dir, token.KeysOptions{Now: c.Now})
	text := sign(t, first, c.claims(), false)
	second := openKeys(t, dir, token.KeysOptions{Now: c.Now})
	if diff := cmp.Diff(first.List(), second.List()); diff != "" {
		t.Error(diff)
	}
	wantGood(t, verifierOf(c, second), text)
}

func TestRotationOverlaps(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	keys := openKeys(t, dir, token.KeysOptions{Now: c.Now, Overlap: 10 * time.Minute, MaxTTL: time.Hour})
	v := verifierOf(c, keys)
	old := signsNow(t, keys)

	done := rotate(t, keys)
	if len(done.Removed) != 0 || !done.Made.SignsFrom.Equal(c.Now().Add(10*time.Minute)) {
		t.Errorf("%+v", done)
	}
	if diff := cmp.Diff([]string{old.ID, done.Made.ID}, published(t, dir)); diff != "" {
		t.Error(diff)
	}
	if now := signsNow(t, keys); now.ID != old.ID {
		t.Error("the new key signs before those who remember the JWKS know it")
	}
	if _, err := keys.Key(t.Context(), done.Made.ID); err != nil {
		t.Errorf("the new key is not accepted yet: %v", err)
	}

	c.advance(10*time.Minute - time.Nanosecond)
	last := sign(t, keys, c.claims(), false)
	c.advance(time.Nanosecond)
	if now := signsNow(t, keys); now.ID != done.Made.ID {
		t.Error("the new key does not sign yet")
	}
	header, _, _, _ := split(t, sign(t, keys, c.claims(), false))
	if header["kid"] != done.Made.ID {
		t.Errorf("signed by %v", header["kid"])
	}
	wantGood(t, v, last)

	// A token of the old key may live for an hour, and clocks differ.
	c.advance(time.Hour + time.Second)
	if again := rotate(t, keys); len(again.Removed) != 0 {
		t.Errorf("removed %v too early", ids(again.Removed))
	}
	c.advance(10 * time.Minute)
	again := rotate(t, keys)
	if diff := cmp.Diff([]string{old.ID}, ids(again.Removed)); diff != "" {
		t.Error(diff)
	}
	if slices.Contains(published(t, dir), old.ID) || len(keys.List()) != 3 {
		t.Errorf("published %v, listed %v", published(t, dir), ids(keys.List()))
	}
	wantRefused(t, v, last, "not known")
}

// Nobody has to rotate again, or to start anew, for a key to retire.
func TestKeysRetireByThemselves(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(*testing.T, *token.Keys, string, token.KeysOptions){
		"at a look": func(t *testing.T, k *token.Keys, _ string, _ token.KeysOptions) {
			if err := k.Reload(); err != nil {
				t.Error(err)
			}
		},
		"at a start": func(t *testing.T, k *token.Keys, dir string, o token.KeysOptions) {
			openKeys(t, dir, o)
			if err := k.Reload(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, dir := newClock(), t.TempDir()
			o := token.KeysOptions{Now: c.Now, Overlap: 10 * time.Minute, MaxTTL: time.Hour}
			keys := openKeys(t, dir, o)
			v := verifierOf(c, keys)
			old := signsNow(t, keys)
			made := rotate(t, keys).Made
			c.advance(10*time.Minute - time.Nanosecond)
			claims := c.claims()
			last := sign(t, keys, claims, false)
			c.advance(time.Hour + 10*time.Minute)
			look(t, keys, dir, o)
			if diff := cmp.Diff([]string{old.ID, made.ID}, published(t, dir)); diff != "" {
				t.Errorf("too early: %s", diff)
			}
			c.advance(2 * time.Nanosecond)
			look(t, keys, dir, o)
			if diff := cmp.Diff([]string{made.ID}, published(t, dir)); diff != "" {
				t.Error(diff)
			}
			wantRefused(t, v, last, "not known")
			if _, err := os.Stat(old.File); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file is there: %v", err)
			}
		})
	}
}

func TestAKeyMayHaveToSignAtOnce(t *testing.T) {
	t.Parallel()
	c := newClock()
	keys := openKeys(t, t.TempDir(), token.KeysOptions{Now: c.Now, Overlap: token.AtOnce})
	for range 12 { // more than ten: names sort as numbers do
		done := rotate(t, keys)
		if now := signsNow(t, keys); now.ID != done.Made.ID {
			t.Fatal("the new key does not sign")
		}
	}
}

func TestAnotherAlgorithmMakesAKeyThatSignsAtOnce(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	first := openKeys(t, dir, token.KeysOptions{Now: c.Now})
	text := sign(t, first, c.claims(), false)
	waiting := rotate(t, first).Made // it must not take over from the new one later
	second := openKeys(t, dir, token.KeysOptions{Now: c.Now, Algorithm: token.EdDSA})
	for range 2 {
		if now := signsNow(t, second); now.Algorithm != token.EdDSA {
			t.Errorf("%s signs", now.Algorithm)
		}
		c.advance(token.DefaultOverlap)
	}
	if len(second.List()) != 2 || slices.Contains(published(t, dir), waiting.ID) {
		t.Errorf("%+v", second.List())
	}
	if _, err := verifierOf(c, second).VerifyToken(t.Context(), text); !errors.Is(err, authn.ErrExpired) {
		t.Errorf("the token of the old algorithm: %v", err) // good but for its time
	}
	if _, err := token.OpenKeys(dir, token.KeysOptions{Algorithm: "HS256"}); err == nil || !strings.Contains(err.Error(), "choose ES256") {
		t.Errorf("error %v", err)
	}
}

// A command rotates while a server runs.
func TestOtherProcessesSeeARotationByReload(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	server := openKeys(t, dir, token.KeysOptions{Now: c.Now})
	command := openKeys(t, dir, token.KeysOptions{Now: c.Now, Overlap: token.AtOnce})
	made := rotate(t, command).Made
	if _, err := server.Key(t.Context(), made.ID); !errors.Is(err, token.ErrUnknownKey) {
		t.Fatalf("error %v", err)
	}
	if err := server.Reload(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(command.List(), server.List()); diff != "" {
		t.Error(diff)
	}
	for _, f := range server.Files() {
		if _, err := os.Stat(f); err != nil || !strings.HasPrefix(f, server.Dir()) {
			t.Errorf("%s is to be watched: %v", f, err)
		}
	}
}

func TestRevokeEndsAKeyAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := sign(t, r.keys, r.claims(), false)
	wantGood(t, r.verifier, text)
	stolen := signsNow(t, r.keys)
	done, err := r.keys.Revoke(stolen.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{stolen.ID}, ids(done.Removed)); diff != "" || done.Made.ID != signsNow(t, r.keys).ID {
		t.Errorf("%+v", done)
	}
	wantRefused(t, r.verifier, text, "not known")
	wantGood(t, r.verifier, sign(t, r.keys, r.claims(), false))
	if _, err := r.keys.Revoke(stolen.ID); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("error %v", err)
	}
	waiting := rotate(t, r.keys).Made
	if done, err = r.keys.Revoke(waiting.ID); err != nil || done.Made != nil {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestABadDirectoryLeavesTheKeysAsTheyWere(t *testing.T) {
	t.Parallel()
	other := openKeys(t, t.TempDir(), token.KeysOptions{})
	strangersKey, err := os.ReadFile(other.List()[0].File)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, data []byte) error { return os.WriteFile(path, data, 0o600) }
	edit := func(path, old, replacement string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return write(path, []byte(strings.Replace(string(data), old, replacement, 1)))
	}
	for name, test := range map[string]struct {
		spoil func(dir, key string) error
		want  string // %K is the path of the key, %D the directory
	}{
		"a key that others may read":    {func(_, key string) error { return os.Chmod(key, 0o640) }, "chmod 600 %K"},
		"a directory others may change": {func(dir, _ string) error { return os.Chmod(filepath.Join(dir, "keys"), 0o770) }, "chmod go-w %D/keys"},
		"an empty file":                 {func(_, key string) error { return write(key, nil) }, "signing key %K"},
		"no start":                      {func(_, key string) error { return edit(key, "Signs-From", "Signs") }, `no line "Signs-From: TIME"`},
		"a strange start":               {func(_, key string) error { return edit(key, "Signs-From: 2", "Signs-From: x") }, "%K"},
		"a spoilt key":                  {func(_, key string) error { return edit(key, "PRIVATE KEY-----\nM", "PRIVATE KEY-----\nX") }, "%K"},
		"an encrypted key":              {func(_, key string) error { return edit(key, "BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE") }, "%K"},
		"no certificate":                {func(_, key string) error { return edit(key, "BEGIN CERT", "BEGIN CRET") }, "no certificate"},
		"a key of another authority":    {func(_, key string) error { return write(key, strangersKey) }, "was not issued by ca.crt"},
		"a key twice": {func(dir, key string) error {
			data, err := os.ReadFile(key)
			return errors.Join(err, write(filepath.Join(dir, "keys", "000002.pem"), data))
		}, "000001.pem"},
		"no key":           {func(_, key string) error { return os.Remove(key) }, "no signing key is in %D/keys"},
		"no authority":     {func(dir, _ string) error { return os.Remove(filepath.Join(dir, "ca.crt")) }, "%D/ca.crt"},
		"a bad authority":  {func(dir, _ string) error { return write(filepath.Join(dir, "ca.crt"), []byte("x")) }, "%D/ca.crt"},
		"a huge file":      {func(_, key string) error { return os.Truncate(key, 2<<20) }, "%K is larger"},
		"a key that is no": {func(_, key string) error { return errors.Join(os.Remove(key), os.Mkdir(key, 0o700)) }, "%K"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			text := sign(t, r.keys, r.claims(), false)
			key := r.keys.List()[0].File
			if err := test.spoil(r.keys.Dir(), key); err != nil {
				t.Fatal(err)
			}
			want := strings.NewReplacer("%K", key, "%D", r.keys.Dir()).Replace(test.want)
			if err := r.keys.Reload(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v does not say %q", err, want)
			}
			wantGood(t, r.verifier, text)
			sign(t, r.keys, r.claims(), false)
		})
	}
}

func TestWhatIsNoKeyIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{".000009.pem.123.tmp", ".000009.pem", "notes.txt", "000001.pem.bak"} {
		if err := os.WriteFile(filepath.Join(r.keys.Dir(), "keys", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.keys.Reload(); err != nil {
		t.Error(err)
	}
}

func TestTheKeyOfTheAuthorityIsNeededForNewKeysOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	caKey := filepath.Join(r.keys.Dir(), "ca.key")
	if err := os.Remove(caKey); err != nil {
		t.Fatal(err)
	}
	again := openKeys(t, r.keys.Dir(), token.KeysOptions{Now: r.Now})
	if _, err := again.Rotate(); err == nil || !strings.Contains(err.Error(), caKey) {
		t.Errorf("error %v", err)
	}
	sign(t, again, r.claims(), true)
}

func TestALostAuthorityIsNotReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := os.Remove(filepath.Join(r.keys.Dir(), "ca.crt")); err != nil {
		t.Fatal(err)
	}
	if _, err := token.OpenKeys(r.keys.Dir(), token.KeysOptions{}); err == nil || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("error %v", err)
	}
}

// The first start was cut off between the two files of the authority.
func TestHalfAnAuthorityIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClock()
	sign(t, openKeys(t, dir, token.KeysOptions{Now: c.Now}), c.claims(), true)
}

func TestTheJWKSFileIsMendedAtTheNextLook(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := filepath.Join(r.keys.Dir(), "jwks.json")
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.keys.Reload(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ids(r.keys.List()), published(t, r.keys.Dir())); diff != "" {
		t.Error(diff)
	}
}

// The clock of the machine goes back behind the first key.
func TestAKeySignsWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.advance(-24 * time.Hour)
	wantGood(t, r.verifier, sign(t, r.keys, r.claims(), false))
}
