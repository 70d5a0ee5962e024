package app

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/route"
)

// pushes counts the requests of pushes on their way to the next handler, so that
// a stop can wait for them.
type pushes struct {
	next gate.Handler
	now  func() time.Time

	mu      sync.Mutex
	running int
	last    time.Time // when the last one ended
}

var _ gate.Handler = (*pushes)(nil)

// pause is how long a client may take between two requests of one push.
const pause = 2 * time.Second

// ServeOCI passes the request on.
func (p *pushes) ServeOCI(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	switch c.Request.Kind {
	case route.UploadStart, route.UploadAppend, route.UploadFinish, route.ManifestPut:
		p.add(1)
		defer p.add(-1)
	default: // not a push
	}
	return p.next.ServeOCI(w, r, c)
}

func (p *pushes) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running += n
	p.last = p.now()
}

// over reports whether no push is under way.
func (p *pushes) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running == 0 && p.now().Sub(p.last) >= pause
}

// wait returns when no push is under way, or when ctx ends.
func (p *pushes) wait(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !p.over() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
