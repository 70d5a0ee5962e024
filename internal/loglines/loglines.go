// Package loglines writes the lines of a log beside those who log them.
//
// A request does not wait until its line is written: lines that come while others
// are being written go out together, in one write. Where little happens each line
// goes out at once.
package loglines

import (
	"io"
	"sync"
)

// maxHeld is how many bytes wait to be written before those who log wait too.
const maxHeld = 256 << 10

// Writer is an io.Writer for whole lines. All methods may be called at once.
type Writer struct {
	out  io.Writer
	done chan struct{} // closed when nothing is written any more

	mu     sync.Mutex
	change sync.Cond // something to write, room for more, or closed
	held   []byte    // whole lines, in their order
	closed bool
}

// New returns a Writer that writes to out until it is closed. What out cannot take
// is lost, as a log has nowhere to say so.
func New(out io.Writer) *Writer {
	w := &Writer{out: out, done: make(chan struct{})}
	w.change.L = &w.mu
	go w.run()
	return w
}

// Write takes lines, and waits only when too many wait already. After Close it
// writes them itself.
func (w *Writer) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.held) > maxHeld && !w.closed {
		w.change.Wait()
	}
	if w.closed {
		return w.out.Write(lines) //nolint:wrapcheck // a writer passes errors on
	}
	if len(w.held) == 0 {
		w.change.Broadcast()
	}
	w.held = append(w.held, lines...)
	return len(lines), nil
}

// Close returns when all lines are written.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.change.Broadcast()
	w.mu.Unlock()
	<-w.done
	return nil
}

// run writes what is held, again and again.
func (w *Writer) run() {
	defer close(w.done)
	var lines []byte
	for {
		w.mu.Lock()
		for len(w.held) == 0 && !w.closed {
			w.change.Wait()
		}
		if len(w.held) == 0 {
			w.mu.Unlock()
			return
		}
		lines, w.held = w.held, lines[:0]
		w.change.Broadcast()
		w.mu.Unlock()
		_, _ = w.out.Write(lines)
	}
}
