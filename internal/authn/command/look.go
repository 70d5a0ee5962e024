package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// look finds out whether the program can be run, and whether only those can change
// it who may.
func (c Config) look() error {
	program := c.Command[0]
	info, err := os.Stat(program)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no program %s (command)", program)
	case err != nil:
		return fmt.Errorf("the program (command): %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s (command) is not a file that can be run", program)
	case unix.Access(program, unix.X_OK) != nil:
		return fmt.Errorf("the user of this server may not run %s (command): chmod a+x it", program)
	}
	if info, err := os.Stat(c.Directory); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no directory %s (directory) that the user of this server may see", c.Directory)
	}
	for _, word := range c.Command {
		if err := guarded(word); err != nil {
			return err
		}
	}
	return nil
}

// guarded refuses a file that anybody on the machine may write, or put another in
// its place: they would decide who signs in. A word that names no file is none.
func guarded(word string) error {
	if !filepath.IsAbs(word) {
		return nil
	}
	file, err := filepath.EvalSymlinks(word)
	if err != nil {
		return nil //nolint:nilerr // it is an argument of another kind
	}
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // as above
	}
	for at := file; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return fmt.Errorf("who may write %s (command): %w", word, err)
		}
		replaceable := !info.IsDir() || info.Mode()&fs.ModeSticky == 0
		if info.Mode().Perm()&0o002 != 0 && replaceable && !isReadOnly(at) {
			return fmt.Errorf("anybody on this machine may write %s, and so decide who signs in: chmod o-w it", at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// isReadOnly reports whether a file lies in a file system that nobody can write, as
// configuration that a cluster mounts does.
func isReadOnly(file string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(file, &stat) == nil && stat.Flags&unix.ST_RDONLY != 0
}

// searchPath is where a program finds others: not what our own environment says.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment returns what the program may see of ours.
func (c Config) environment() ([]string, error) {
	env := []string{searchPath}
	for _, name := range c.Env {
		value, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("the environment of this server has no variable %s (env): set it, or leave it out", name)
		}
		env = append(env, name+"="+value) // a second PATH counts
	}
	return env, nil
}
