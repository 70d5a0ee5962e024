package filewatch

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// watched is a running watcher.
type watched struct {
	t       *testing.T
	changes chan struct{} // one for each call of onChange
}

// newWatcher returns a watcher that either has events and polls so rarely that
// a change can only be told by an event, or has none and polls.
func newWatcher(t *testing.T, events bool, paths ...string) *Watcher {
	t.Helper()
	w := New(slog.New(slog.DiscardHandler), paths...)
	w.Settle, w.Poll = 20*time.Millisecond, time.Hour
	if !events {
		w.Poll = 5 * time.Millisecond
		w.notify = func() (*fsnotify.Watcher, error) { return nil, errors.New("no inotify here") }
		return w
	}
	// Subscribed here, so that the change of the test surely comes after it.
	system, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	w.subscribe(system)
	w.notify = func() (*fsnotify.Watcher, error) { return system, nil }
	return w
}

// run runs w until the end of the test.
func run(t *testing.T, w *Watcher) *watched {
	t.Helper()
	s := &watched{t: t, changes: make(chan struct{}, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, func() { s.changes <- struct{}{} })
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return s
}

// wait waits for a change to be told.
func (s *watched) wait(what string) {
	s.t.Helper()
	select {
	case <-s.changes:
	case <-time.After(patience):
		s.t.Fatalf("%s: no change was told", what)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, path, content string) {
	t.Helper()
	write(t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestTellsChanges(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(t *testing.T, dir string)
		change  func(t *testing.T, dir string)
	}{
		"written in place": {
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "f"), "old") },
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "f"), "new and longer") },
		},
		"replaced by a rename": {
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "f"), "old") },
			func(t *testing.T, dir string) { replace(t, filepath.Join(dir, "f"), "new") },
		},
		"made": {
			func(*testing.T, string) {},
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "f"), "new") },
		},
		"removed": {
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "f"), "old") },
			func(t *testing.T, dir string) {
				if err := os.Remove(filepath.Join(dir, "f")); err != nil {
					t.Fatal(err)
				}
			},
		},
		"another mode": {
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "f"), "old") },
			func(t *testing.T, dir string) {
				if err := os.Chmod(filepath.Join(dir, "f"), 0o400); err != nil {
					t.Fatal(err)
				}
			},
		},
		"a link in the directory above moved, as Kubernetes does": {
			func(t *testing.T, dir string) {
				for _, version := range []string{"..1", "..2"} {
					mkdir(t, filepath.Join(dir, version))
					write(t, filepath.Join(dir, version, "f"), "same")
				}
				symlink(t, "..1", filepath.Join(dir, "..data"))
				symlink(t, "..data/f", filepath.Join(dir, "f"))
			},
			func(t *testing.T, dir string) { symlink(t, "..2", filepath.Join(dir, "..data")) },
		},
		"written behind a link": {
			func(t *testing.T, dir string) {
				mkdir(t, filepath.Join(dir, "far", "away"))
				write(t, filepath.Join(dir, "far", "away", "g"), "old")
				symlink(t, "far/away/g", filepath.Join(dir, "f"))
			},
			func(t *testing.T, dir string) { replace(t, filepath.Join(dir, "far", "away", "g"), "new") },
		},
	}
	for name, tt := range tests {
		for how, events := range map[string]bool{"by events": true, "by polling": false} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				tt.prepare(t, dir)
				s := run(t, newWatcher(t, events, filepath.Join(dir, "f")))
				tt.change(t, dir)
				s.wait(name)
			})
		}
	}
}

func TestTellsWhatChangedBeforeRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old")
	w := New(slog.New(slog.DiscardHandler), path)
	w.Settle, w.Poll = time.Millisecond, time.Hour
	write(t, path, "new and longer")
	run(t, w).wait("a change between New and Run")
}

// A machine that stands still for the quiet moment between two writes makes two
// changes of them, rightly: then the moment is too short for it.
func TestChangesInQuickSuccessionAreOne(t *testing.T) {
	t.Parallel()
	for settle := time.Second; ; settle *= 2 {
		more := moreThanOne(t, settle)
		if more == 0 {
			return
		}
		if settle > 20*time.Second {
			t.Fatalf("%d more changes were told", more)
		}
		t.Logf("with a quiet moment of %s: %d more changes were told", settle, more)
	}
}

// moreThanOne makes many changes at once, and then one, and returns how many were told
// besides these two.
func moreThanOne(t *testing.T, settle time.Duration) int {
	t.Helper()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, "old")
	write(t, b, "old")
	w := newWatcher(t, true, a, b)
	w.Settle = settle
	s := run(t, w)
	for range 10 {
		replace(t, a, "new")
		replace(t, b, "new")
	}
	s.wait("many changes")
	replace(t, a, "newer")
	s.wait("one more")
	return len(s.changes)
}

// A directory that is never quiet must not hide a change, and what happens to
// other files in it is none.
func TestOtherFilesNeitherAreAChangeNorHideOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, "old")
	s := run(t, newWatcher(t, true, path))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			replace(t, filepath.Join(dir, "busy"), "x")
		}
	}()
	defer func() {
		cancel()
		<-ended
	}()
	replace(t, path, "new")
	s.wait("a change among others")
	replace(t, path, "newer")
	s.wait("another")
	if n := len(s.changes); n != 0 {
		t.Errorf("%d changes of other files were told", n)
	}
}

func TestFindsADirectoryThatComesLater(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "f")
	w := newWatcher(t, true, path)
	w.Poll = 5 * time.Millisecond
	s := run(t, w)
	mkdir(t, dir)
	replace(t, path, "new")
	s.wait("a file in a new directory")
}

func TestQuietMomentIsNotPutOffForever(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const settle = 100 * time.Millisecond
		q := newQuiet(settle)
		began := time.Now()
		again := time.NewTicker(settle / 2)
		defer again.Stop()
		for {
			select {
			case <-again.C:
				q.begin(true)
			case <-q.timer.C:
				if d := time.Since(began); d < maxSettles*settle || d > (maxSettles+2)*settle {
					t.Errorf("the moment came after %v", d)
				}
				return
			}
		}
	})
}
