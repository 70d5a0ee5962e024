// Package trail writes the records of the audit: to a file that it rotates, to
// standard output, to syslog.
//
// A record is in the file before the client has its answer. The other outputs take
// theirs beside the requests. What an output does not take waits in memory, and is
// written when it takes records again; if it is too much, the output gets a line
// that says how many were lost.
package trail

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
)

// Options are what a trail needs of its server.
type Options struct {
	Log    *slog.Logger     // for outputs that take no records
	Now    func() time.Time // the clock
	Stdout io.Writer        // standard output
}

// Trail writes records. All methods may be called at once.
type Trail struct {
	pulls    bool
	required *sink // nil: none is
	now      func() time.Time
	sinks    []*sink
}

// Open opens all outputs of a configuration without mistakes. A syslog server may
// be away. Without outputs the trail takes records and writes none.
//
// Errors are lines for the operator.
func Open(c Config, o Options) (*Trail, error) {
	t := &Trail{pulls: c.Pulls, now: o.Now}
	if c.File.Path != "" {
		f, err := openFile(c.File, o)
		if err != nil {
			return nil, err
		}
		t.sinks = append(t.sinks, newSink("file", f, true, o))
		if c.Required {
			t.required = t.sinks[0]
		}
	}
	if c.Stdout {
		t.sinks = append(t.sinks, newSink("stdout", stdout{o.Stdout}, false, o))
	}
	if c.Syslog.Address != "" {
		s, err := newSyslog(c.Syslog)
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		t.sinks = append(t.sinks, newSink("syslog", s, false, o))
	}
	return t, nil
}

// Record writes a record. It is an audit.Func.
func (t *Trail) Record(_ context.Context, r audit.Record) {
	if len(t.sinks) == 0 || !t.wants(r) {
		return
	}
	if r.Time.IsZero() {
		r.Time = t.now()
	}
	e := entry{text: r.JSON(), at: r.Time, outcome: r.Outcome}
	for _, s := range t.sinks {
		s.put(e)
	}
}

// wants reports whether a record is one to write. What may be changed has another
// record when it is.
func (t *Trail) wants(r audit.Record) bool {
	reads := r.Scope.Action == access.Pull || r.Scope.Action == access.List
	return r.Outcome != audit.Allowed || t.pulls && reads
}

// Ready returns an error while nothing may be changed, because no record of it
// could be written.
func (t *Trail) Ready() error {
	if t.required == nil {
		return nil
	}
	return t.required.flush()
}

// Reopen opens the file anew, for those who have renamed it.
func (t *Trail) Reopen() error {
	var errs []error
	for _, s := range t.sinks {
		errs = append(errs, s.reopen())
	}
	return errors.Join(errs...)
}

// Close writes what waits, as far as that takes no more than a few seconds, and
// closes the outputs.
func (t *Trail) Close() error {
	var errs []error
	for _, s := range t.sinks {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// stdout is standard output.
type stdout struct{ to io.Writer }

func (s stdout) write(e entry) error {
	_, err := s.to.Write(append(e.text[:len(e.text):len(e.text)], '\n'))
	return err //nolint:wrapcheck // it names the file
}

func (stdout) close() error { return nil }
