package faultfs

import (
	"bytes"
	"slices"
	"sync"
)

// Recorder keeps all operations that change something or sync it, in the order
// they were done in, and with their data: those that succeeded, and those that a
// hook has let happen in part. The zero value is ready. All methods may be called
// at once.
//
// Somebody who was told that something is done when Len was n knows that the
// first n operations must be enough for it.
type Recorder struct {
	mu  sync.Mutex
	ops []Op
}

// Len returns how many operations there are.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}

// Ops returns the operations. Their Data is not copied: it must not be changed.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

func (r *Recorder) add(op Op) {
	if op.Kind == Open || op.Kind == Read {
		return
	}
	op.Data = bytes.Clone(op.Data)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}
