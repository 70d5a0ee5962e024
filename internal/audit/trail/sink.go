package trail

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/moorgate/moorgate/internal/audit"
)

// entry is a line to write.
type entry struct {
	text    []byte // JSON, without a line break
	at      time.Time
	outcome audit.Outcome
	lost    int // for a line about others that were lost: how many
}

// output is where lines go. Its methods are called one at a time.
type output interface {
	// write writes all of a line, or nothing that reads as a line.
	//
	// Errors: errTooLong if it never can; else it may be tried again.
	write(entry) error
	close() error
}

// reopener is an output that can be opened anew. After an error it goes on as it was.
type reopener interface {
	reopen() error
}

// errTooLong says that an output cannot take a line, however often it is tried.
var errTooLong = errors.New("the record is too long for it")

const (
	maxHeld      = 4 << 20 // bytes that wait for one output
	retryEvery   = time.Second
	tellEvery    = time.Minute // and not more often is the operator told of a failure
	closeTimeout = 5 * time.Second
)

// sink is an output, with the lines that wait for it.
type sink struct {
	name   string
	out    output
	direct bool // who brings a line waits until it is written, or cannot be
	log    *slog.Logger
	now    func() time.Time

	wake chan struct{} // there is something to write
	stop chan struct{}
	done chan struct{}

	writing sync.Mutex // who has it may use out
	closed  bool
	told    time.Time // of a failure; zero: all is well

	mu    sync.Mutex
	held  []entry // the oldest first
	bytes int     // that are not written yet
	lost  int     // for which there was no room
}

func newSink(name string, out output, direct bool, o Options) *sink {
	s := &sink{
		name: name, out: out, direct: direct, log: o.Log, now: o.Now,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go s.run()
	return s
}

// put takes a line.
func (s *sink) put(e entry) {
	s.hold(e)
	if s.direct {
		_ = s.flush() // the operator is told, and it is tried again
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}

// hold keeps a line until it can be written. If there is no room the new ones are
// lost: the old ones tell how it began.
func (s *sink) hold(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+len(e.text) > maxHeld {
		s.lost++
		return
	}
	s.held = append(s.held, e)
	s.bytes += len(e.text)
}

// take returns all lines that wait, with one about those that were lost.
func (s *sink) take() []entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.held
	if s.lost > 0 {
		lines = append(lines, s.lostLine(s.lost))
	}
	s.held, s.lost = nil, 0
	return lines
}

// putBack keeps lines that were taken and not written, before those that came
// meanwhile.
func (s *sink) putBack(lines []entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(lines) - 1; lines[last].lost > 0 {
		s.lost += lines[last].lost
		lines = lines[:last]
	}
	s.held = append(lines, s.held...)
}

// over is for a line that was taken: it is written, or lost.
func (s *sink) over(e entry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.lost == 0 {
		s.bytes -= len(e.text)
	}
	if err != nil {
		s.lost++
	}
}

func (s *sink) lostLine(n int) entry {
	r := audit.Record{
		Time: s.now(), Operation: "audit-lost", Outcome: audit.Failed,
		Detail: fmt.Sprintf("%d records are missing before this one: the output %s could not take them", n, s.name),
	}
	return entry{text: r.JSON(), at: r.Time, outcome: r.Outcome, lost: n}
}

// flush writes all lines that wait.
func (s *sink) flush() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for lines := s.take(); len(lines) > 0; lines = s.take() {
		for i, e := range lines {
			err := s.out.write(e)
			if err != nil && !errors.Is(err, errTooLong) {
				s.putBack(lines[i:])
				s.tell(err)
				return err
			}
			s.over(e, err)
		}
	}
	if !s.told.IsZero() {
		s.told = time.Time{}
		s.log.Info("the audit is written again", "output", s.name)
	}
	return nil
}

// tell tells the operator about a failure, again while it goes on.
func (s *sink) tell(err error) {
	if now := s.now(); s.told.IsZero() || now.Sub(s.told) >= tellEvery {
		s.told = now
		s.mu.Lock()
		waiting, lost := len(s.held), s.lost
		s.mu.Unlock()
		s.log.Error("the audit cannot be written: records wait in memory", "output", s.name, "waiting", waiting, "lost", lost, "err", err)
	}
}

// run writes beside those who bring lines, and tries again what has failed.
func (s *sink) run() {
	defer close(s.done)
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	wake := s.wake
	for {
		select {
		case <-s.stop:
			return
		case <-wake:
		case <-tick.C:
		}
		wake = s.wake
		if s.waiting() && s.flush() != nil {
			wake = nil // not before the next tick
		}
	}
}

func (s *sink) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held) > 0 || s.lost > 0
}

// reopen opens the output anew, if that is something it can. Others are left alone:
// one that takes nothing would be waited for.
func (s *sink) reopen() error {
	out, ok := s.out.(reopener)
	if !ok {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.closed {
		return nil
	}
	return out.reopen()
}

// close writes what waits, and closes the output. One that does not take it is left
// behind.
func (s *sink) close() error {
	close(s.stop)
	closed := make(chan error, 1)
	go func() {
		<-s.done
		err := s.flush()
		closed <- errors.Join(err, s.end())
	}()
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	select {
	case err := <-closed:
		if err != nil {
			return fmt.Errorf("the audit output %s lacks the last records: %w", s.name, err)
		}
		return nil
	case <-timeout.C:
		return fmt.Errorf("the audit output %s lacks the last records: it does not take them", s.name)
	}
}

// end closes the output.
func (s *sink) end() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.closed = true
	return s.out.close()
}
