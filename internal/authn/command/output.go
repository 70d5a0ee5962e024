package command

import (
	"bytes"
	"errors"
	"sync"
)

// head keeps the beginning of an output, and tells when there is more.
type head struct {
	most int
	kept []byte
	over chan struct{} // closed when there was more than most
	once sync.Once
}

var errOver = errors.New("too much output")

func newHead(most int) *head { return &head{most: most, over: make(chan struct{})} }

func (h *head) Write(p []byte) (int, error) {
	if len(h.kept)+len(p) > h.most {
		h.once.Do(func() { close(h.over) })
		return 0, errOver
	}
	h.kept = append(h.kept, p...)
	return len(p), nil
}

// tail keeps the end of an output.
type tail struct {
	most int
	kept []byte
	cut  bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-t.most):]...)
	if over := len(t.kept) - t.most; over > 0 || len(p) > t.most {
		t.kept, t.cut = append(t.kept[:0], t.kept[max(0, over):]...), true
	}
	return len(p), nil
}

// String returns the whole lines that were kept: half a line may be half a
// password, which nobody would know for one.
func (t *tail) String() string {
	if !t.cut {
		return string(t.kept)
	}
	_, lines, _ := bytes.Cut(t.kept, []byte("\n"))
	return string(lines)
}
