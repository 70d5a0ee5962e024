package trail

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/moorgate/moorgate/internal/atomicfile"
)

// logFile is a file of lines. It holds a lock on it (flock(2)): two servers would
// rotate it under each other.
type logFile struct {
	c   File
	log *slog.Logger
	now func() time.Time

	f     *os.File
	size  int64
	torn  bool      // what is at its end lacks the end of a line
	again time.Time // not before is a failed rotation tried again
	swept time.Time // when old files were last looked at

	sweeping sync.WaitGroup
	sweep    sync.Mutex // one at a time
}

// fileMode is for the user of the server alone, as folders that are made are.
const (
	fileMode = 0o600
	dirMode  = 0o700
)

// openFile opens a file of lines, and makes it and its folder as far as they are
// missing.
func openFile(c File, o Options) (*logFile, error) {
	l := &logFile{c: c, log: o.Log, now: o.Now}
	if err := os.MkdirAll(filepath.Dir(c.Path), dirMode); err != nil {
		return nil, fmt.Errorf("cannot make a folder for the audit: %w", err)
	}
	path, err := target(c.Path)
	if err != nil {
		return nil, err
	}
	l.c.Path = path
	if err := l.open(); err != nil {
		return nil, err
	}
	l.sweepBeside()
	return l, nil
}

// target returns the file that a path leads to: one behind a symbolic link is rotated
// where it is.
func target(path string) (string, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // nor is there a path to some of those
		return "", irregular(path)
	}
	to, err := atomicfile.Target(path)
	if err != nil {
		return "", fmt.Errorf("cannot write the audit: %w", err)
	}
	return to, nil
}

func irregular(path string) error {
	return fmt.Errorf("cannot write the audit: %s is no regular file", path)
}

// open opens the file in place of the one that is open.
func (l *logFile) open() error {
	if info, err := os.Stat(l.c.Path); err == nil && !info.Mode().IsRegular() { // some others block
		return irregular(l.c.Path)
	}
	f, err := os.OpenFile(l.c.Path, os.O_CREATE|os.O_RDWR|os.O_APPEND, fileMode)
	if err != nil {
		return fmt.Errorf("cannot write the audit: %w", err)
	}
	if l.has(f) { // nobody has renamed it; the lock goes with the one that is open
		return f.Close() //nolint:wrapcheck // it names the file
	}
	size, torn, err := look(f)
	if err == nil {
		err = lock(f)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.use(f, size, torn)
	return nil
}

// has reports whether f is the file that is open already.
func (l *logFile) has(f *os.File) bool {
	if l.f == nil {
		return false
	}
	ours, err := l.f.Stat()
	if err != nil {
		return false
	}
	theirs, err := f.Stat()
	return err == nil && os.SameFile(ours, theirs)
}

// look returns the size of a file, and whether its last line lacks its end, as
// after a crash.
func look(f *os.File) (size int64, torn bool, err error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return 0, false, err //nolint:wrapcheck // it names the file
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return info.Size(), last[0] != '\n', err //nolint:wrapcheck // it names the file
}

// lock takes the lock on a file.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("another server writes its audit to %s: give each a file of its own", f.Name())
	}
	if err != nil {
		return fmt.Errorf("cannot lock the audit %s: %w", f.Name(), err)
	}
	return nil
}

// use writes to f from now on.
func (l *logFile) use(f *os.File, size int64, torn bool) {
	old := l.f
	l.f, l.size, l.torn = f, size, torn
	if old != nil {
		if err := errors.Join(old.Sync(), old.Close()); err != nil {
			l.log.Error("cannot close the last file of the audit", "file", l.c.Path, "err", err)
		}
	}
}

// write appends a line, by one write(2).
func (l *logFile) write(e entry) error {
	l.rotateWhenDue(int64(len(e.text)) + 1)
	line := make([]byte, 0, len(e.text)+2)
	if l.torn {
		line = append(line, '\n')
	}
	line = append(append(line, e.text...), '\n')
	n, err := l.f.Write(line)
	l.size += int64(n)
	if err != nil {
		l.mend(n)
		return err //nolint:wrapcheck // it names the file
	}
	l.torn = false
	return nil
}

// mend takes the beginning of a line out again, of which n bytes were written.
func (l *logFile) mend(n int) {
	if n == 0 {
		return
	}
	info, err := l.f.Stat()
	if err == nil {
		l.size = info.Size() - int64(n)
		err = l.f.Truncate(l.size)
	}
	l.torn = err != nil
}

// reopen opens the file of that name, which is another one if somebody has renamed
// ours.
func (l *logFile) reopen() error {
	if err := l.open(); err != nil {
		return fmt.Errorf("the audit goes on in the file that was open: %w", err)
	}
	l.again = time.Time{}
	l.sweepBeside()
	return nil
}

// close does not wait long for files that are being compressed: the next server goes on
// with them.
func (l *logFile) close() error {
	swept := make(chan struct{})
	go func() { l.sweeping.Wait(); close(swept) }()
	select {
	case <-swept:
	case <-time.After(goodbye):
	}
	// Not by closing alone: a process that is being started at this moment has the
	// file open too.
	err := syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN)
	return errors.Join(l.f.Sync(), err, l.f.Close())
}

// probeFile reports whether a file of lines can be written, and changes nothing.
func probeFile(c File) (string, error) {
	info, err := os.Stat(c.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && isLink(c.Path):
		return target(c.Path) // which says what is wrong with it
	case errors.Is(err, fs.ErrNotExist):
		return probeFolder(filepath.Dir(c.Path))
	case err != nil:
		return "", fmt.Errorf("cannot write the audit: %w", err)
	case !info.Mode().IsRegular():
		return "", irregular(c.Path)
	}
	f, err := os.OpenFile(c.Path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return "", fmt.Errorf("cannot write the audit: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	return fmt.Sprintf("%s can be written, and has %d bytes", c.Path, info.Size()), nil
}

// isLink reports whether a path is a symbolic link.
func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// writable is W_OK of access(2) with X_OK: files can be made in a folder.
const writable = 0x2 | 0x1

// probeFolder is probeFile for a file that is not there yet.
func probeFolder(dir string) (string, error) {
	at := dir
	for {
		info, err := os.Stat(at)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			at = filepath.Dir(at)
			continue
		}
		if err == nil && !info.IsDir() {
			err = &fs.PathError{Op: "open", Path: at, Err: syscall.ENOTDIR}
		}
		if err == nil {
			err = accessible(at)
		}
		if err != nil {
			return "", fmt.Errorf("cannot write the audit: %w", err)
		}
		return "it can be made in " + dir, nil
	}
}

func accessible(dir string) error {
	if err := syscall.Access(dir, writable); err != nil {
		return &fs.PathError{Op: "write to", Path: dir, Err: err}
	}
	return nil
}
