package webhook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/moorgate/moorgate/internal/authn/program"
)

// service is who is asked. It is a program.Asker.
type service struct {
	url     string
	client  atomic.Pointer[http.Client]
	retries int
	away    *away
	now     func() time.Time
	secrets atomic.Pointer[secrets]
}

// Ask posts a question, and again where that may help.
func (s *service) Ask(ctx context.Context, question []byte) (program.Reply, error) {
	if err := s.away.mayAsk(); err != nil {
		return program.Reply{}, err
	}
	for n := 0; ; n++ {
		answer, failed := s.post(ctx, question)
		if failed == nil {
			s.away.note(nil)
			return program.Reply{Answer: answer}, nil
		}
		if ctx.Err() != nil { // a time that is over says nothing about the service
			return program.Reply{}, failed.err
		}
		if !failed.again || n >= s.retries || !rest(ctx, n, failed.after) {
			s.away.note(failed)
			return program.Reply{}, failed.err
		}
	}
}

// firstRest is the rest before the first try again. It doubles with each.
const firstRest = 100 * time.Millisecond

// rest waits until it is time to try again. It returns false if there is no time
// for that: ctx ends before.
func rest(ctx context.Context, n int, after time.Duration) bool {
	backoff := firstRest << n
	backoff += rand.N(backoff) //nolint:gosec // so that not all come at once
	wait := max(backoff, after)
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= wait {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// post asks once. Each time the question has another id, as a service may refuse
// one that it has seen.
func (s *service) post(ctx context.Context, question []byte) ([]byte, *failure) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(question))
	if err != nil {
		return nil, &failure{err: fmt.Errorf("cannot ask it: %w", err)}
	}
	secrets, id := *s.secrets.Load(), newID()
	req.Header = secrets.sign(id, s.now(), question)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "moorgate")
	res, err := s.client.Load().Do(req)
	if err != nil {
		return nil, unanswered(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, refused(res, s.now())
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, program.MaxAnswer+1))
	if err != nil {
		return nil, unanswered(err)
	}
	if len(body) > program.MaxAnswer {
		return nil, &failure{err: fmt.Errorf("its answer has more than %d bytes", program.MaxAnswer)}
	}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &failure{err: &program.Fault{What: "its answer is not application/json", Said: res.Header.Get("Content-Type")}}
	}
	if err := secrets.verify(res.Header, id, body); err != nil {
		return nil, &failure{err: err}
	}
	return body, nil
}
