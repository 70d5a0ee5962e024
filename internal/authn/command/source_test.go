package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/authntest"
	"github.com/moorgate/moorgate/internal/authn/programtest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	authntest.Run(t, authntest.Config{Source: "exec", New: func(t *testing.T, users map[string]string) authn.Password {
		s, _ := openSample(t, users)
		return s
	}})
	authntest.Run(t, authntest.Config{Source: "exec", New: func(t *testing.T, users map[string]string) authn.Password {
		s, _ := openSample(t, users)
		return authn.Cached("exec", s, authn.NewCache(time.Minute, 0))
	}})
	authntest.RunDirectory(t, authntest.DirectoryConfig{Source: "exec", New: func(t *testing.T, users map[string]string) (authn.Directory, func(map[string]string)) {
		s, file := openSample(t, users)
		return s, func(users map[string]string) { file.Set(t, users) }
	}})
}

func TestGroupsAndClaims(t *testing.T) {
	t.Parallel()
	s, _ := openSample(t, map[string]string{"alice": "secret"})
	who, err := s.VerifyPassword(t.Context(), "alice", "secret")
	want := access.Identity{User: "alice", Source: "exec", Groups: []string{"developers", "of-alice"}, Claims: map[string]any{"team": "core"}}
	if diff := cmp.Diff(want, who); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	s, file := openSample(t, map[string]string{"alice": "secret", "bob": "secret"})
	found, err := s.Probe(t.Context())
	if err != nil || !strings.HasSuffix(found, "/login-program: 2 users") {
		t.Errorf("%q, %v", found, err)
	}
	if err := os.Remove(file.File); err != nil {
		t.Fatal(err)
	}
	if found, err = s.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "it has ended with exit status 1: whatever it has to say, it ends with 0: login-program: open") {
		t.Errorf("without its users: %q, %v", found, err)
	}
}

// A program runs in its own place, with the environment that it was given.
func TestEnvironment(t *testing.T) {
	t.Setenv("LOGIN_REALM", "example")
	t.Setenv("MOORGATE_UPSTREAM_PASSWORD", "of the server")
	dir := t.TempDir()
	seen := filepath.Join(dir, "seen")
	s, _ := openConfig(t, func(c *Config) {
		c.Command = append(shell(t, `{ pwd; echo "$#" "$@"; env; } > seen; read -r question; echo "$question" >> seen; echo '{"result":"wrong"}'`), "a b", "$HOME", "*")
		c.Env, c.Directory, c.Timeout = []string{"LOGIN_REALM"}, dir, time.Minute
	})
	if _, err := s.VerifyPassword(t.Context(), "alice", "secret"); !errors.Is(err, authn.ErrWrongPassword) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.Sort(lines[2 : len(lines)-1])
	want := []string{dir, "3 a b $HOME *", "LOGIN_REALM=example", searchPath, "PWD=" + dir, `{"version":1,"operation":"verify","source":"exec","user":"alice","password":"secret"}`}
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "_=") || strings.HasPrefix(l, "SHLVL=") || strings.HasPrefix(l, "OLDPWD=")
	}) // of the shell
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

func TestCheckFindsAllMistakes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"none": {func(c *Config) { c.Command = []string{"/bin/login", "relative", ""} }, nil},
		"all": {func(c *Config) {
			c.Command, c.Env, c.Directory = []string{"login", "a\x00b"}, []string{"A=b", "", "Moorgate_UPSTREAM_PASSWORD", "OK"}, "var"
			c.Timeout, c.MaxRunning, c.Cache = 0, 0, -1
		}, []string{"command", "command[1]", "env[0]", "env[1]", "env[2]", "directory", "timeout", "max_running", "cache"}},
		"nothing to run": {func(c *Config) { c.Timeout, c.MaxRunning = time.Hour, 1_000_000 }, []string{"command", "timeout", "max_running"}},
	} {
		c := Default()
		tt.change(&c)
		var keys []string
		c.Check(func(key, _ string) { keys = append(keys, key) })
		if diff := cmp.Diff(tt.want, keys); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What is wrong with a program is said before anybody signs in, if it can be known.
func TestOpenLooksAtTheProgram(t *testing.T) {
	t.Parallel()
	at := func(file string, mode os.FileMode) string {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := script(t, "#!/bin/sh\n")
	inPlace := script(t, "#!/bin/sh\n")
	at(filepath.Dir(inPlace), 0o777)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(at(script(t, "#!/bin/sh\n"), 0o777), link); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		command []string
		want    string
	}{
		"good":                               {[]string{good, "/dev/null", "/nowhere", "-x"}, ""},
		"not there":                          {[]string{good + "x"}, "there is no program"},
		"a directory":                        {[]string{filepath.Dir(good)}, "not a file that can be run"},
		"not for us":                         {[]string{at(script(t, "#!/bin/sh\n"), 0o600)}, "chmod a+x"},
		"anybody may write it":               {[]string{at(script(t, "#!/bin/sh\n"), 0o777)}, "decide who signs in"},
		"anybody may replace it":             {[]string{inPlace}, "decide who signs in"},
		"anybody may write what it links to": {[]string{link}, "decide who signs in"},
		"anybody may write the script":       {[]string{"/bin/sh", at(script(t, "echo"), 0o602)}, "decide who signs in"},
		"behind a file":                      {[]string{good + "/x"}, "not a directory"},
	} {
		c := Default()
		c.Command = tt.command
		_, err := Open("exec", c, nil)
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for key, change := range map[string]func(*Config){
		"directory": func(c *Config) { c.Directory = good },
		"env":       func(c *Config) { c.Env = []string{"NO_SUCH_VARIABLE_HERE"} },
	} {
		c := Default()
		c.Command = []string{good}
		change(&c)
		if _, err := Open("exec", c, nil); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: error %v", key, err)
		}
	}
}

// What nobody can write on a read-only file system anybody may write elsewhere: so
// clusters mount configuration.
func TestProgramOnAReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mounted")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0777"); err != nil {
		t.Fatalf("cannot mount a file system, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	c := Default()
	c.Command = []string{filepath.Join(dir, "login")}
	programtest.Write(t, c.Command[0], []byte("#!/bin/sh\n"))
	if _, err := Open("exec", c, nil); err == nil || !strings.Contains(err.Error(), "anybody on this machine may write "+dir+",") {
		t.Errorf("while it can be written: %v", err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("exec", c, nil); err != nil {
		t.Errorf("while nobody can write it: %v", err)
	}
}

// What shows only when the program runs is said then, and is a fault: it is no word
// about the user.
func TestMistakesOfTheProgram(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		command []string
		want    string
	}{
		"no interpreter named": {[]string{script(t, "echo\n")}, "a script begins with a line such as #!/bin/sh"},
		"no such interpreter":  {[]string{script(t, "#!/no/such/shell\n")}, "the interpreter that its first line names"},
		"ends with an error":   {shell(t, "echo no database >&2; exit 3"), "exit status 3: whatever it has to say, it ends with 0: no database"},
		"ends with an answer and an error": {
			shell(t, `echo '{"result":"ok","user":"alice"}'; exit 1`), "exit status 1",
		},
		"is killed":       {shell(t, `echo '{"result":"ok","user":"alice"}'; kill -9 $$`), "signal: killed"},
		"says nothing":    {shell(t, "true"), "answered nothing"},
		"says no JSON":    {shell(t, "echo yes"), "not JSON"},
		"has a null name": {shell(t, `echo '{"result":"ok","user":null}'`), "null"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := openCommand(t, tt.command...)
			who, err := s.VerifyPassword(t.Context(), "alice", "secret")
			if err == nil || isAnswer(err) || who.User != "" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v, %v; want a fault with %q", who, err, tt.want)
			}
		})
	}
}

func isAnswer(err error) bool {
	return errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrWrongPassword) || errors.Is(err, context.DeadlineExceeded)
}

// What a program says besides its answer is told.
func TestNotesAreLogged(t *testing.T) {
	t.Parallel()
	s, log := openCommand(t, shell(t, `read -r q; echo "deprecated: $q" >&2; echo "slow today" >&2; echo '{"result":"unknown"}'`)...)
	if _, err := s.VerifyPassword(t.Context(), "alice", "open sesame"); !errors.Is(err, authn.ErrNoMatch) {
		t.Error(err)
	}
	if got := log.String(); !strings.Contains(got, `source=exec said="(a line with the password in it); slow today"`) || strings.Contains(got, "sesame") {
		t.Error(got)
	}
}
