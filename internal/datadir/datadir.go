// Package datadir makes and locks the directory that one process keeps its
// data in.
package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Dir is a data directory that this process alone uses.
type Dir struct {
	path string
	lock *os.File
}

// Open makes the directory at path and those above it, private to this user,
// as far as they are missing, and locks it until Close or the end of the
// process, however that comes. The lock is flock(2) on the file "lock" inside,
// which also names the process; a second Open fails, in this process too.
//
// Errors are one line for the operator.
func Open(path string) (*Dir, error) {
	if path == "" {
		return nil, errors.New("the data directory is not set; give one with --data")
	}
	if err := create(path); err != nil {
		return nil, err
	}
	name := filepath.Join(path, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unusable(path, err)
	}
	if err := lock(f, path); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Dir{path: path, lock: f}, nil
}

// Path is the path that was given to Open.
func (d *Dir) Path() string { return d.path }

// Close lets other processes use the directory. The lock file stays: removing
// it would let two processes lock two files of that name.
func (d *Dir) Close() error {
	// Not by closing alone: a process that is being started at this moment has
	// the file open too, until it becomes another program.
	err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_UN)
	if err := errors.Join(err, d.lock.Close()); err != nil {
		return fmt.Errorf("unlock the data directory %s: %w", d.path, err)
	}
	return nil
}

// create makes the directory if it is missing, and puts the names of all
// directories that it makes on stable storage.
func create(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("the data directory %s is a file; give another --data", path)
	case !errors.Is(err, fs.ErrNotExist):
		return unusable(path, err)
	}
	changed := parentsOfMissing(path)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return unusable(path, err)
	}
	for _, dir := range changed {
		if err := syncDir(dir); err != nil {
			return unusable(path, err)
		}
	}
	return nil
}

// parentsOfMissing returns the directories that get a new entry when path is
// made.
func parentsOfMissing(path string) (dirs []string) {
	for p := filepath.Clean(path); ; {
		parent := filepath.Dir(p)
		dirs = append(dirs, parent)
		if _, err := os.Stat(parent); !errors.Is(err, fs.ErrNotExist) || parent == p {
			return dirs
		}
		p = parent
	}
}

// lock takes the lock and writes who has it.
func lock(f *os.File, path string) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("the data directory %s is in use by another moorgate process%s; stop it or give another --data", path, owner(f))
	}
	if err != nil {
		return fmt.Errorf("the data directory %s cannot be locked (%w); give a --data on a local file system", path, err)
	}
	// The number is for people. A full disk must not keep the server from
	// starting, so an error does not matter.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	}
	return nil
}

// owner returns " (pid N)" as the lock file says, or "" if it does not.
func owner(f *os.File) string {
	const most = 32
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

// unusable says what to do about a directory that cannot be made or written to.
func unusable(path string, err error) error {
	return fmt.Errorf("the data directory %s cannot be used: %w; make it writable for this user or give another --data", path, err)
}

// syncDir puts the names in dir on stable storage.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}
