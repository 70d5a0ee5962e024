// Package programtest runs the program of examples/login-program for tests: as a
// program, and as a service.
package programtest

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// Users are a file of users for the program.
type Users struct{ File string }

// NewUsers makes a file of users: names and passwords. Each is in the groups
// "developers" and "of-NAME", and has the claim team: "core".
func NewUsers(t testing.TB, passwords map[string]string) *Users {
	t.Helper()
	u := &Users{File: filepath.Join(t.TempDir(), "users.json")}
	u.Set(t, passwords)
	return u
}

// Set replaces all users in one step.
func (u *Users) Set(t testing.TB, passwords map[string]string) {
	t.Helper()
	all := map[string]any{}
	for name, password := range passwords {
		all[name] = map[string]any{"hash": hash(t, name, password), "groups": []string{"developers", "of-" + name}, "team": "core"}
	}
	text, err := json.Marshal(all)
	next := u.File + ".next"
	if err := errors.Join(err, os.WriteFile(next, text, 0o600), os.Rename(next, u.File)); err != nil {
		t.Fatal(err)
	}
}

// hash is a hash as the program has them, and quick to compare with.
func hash(t testing.TB, name, password string) string {
	t.Helper()
	const iterations = 1000
	salt := []byte("salt of " + name + " with " + password)
	key, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d$%x$%x", iterations, salt, key)
}

// Command returns the program with arguments that give it users.
func Command(t testing.TB, u *Users) []string {
	t.Helper()
	return []string{Binary(t), "-users", u.File}
}

// Binary returns the path of a copy of the program, which is built once for the test
// process: anybody may write in some of the places where source trees lie, and a
// program there is none that may decide who signs in.
func Binary(t testing.TB) string {
	t.Helper()
	built, err := build()
	if err != nil {
		t.Fatalf("cannot build examples/login-program: %v", err)
	}
	text, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "login-program")
	Write(t, path, text)
	return path
}

// Write writes a program that can be run at once. No other test may start one
// meanwhile: it would have the file open, and a file that is open for writing cannot
// be run.
func Write(t testing.TB, path string, text []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, text, 0o700); err != nil {
		t.Fatal(err)
	}
}

var build = sync.OnceValues(func() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("no source path in this binary")
	}
	root := filepath.Join(filepath.Dir(file), "..", "..", "..")
	// One path for all test processes, as for the program itself in testserver.
	path := filepath.Join(root, ".cache", "bin", "login-program")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./examples/login-program")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})
