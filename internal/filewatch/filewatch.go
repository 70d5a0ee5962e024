// Package filewatch tells when files change, however that happens: written in
// place, replaced by a rename, or moved by a symbolic link as Kubernetes does.
package filewatch

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Defaults of a Watcher.
const (
	defaultSettle = 100 * time.Millisecond
	defaultPoll   = 2 * time.Second
)

// Watcher watches files. Its fields may be changed before Run.
type Watcher struct {
	Settle time.Duration // a change is told when nothing has happened for so long
	Poll   time.Duration // how often to look at the files when no event comes

	log    *slog.Logger
	paths  []string
	seen   []state
	notify func() (*fsnotify.Watcher, error)
}

// New returns a watcher of the files at paths and notes their state: make it
// before reading the files, and no change between reading and Run is missed.
// A file need not exist.
func New(log *slog.Logger, paths ...string) *Watcher {
	w := &Watcher{
		Settle: defaultSettle,
		Poll:   defaultPoll,
		log:    log,
		paths:  make([]string, len(paths)),
		notify: fsnotify.NewWatcher,
	}
	for i, p := range paths {
		if abs, err := filepath.Abs(p); err == nil {
			p = abs
		}
		w.paths[i] = p
	}
	w.seen = w.look()
	return w
}

// Run calls onChange after each change of any of the files, until ctx ends.
// Changes in quick succession are one change. One call ends before the next
// begins. Where the system gives no events, it polls.
func (w *Watcher) Run(ctx context.Context, onChange func()) {
	events, err := w.notify()
	if err != nil {
		w.log.WarnContext(ctx, "no file events; looking at files from time to time", "every", w.Poll, "error", err)
		w.loop(ctx, onChange, &fsnotify.Watcher{}) // its channels are nil: never an event
		return
	}
	defer events.Close() //nolint:errcheck // nothing is lost
	w.subscribe(events)
	w.loop(ctx, onChange, events)
}

func (w *Watcher) loop(ctx context.Context, onChange func(), events *fsnotify.Watcher) {
	poll := time.NewTicker(w.Poll)
	defer poll.Stop()
	quiet := newQuiet(w.Settle)
	defer quiet.timer.Stop()
	sure := false // an event named one of the files
	if !same(w.look(), w.seen) {
		quiet.begin(false) // changed since New
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events.Events:
			named := w.names(e)
			sure = sure || named
			quiet.begin(named)
		case err := <-events.Errors:
			w.log.WarnContext(ctx, "file events were lost", "error", err)
			quiet.begin(false)
		case <-quiet.timer.C:
			quiet.end()
			w.tell(sure, onChange)
			sure = false
			w.subscribe(events)
		case <-poll.C:
			if !same(w.look(), w.seen) {
				quiet.begin(false)
			}
			w.subscribe(events)
		}
	}
}

// tell calls onChange if it is sure that a file changed or can see that one did.
func (w *Watcher) tell(sure bool, onChange func()) {
	now := w.look()
	if !sure && same(now, w.seen) {
		return
	}
	w.seen = now // before the files are read: what changes later is seen later
	onChange()
}

// names reports whether e says that one of the files has new content.
func (w *Watcher) names(e fsnotify.Event) bool {
	if !e.Has(fsnotify.Write) && !e.Has(fsnotify.Create) {
		return false
	}
	name := filepath.Clean(e.Name)
	for i, p := range w.paths {
		if name == p || name == w.seen[i].target {
			return true
		}
	}
	return false
}

// subscribe asks for the events of the directories that the files are in, and
// of those that they are in behind symbolic links. Directories, because a file
// that is replaced is another file. It may be called again and again: links
// move, and directories come and go.
func (w *Watcher) subscribe(events *fsnotify.Watcher) {
	if events.Events == nil {
		return // only polling
	}
	for i, p := range w.paths {
		// A directory that is missing is looked for by the next poll.
		_ = events.Add(filepath.Dir(p))
		if target := w.seen[i].target; target != "" {
			_ = events.Add(filepath.Dir(target))
		}
	}
}
