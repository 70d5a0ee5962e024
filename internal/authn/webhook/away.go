package webhook

import (
	"errors"
	"sync"
	"time"
)

// How long nobody asks a service that is away: whoever signs in meanwhile need not
// wait for it. A service that says for how long is believed within the bounds.
const (
	minPause = time.Second
	maxPause = 30 * time.Second
)

// away remembers that a service is. It may be used at once by many.
type away struct {
	now func() time.Time

	mu      sync.Mutex
	why     error     // nil: it is there, as far as one knows
	retryAt time.Time // until then nobody asks
}

// mayAsk returns why the service is away, if it is too early to ask again. Whoever
// asks after a failure keeps others out meanwhile.
func (a *away) mayAsk() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.why == nil {
		return nil
	}
	if a.now().Before(a.retryAt) {
		return a.why
	}
	a.retryAt = a.now().Add(minPause)
	return nil
}

// note remembers how it went.
func (a *away) note(f *failure) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f == nil || !f.away {
		a.why = nil
		return
	}
	// Only our own words: those of the service may be about somebody else.
	a.why, a.retryAt = errors.New(f.err.Error()), a.now().Add(min(max(f.after, minPause), maxPause))
}
