package app

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// inflight counts requests on their way through a handler, so that the end of a server
// can wait for them: to close a connection ends no handler.
type inflight struct{ running atomic.Int64 }

// middleware counts the requests that pass.
func (i *inflight) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.running.Add(1)
		defer i.running.Add(-1)
		next.ServeHTTP(w, r)
	})
}

func (i *inflight) count() int { return int(i.running.Load()) }

// wait returns when none is under way, or when ctx ends.
func (i *inflight) wait(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i.count() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
