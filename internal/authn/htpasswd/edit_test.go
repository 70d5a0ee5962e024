package htpasswd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/authn"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSetAndRemoveKeepTheRestOfTheFile(t *testing.T) {
	t.Parallel()
	sha, apr := known["sha1"], known["apr1"]
	set := func(user string) func(string) (Change, error) {
		return func(path string) (Change, error) { return Set(path, user, apr) }
	}
	remove := func(user string) func(string) (Change, error) {
		return func(path string) (Change, error) { return Remove(path, user) }
	}
	tests := map[string]struct {
		before   string
		edit     func(string) (Change, error)
		after    string
		replaced bool
		problem  string
	}{
		"add to an empty file":        {"", set("a"), "a:" + apr + "\n", false, ""},
		"add":                         {"# us\nb:" + sha + "\n", set("a"), "# us\nb:" + sha + "\na:" + apr + "\n", false, ""},
		"add without last line end":   {"b:" + sha, set("a"), "b:" + sha + "\na:" + apr + "\n", false, ""},
		"add to CR LF":                {"b:" + sha + "\r\nc:" + sha, set("a"), "b:" + sha + "\r\nc:" + sha + "\r\na:" + apr + "\r\n", false, ""},
		"replace":                     {"b:" + sha + "\n\n# a\na:" + sha + "\nc:" + sha + "\n", set("a"), "b:" + sha + "\n\n# a\na:" + apr + "\nc:" + sha + "\n", true, ""},
		"replace keeps more fields":   {"a:" + sha + ":Alice: A\r\n", set("a"), "a:" + apr + ":Alice: A\r\n", true, ""},
		"replace the last, unended":   {"a:" + sha, set("a"), "a:" + apr, true, ""},
		"replace an unknown hash":     {"a:" + des + "\n", set("a"), "a:" + apr + "\n", true, ""},
		"replace both of two":         {"a:x\nb:" + sha + "\na:y\n", set("a"), "a:" + apr + "\nb:" + sha + "\n", true, ""},
		"not a user it begins with":   {"ab:" + sha + "\n#a:x\n", set("a"), "ab:" + sha + "\n#a:x\na:" + apr + "\n", false, ""},
		"another user with a problem": {"b:" + des + "\n", set("a"), "b:" + des + "\na:" + apr + "\n", false, `line 1: user "b"`},
		"remove":                      {"# x\na:" + sha + "\nb:" + sha + "\n", remove("a"), "# x\nb:" + sha + "\n", true, ""},
		"remove the last":             {"a:" + sha, remove("a"), "", true, ""},
		"remove an unknown hash":      {"a:" + des + "\nb:" + sha, remove("a"), "b:" + sha, true, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t, tt.before)
			change, err := tt.edit(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.after, readFile(t, path)); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
			if change.Replaced != tt.replaced || change.Created {
				t.Errorf("change %+v", change)
			}
			if (change.Problem != nil) != (tt.problem != "") || change.Problem != nil && !strings.Contains(change.Problem.Error(), tt.problem) {
				t.Errorf("problem %v; want %q", change.Problem, tt.problem)
			}
			names, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(names) != 1 {
				t.Errorf("the edit left files behind: %v, %v", names, err)
			}
		})
	}
}

func TestEditsThatAreRefusedChangeNothing(t *testing.T) {
	t.Parallel()
	sha := known["sha1"]
	tests := map[string]struct {
		file string
		edit func(path string) (Change, error)
		want string
	}{
		"remove nobody":           {"a:" + sha, func(p string) (Change, error) { return Remove(p, "b") }, authn.ErrNoMatch.Error()},
		"not a password file":     {"127.0.0.1 localhost\n", func(p string) (Change, error) { return Set(p, "a", sha) }, "is this a password file?"},
		"bad name":                {"a:" + sha, func(p string) (Change, error) { return Set(p, "x:y", sha) }, "colon"},
		"a name that is two":      {"a:" + sha, func(p string) (Change, error) { return Set(p, "x\ny", sha) }, "cannot be printed"},
		"a comment":               {"a:" + sha, func(p string) (Change, error) { return Set(p, "#x", sha) }, "comment"},
		"a hash that is none":     {"a:" + sha, func(p string) (Change, error) { return Set(p, "x", "plain") }, "not a known password hash"},
		"a hash with a line end":  {"a:" + sha, func(p string) (Change, error) { return Set(p, "x", sha+"\n") }, "not a known password hash"},
		"a hash with more fields": {"a:" + sha, func(p string) (Change, error) { return Set(p, "x", sha+":y") }, "not a known password hash"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t, tt.file)
			if _, err := tt.edit(path); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
			if got := readFile(t, path); got != tt.file {
				t.Errorf("the file became %q", got)
			}
		})
	}
	if _, err := Remove(filepath.Join(t.TempDir(), "x"), "a"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("remove from no file: error %v", err)
	}
}

func TestSetMakesAFileForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new")
	change, err := Set(path, "a", known["sha1"])
	if err != nil || !change.Created {
		t.Fatalf("%+v, %v", change, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestEditsAtOnceAllTakeEffect(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shared")
	const many = 20
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			if _, err := Set(path, fmt.Sprint("user", i), known["sha1"]); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	users, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if users.Len() != many {
		t.Errorf("%d users; want %d", users.Len(), many)
	}
}

func TestHashRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		password string
		cost     int
		want     string
	}{
		"empty":     {"", 4, "the password is empty"},
		"73 bytes":  {strings.Repeat("x", 73), 4, "the password has 73 bytes; bcrypt takes at most 72"},
		"umlauts":   {strings.Repeat("ü", 37), 4, "the password has 74 bytes"},
		"zero byte": {"a\x00b", 4, "zero byte"},
		"cost 3":    {"x", 3, "from 4 to 15"},
		"cost 16":   {"x", 16, "from 4 to 15"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Hash(tt.password, tt.cost); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
}
