// Package atomicfile replaces small files in one step.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write makes data the content of the file at path: readers see the old
// content or the new one, and after Write returns the new one survives a
// crash. An existing file keeps its mode and owner; a new one gets perm. If
// path is a symbolic link, the file it leads to is replaced and the link stays.
//
// It does not guard against two writers that read, change and write; they need
// a Lock.
func Write(path string, data []byte, perm fs.FileMode) error {
	target, err := Target(path)
	if err != nil {
		return err
	}
	old, err := os.Stat(target)
	switch {
	case err == nil:
		perm = old.Mode().Perm()
	case errors.Is(err, fs.ErrNotExist):
		old = nil
	default:
		return err
	}
	tmp, err := writeTemp(target, data, perm, old)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, target); err != nil {
		_ = os.Remove(tmp) // the error of the rename is the one to tell
		return err
	}
	return syncDir(filepath.Dir(target))
}

// Target returns the path of the file that path leads to through symbolic
// links. The file need not exist, but a link to nothing is an error: what
// was meant cannot be told.
func Target(path string) (string, error) {
	target, err := filepath.EvalSymlinks(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return target, err
	}
	if _, lerr := os.Lstat(path); lerr == nil {
		return "", fmt.Errorf("%s is a symbolic link to a file that does not exist", path)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}

// writeTemp writes and syncs a new file beside target and returns its path.
// It leaves nothing behind if it fails.
func writeTemp(target string, data []byte, perm fs.FileMode, old fs.FileInfo) (path string, err error) {
	f, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*.tmp")
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one to tell
		}
	}()
	if old != nil {
		// Before the mode: a change of owner may clear bits of it.
		if err := keepOwner(f, old); err != nil {
			return "", fmt.Errorf("cannot keep the owner of %s: %w", target, err)
		}
	}
	if err := f.Chmod(perm); err != nil {
		return "", err
	}
	if _, err := f.Write(data); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}

// syncDir makes renames in dir survive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
