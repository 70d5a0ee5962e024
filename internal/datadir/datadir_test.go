package datadir

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// holdVar asks the test binary to stand for another process: it locks its
// working directory, says so, and waits for its standard input to end.
const holdVar = "DATADIR_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdVar) == "" {
		os.Exit(m.Run())
	}
	if _, err := Open("."); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("locked")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

func TestOpenMakesAPrivateDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b")
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if d.Path() != path {
		t.Errorf("Path is %q, want %q", d.Path(), path)
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		if info, err := os.Stat(p); err != nil || info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s is %v, %v, want drwx------", p, info.Mode(), err)
		}
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestParentsOfMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, want := range map[string][]string{
		dir + "/a":        {dir},
		dir + "/a/b/../c": {dir + "/a", dir},
		dir + "/a/b/c/":   {dir + "/a/b", dir + "/a", dir},
		"no-such":         {"."},
		"no-such/b":       {"no-such", "."},
	} {
		if got := parentsOfMissing(path); !slices.Equal(got, want) {
			t.Errorf("parentsOfMissing(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("the data directory %s is in use by another moorgate process (pid %d); stop it or give another --data", path, os.Getpid())
	for range 2 { // a refused Open changes nothing
		if _, err := Open(path); err == nil || err.Error() != want {
			t.Errorf("second Open: %v, want %s", err, want)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = Open(path); err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestLockWithoutAProcessNumber(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "no number\n", strings.Repeat("1", 1000)} {
		path := t.TempDir()
		d, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "lock"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("the data directory %s is in use by another moorgate process; stop it or give another --data", path)
		if _, err := Open(path); err == nil || err.Error() != want {
			t.Errorf("second Open: %v, want %s", err, want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAnotherProcess ends the other process by a signal that it cannot catch:
// the lock ends with it.
func TestAnotherProcess(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), holdVar+"=yes")
	cmd.Dir = path
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	want := fmt.Sprintf("the data directory %s is in use by another moorgate process (pid %d); stop it or give another --data", path, cmd.Process.Pid)
	if _, err := Open(path); err == nil || err.Error() != want {
		t.Errorf("Open: %v, want %s", err, want)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // reports the signal
	d, err := Open(path)
	if err != nil {
		t.Fatalf("Open after the other process ended: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(dir, "locked")
	if err := os.MkdirAll(filepath.Join(locked, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	const todo = "; make it writable for this user or give another --data"
	tests := []struct{ name, path, want string }{
		{"not set", "", "the data directory is not set; give one with --data"},
		{"a file", file, "the data directory " + file + " is a file; give another --data"},
		{
			"below a file", file + "/data",
			"the data directory " + file + "/data cannot be used: stat " + file + "/data: not a directory" + todo,
		},
		{
			"lock is a directory", locked,
			"the data directory " + locked + " cannot be used: open " + locked + "/lock: is a directory" + todo,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Open(tt.path); err == nil || err.Error() != tt.want {
				t.Errorf("Open: %v, want %s", err, tt.want)
			}
		})
	}
}
