package trail

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	rotateAgain = time.Minute // after a rotation that has failed
	sweepEvery  = time.Hour
	stampForm   = "20060102T150405.000000Z" // in the name of a rotated file, UTC
	compressed  = ".gz"
	unfinished  = ".tmp"
)

// rotateWhenDue rotates the file if a line of n bytes would make it too large. One
// that cannot be rotated goes on growing: a record that is written is worth more than
// a file of the right size.
func (l *logFile) rotateWhenDue(n int64) {
	now := l.now()
	if l.c.MaxSize > 0 && l.size > 0 && l.size+n > int64(l.c.MaxSize) && !now.Before(l.again) {
		if err := l.rotate(now); err != nil {
			l.again = now.Add(rotateAgain)
			l.log.Error("cannot rotate the audit: it goes on in the same file", "file", l.c.Path, "err", err)
		}
		l.swept = time.Time{}
	}
	if now.Sub(l.swept) >= sweepEvery {
		l.sweepBeside()
	}
}

// rotate gives the file a name with the time, and begins a new one. The new one is
// made first, so that a failure changes nothing.
func (l *logFile) rotate(now time.Time) error {
	next := l.c.Path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) { // of a crash
		return err //nolint:wrapcheck // it names the file
	}
	f, err := os.OpenFile(next, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, fileMode)
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	if err := errors.Join(lock(f), l.swap(next, now)); err != nil {
		return errors.Join(err, f.Close(), os.Remove(next))
	}
	l.use(f, 0, false)
	return nil
}

// swap puts the file next in the place of the one that is written, which gets
// another name. Somebody else may have given it one: then only the place is taken.
func (l *logFile) swap(next string, now time.Time) error {
	ours, err := l.f.Stat()
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	there, err := os.Lstat(l.c.Path)
	switch {
	case errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(ours, there):
		return fmt.Errorf("%s was replaced by another file: send SIGHUP after that", l.c.Path)
	case err != nil:
		return err //nolint:wrapcheck // it names the file
	}
	old, err := l.freeName(now)
	if err != nil {
		return err
	}
	if err := os.Rename(l.c.Path, old); err != nil {
		return err //nolint:wrapcheck // it names the files
	}
	if err := os.Rename(next, l.c.Path); err != nil {
		return errors.Join(err, os.Rename(old, l.c.Path))
	}
	return nil
}

// freeName returns the name of a rotated file that nothing has.
func (l *logFile) freeName(now time.Time) (string, error) {
	prefix, ext := l.nameParts()
	for range 1000 {
		name := prefix + now.UTC().Format(stampForm) + ext
		_, err := os.Lstat(name)
		_, errCompressed := os.Lstat(name + compressed)
		if errors.Is(err, os.ErrNotExist) && errors.Is(errCompressed, os.ErrNotExist) {
			return name, nil
		}
		now = now.Add(time.Microsecond)
	}
	return "", fmt.Errorf("there are too many rotated files of %s of the same time", l.c.Path)
}

// nameParts returns what is before and behind the time in the name of a rotated
// file: audit.log becomes audit-TIME.log.
func (l *logFile) nameParts() (prefix, ext string) {
	ext = filepath.Ext(l.c.Path)
	return strings.TrimSuffix(l.c.Path, ext) + "-", ext
}

// sweepBeside looks after the rotated files, beside those who write.
func (l *logFile) sweepBeside() {
	l.swept = l.now()
	now := l.swept
	l.sweeping.Go(func() {
		l.sweep.Lock()
		defer l.sweep.Unlock()
		if err := l.sweepOld(now); err != nil {
			l.log.Error("cannot look after the rotated files of the audit", "file", l.c.Path, "err", err)
		}
	})
}

// sweepOld removes rotated files that are too many or too old, and compresses the
// others.
func (l *logFile) sweepOld(now time.Time) error {
	old, err := l.rotated()
	if err != nil {
		return err
	}
	var errs []error
	kept := 0
	for _, r := range old {
		tooMany := l.c.Keep > 0 && kept >= l.c.Keep
		tooOld := l.c.MaxAge > 0 && now.Sub(r.at) > l.c.MaxAge
		if !r.begun {
			kept++
		}
		switch {
		case r.begun || tooMany || tooOld:
			errs = append(errs, os.Remove(r.name))
		case l.c.Compress && !strings.HasSuffix(r.name, compressed):
			errs = append(errs, compress(r.name))
		}
	}
	return errors.Join(errs...)
}

// rotatedFile is a file that was rotated.
type rotatedFile struct {
	name  string
	at    time.Time // when
	begun bool      // to be compressed, by somebody who was ended
}

// rotated returns the rotated files, the newest first. Others whose names look much
// the same are none of them.
func (l *logFile) rotated() ([]rotatedFile, error) {
	prefix, ext := l.nameParts()
	entries, err := os.ReadDir(filepath.Dir(l.c.Path))
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the folder
	}
	var list []rotatedFile
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), filepath.Base(prefix))
		if !ok || !e.Type().IsRegular() {
			continue
		}
		stamp, begun := strings.CutSuffix(stamp, compressed+unfinished)
		stamp, ok = strings.CutSuffix(strings.TrimSuffix(stamp, compressed), ext)
		at, err := time.Parse(stampForm, stamp)
		if ok && err == nil {
			list = append(list, rotatedFile{filepath.Join(filepath.Dir(l.c.Path), e.Name()), at, begun})
		}
	}
	slices.SortFunc(list, func(a, b rotatedFile) int { return b.at.Compare(a.at) })
	return list, nil
}

// compress puts a compressed file in the place of another. A crash leaves one of them
// whole.
func compress(name string) error {
	tmp := name + compressed + unfinished
	if err := compressTo(tmp, name); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	if err := os.Rename(tmp, name+compressed); err != nil {
		return err //nolint:wrapcheck // it names the files
	}
	return os.Remove(name) //nolint:wrapcheck // it names the file
}

func compressTo(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	defer in.Close() //nolint:errcheck // it is only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|syscall.O_NOFOLLOW, fileMode)
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	zip := gzip.NewWriter(out)
	if _, err := io.Copy(zip, in); err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	return errors.Join(zip.Close(), out.Sync())
}
