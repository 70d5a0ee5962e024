package upstream

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Bounds of Check.
const (
	healthFresh   = 3 * time.Second
	healthTimeout = 10 * time.Second
)

// health remembers the last answer of Check for a while.
type health struct {
	fresh time.Duration
	now   func() time.Time

	mu  sync.Mutex
	at  time.Time // zero: none yet
	err error
}

// last returns the answer that is still fresh.
func (h *health) last() (error, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err, !h.at.IsZero() && h.now().Sub(h.at) < h.fresh
}

// set remembers an answer.
func (h *health) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at, h.err = h.now(), err
}

// Check asks the registry whether it is there: nil if it answers GET /v2/ with
// 200, or with 401 where no credentials are configured. An answer counts for three
// seconds, and those who ask at once share a question. It takes ten seconds at
// most.
//
// Errors: as those of Do.
func (u *Upstream) Check(ctx context.Context) error {
	if err, ok := u.health.last(); ok {
		return err
	}
	_, err := shared(ctx, &u.flights, "", healthTimeout, func(ctx context.Context) (struct{}, error) {
		if err, ok := u.health.last(); ok {
			return struct{}{}, err
		}
		err := u.ask(ctx)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: no answer in %s", ErrTimeout, healthTimeout)
		}
		u.health.set(err)
		return struct{}{}, err
	})
	return err
}

// ask is Check without a memory.
func (u *Upstream) ask(ctx context.Context) error {
	resp, err := u.Do(newGet(ctx, u.at.base()), nil)
	if err != nil {
		return err
	}
	defer drain(resp)
	open := u.login == nil || u.login.anonymous()
	switch {
	case resp.StatusCode == http.StatusOK:
		return nil
	case resp.StatusCode == http.StatusUnauthorized && open:
		return nil
	default:
		return fmt.Errorf("%w: it answered %d to GET /v2/; is it a registry?", ErrUnreachable, resp.StatusCode)
	}
}
