package gate

import (
	"context"
	"sync"
	"time"

	"github.com/moorgate/moorgate/internal/oci"
)

// Bounds of long ways through lists.
const (
	walksAtOnce = 8
	walkWait    = 30 * time.Second
)

// Walks bounds how many requests at once look through more of a store than they
// show: lists of which the caller may see little, and what stands under a digest.
// Such requests are cheap to send and dear to answer. The zero value is ready.
type Walks struct {
	once sync.Once
	free chan struct{}
}

// Enter waits until there is room, and returns what gives it back.
//
// Errors: TooManyRequests after half a minute; that of ctx.
func (w *Walks) Enter(ctx context.Context) (leave func(), err error) {
	w.once.Do(func() { w.free = make(chan struct{}, walksAtOnce) })
	late := time.NewTimer(walkWait)
	defer late.Stop()
	select {
	case w.free <- struct{}{}:
		return func() { <-w.free }, nil
	case <-late.C:
		return nil, oci.Errorf(oci.TooManyRequests, "too many long lists are being read: try again later")
	case <-ctx.Done():
		return nil, ctx.Err() //nolint:wrapcheck // that of the context
	}
}
