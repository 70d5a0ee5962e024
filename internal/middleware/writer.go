package middleware

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"
)

// writer is the one response writer that stands between net/http and the
// handlers: it counts for the access log and moves the deadline while an answer
// moves. It passes on io.ReaderFrom, by which files are sent without copying.
type writer struct {
	http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
	head    bool // what is written is not sent
	streams bool // HTTP/2: see rested

	status int
	bytes  int64        // of the body, sent
	notes  []slog.Attr  // for the access log
	some   [2]slog.Attr // where the first notes are
	next   time.Time    // when to move the deadline again
}

// sendStep is how much of a file is sent before the deadline moves: a client
// that takes it within the idle timeout is alive.
const sendStep = 256 << 10

// copyStep is how much is read before it is written, where there is no file.
const copyStep = 64 << 10

// copyBuffers keeps buffers of copyStep bytes.
//
//nolint:gochecknoglobals // it holds nothing that anybody could see
var copyBuffers = sync.Pool{New: func() any { return new([copyStep]byte) }}

func newWriter(w http.ResponseWriter, r *http.Request, idle time.Duration) *writer {
	return &writer{
		ResponseWriter: w, control: http.NewResponseController(w), idle: idle,
		head: r.Method == http.MethodHead, streams: r.ProtoMajor > 1,
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Annotate adds a note to the access log line of the request.
func (w *writer) Annotate(key, value string) {
	if w.notes == nil {
		w.notes = w.some[:0]
	}
	w.notes = append(w.notes, slog.String(key, value))
}

func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	if status < http.StatusOK { // others wait for the body
		w.moving()
		defer w.rested()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	w.begun()
	w.moving()
	n, err := w.ResponseWriter.Write(p)
	w.rested()
	w.sent(int64(n))
	return n, err //nolint:wrapcheck // a writer passes errors on
}

// FlushError is for http.ResponseController.
func (w *writer) FlushError() error {
	w.moving()
	defer w.rested()
	return w.control.Flush() //nolint:wrapcheck // a writer passes errors on
}

// ReadFrom sends a file in steps, each of which net/http may do by sendfile.
// Anything else may keep us waiting, which the client is not to blame for: that
// is read first, and then written.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	if !isFile(r) || w.streams {
		buf := copyBuffers.Get().(*[copyStep]byte) //nolint:forcetypeassert // the pool holds nothing else
		defer copyBuffers.Put(buf)
		return io.CopyBuffer(onlyWriter{w}, onlyReader{r}, buf[:]) //nolint:wrapcheck // a writer passes errors on
	}
	w.begun()
	var total int64
	for {
		w.moving()
		n, err := w.step(r)
		total += n
		w.sent(n)
		if err != nil || n < sendStep {
			return total, err
		}
	}
}

// step sends at most sendStep bytes. Of a reader that is limited already it
// sends the inner one: two limits in a row would hide the file from net/http.
func (w *writer) step(r io.Reader) (int64, error) {
	part := &io.LimitedReader{R: r, N: sendStep}
	limited, ok := r.(*io.LimitedReader)
	if ok {
		part.R, part.N = limited.R, min(limited.N, sendStep)
	}
	n, err := io.Copy(w.ResponseWriter, part)
	if ok {
		limited.N -= n
	}
	return n, err //nolint:wrapcheck // a writer passes errors on
}

func (w *writer) sent(n int64) {
	if !w.head {
		w.bytes += n
	}
}

func (w *writer) begun() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}

// isFile reports whether the bytes of r come from a file.
func isFile(r io.Reader) bool {
	if limited, ok := r.(*io.LimitedReader); ok {
		r = limited.R
	}
	_, ok := r.(*os.File)
	return ok
}

// onlyWriter and onlyReader hide what would let io.CopyBuffer do without its
// buffer.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// moving gives the client the idle timeout anew, and not again for a tenth of it:
// it costs a little, and answers come in many small writes. Connections without
// deadlines, such as those of tests, go without.
func (w *writer) moving() {
	if w.idle <= 0 {
		return
	}
	now := time.Now()
	if w.streams || now.After(w.next) {
		_ = w.control.SetWriteDeadline(now.Add(w.idle))
		w.next = now.Add(w.idle / 10)
	}
}

// rested ends what moving began, where the deadline is one of a stream: it cuts
// the stream when it passes, also when nothing waits for the client.
func (w *writer) rested() {
	if w.idle > 0 && w.streams {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
}
