package htpasswd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/authntest"
	"github.com/moorgate/moorgate/internal/filewatch"
)

// newFile writes a password file.
func newFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "registry.password")
	writeFile(t, path, content)
	return path
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bcryptFile is a password file of users and passwords at the lowest cost.
func bcryptFile(t *testing.T, users map[string]string) string {
	t.Helper()
	var b strings.Builder
	for user, password := range users {
		hash, err := Hash(password, bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s:%s\n", user, hash)
	}
	return b.String()
}

func open(t *testing.T, content string) *Source {
	t.Helper()
	s, err := Open("htpasswd", newFile(t, content), authn.NewLimiter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	t.Parallel()
	wrap := map[string]func(*Source) authn.Password{
		"source": func(s *Source) authn.Password { return s },
		"chain":  func(s *Source) authn.Password { return authn.Chain(authn.Chain(), s) },
		"cached": func(s *Source) authn.Password { return authn.Cached("htpasswd", s, authn.NewCache(0, 0)) },
	}
	for name, wrap := range wrap {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limiter := authn.NewLimiter(0, 0)
			authntest.Run(t, authntest.Config{
				Source: "people",
				Hashes: limiter.Total,
				New: func(t *testing.T, users map[string]string) authn.Password {
					s, err := Open("people", newFile(t, bcryptFile(t, users)), limiter)
					if err != nil {
						t.Fatal(err)
					}
					return wrap(s)
				},
			})
		})
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, name string, users map[string]string) (*Source, func(map[string]string)) {
		s, err := Open(name, newFile(t, bcryptFile(t, users)), authn.NewLimiter(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		return s, func(users map[string]string) {
			writeFile(t, s.path, bcryptFile(t, users))
			if err := s.Reload(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, wrap := range map[string]func(*testing.T, *Source) authn.Directory{
		"source": func(_ *testing.T, s *Source) authn.Directory { return s },
		"one of several": func(t *testing.T, s *Source) authn.Directory {
			other, _ := open(t, "others", map[string]string{"alice": "of others", "mallory": "x"})
			return authn.Directories(other, s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			authntest.RunDirectory(t, authntest.DirectoryConfig{
				Source: "people",
				New: func(t *testing.T, users map[string]string) (authn.Directory, func(map[string]string)) {
					s, set := open(t, "people", users)
					return wrap(t, s), set
				},
			})
		})
	}
}

// The work for unknown users is that of the known ones, in the same mix.
func TestUnknownUsersCostLikeKnownOnes(t *testing.T) {
	t.Parallel()
	s := open(t, "a:"+known["bcrypt 4"]+"\nb:"+known["bcrypt 4"]+"\nc:"+known["bcrypt 4"]+"\nd:"+known["sha1"]+"\n")
	var worked []string
	s.matches = func(h secret, _ string) bool { // not the hash itself: its kind is the work
		worked = append(worked, h.kind)
		return true // as if the password were right
	}
	const unknown = 400
	count := map[string]int{}
	for i := range unknown {
		user := fmt.Sprint("unknown", i)
		worked = nil
		for range 2 {
			if _, err := s.VerifyPassword(t.Context(), user, "x"); !errors.Is(err, authn.ErrNoMatch) {
				t.Fatalf("error %v; want ErrNoMatch", err)
			}
		}
		if len(worked) != 2 || worked[0] != worked[1] {
			t.Fatalf("%s cost %v; want the same hash each time", user, worked)
		}
		count[worked[0]]++
	}
	// Three of four known users have bcrypt: 300, give or take 60 (seven sigma).
	if n := count[Bcrypt]; n < 240 || n > 360 {
		t.Errorf("%d of %d unknown users cost a bcrypt hash; want about 300", n, unknown)
	}
	worked = nil
	if _, err := s.VerifyPassword(t.Context(), "d", "x"); err != nil {
		t.Error(err)
	}
	if len(worked) != 1 || worked[0] != SHA1 {
		t.Errorf("a known user cost %v", worked)
	}
}

func TestEmptyFileKnowsNobody(t *testing.T) {
	t.Parallel()
	if _, err := open(t, "# nobody\n").VerifyPassword(t.Context(), "a", "x"); !errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("error %v", err)
	}
}

func TestReloadTakesTheNewFileAndForgetsTheOldPassword(t *testing.T) {
	t.Parallel()
	s := open(t, "a:"+known["bcrypt 4"])
	cached := authn.Cached("htpasswd", s, authn.NewCache(0, 0))
	if _, err := cached.VerifyPassword(t.Context(), "a", "pass word"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.path, bcryptFile(t, map[string]string{"a": "other", "b": "x"}))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := cached.VerifyPassword(t.Context(), "a", "pass word"); !errors.Is(err, authn.ErrWrongPassword) {
		t.Errorf("the old password: error %v", err)
	}
	for user, password := range map[string]string{"a": "other", "b": "x"} {
		if _, err := cached.VerifyPassword(t.Context(), user, password); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
}

func TestReloadOfABadFileKeepsTheLastGoodOne(t *testing.T) {
	t.Parallel()
	s := open(t, "a:"+known["bcrypt 4"])
	damage := map[string]struct {
		do   func() error
		want string
	}{
		"a bad line": {func() error { return os.WriteFile(s.path, []byte("a:plain\n"), 0o600) }, s.path + `: line 1: user "a": not a known`},
		"no file":    {func() error { return os.Remove(s.path) }, s.path + ": file does not exist; make it"},
		"directory":  {func() error { return os.Mkdir(s.path, 0o700) }, "is a directory"},
	}
	for _, name := range []string{"a bad line", "no file", "directory"} {
		d := damage[name]
		if err := d.do(); err != nil {
			t.Fatal(err)
		}
		err := s.Reload()
		if err == nil || !strings.Contains(err.Error(), d.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v; want one line with %q", name, err, d.want)
		}
		if _, err := s.VerifyPassword(t.Context(), "a", "pass word"); err != nil {
			t.Errorf("%s: the user of the last good file: %v", name, err)
		}
	}
}

func TestOpenOfAMissingFileSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := Open("htpasswd", filepath.Join(t.TempDir(), "x"), authn.NewLimiter(0, 0))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "moorgate passwd add") {
		t.Errorf("error %v", err)
	}
}

func TestBusyWhenTooManyPasswordsAreChecked(t *testing.T) {
	t.Parallel()
	s := open(t, "a:"+known["bcrypt 4"])
	synctest.Test(t, func(t *testing.T) {
		s.limiter = authn.NewLimiter(1, 1)
		gate := make(chan struct{})
		s.matches = func(secret, string) bool { <-gate; return true }
		errs := make(chan error)
		ask := func(ctx context.Context, user string) {
			_, err := s.VerifyPassword(ctx, user, "x")
			errs <- err
		}
		go ask(t.Context(), "a")
		go ask(t.Context(), "a")
		synctest.Wait()
		for _, user := range []string{"a", "unknown"} {
			if _, err := s.VerifyPassword(t.Context(), user, "x"); !errors.Is(err, authn.ErrBusy) {
				t.Errorf("%s: error %v; want ErrBusy", user, err)
			}
		}
		close(gate)
		for range 2 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "user%d:%s\n", i, known["bcrypt 4"])
	}
	for b.Loop() {
		if _, err := Parse(strings.NewReader(text.String())); err != nil {
			b.Fatal(err)
		}
	}
}

// What "moorgate passwd add" does reaches a running server.
func TestAnEditReachesAWatchedSource(t *testing.T) {
	t.Parallel()
	s := open(t, "# nobody yet\n")
	w := filewatch.New(slog.New(slog.DiscardHandler), s.path)
	w.Settle = 10 * time.Millisecond
	reloads := make(chan error, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, func() { reloads <- s.Reload() })
	}()
	defer func() {
		cancel()
		<-ended
	}()
	if _, err := Set(s.path, "a", known["bcrypt 4"]); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-reloads:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the file was not read again")
	}
	if _, err := s.VerifyPassword(t.Context(), "a", "pass word"); err != nil {
		t.Error(err)
	}
}
