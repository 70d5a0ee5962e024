package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of trying again.
const (
	attempts     = 3
	firstWait    = 100 * time.Millisecond // the next is four times as long
	longestWait  = 5 * time.Second        // that a Retry-After may ask for
	drainedBytes = 64 << 10               // of an answer that nobody wants, to use its connection again
)

// sender sends requests, safe ones up to three times.
type sender struct {
	registry http.RoundTripper // to the registry
	others   http.RoundTripper // to token servers elsewhere
	sleep    func(context.Context, time.Duration) error
	now      func() time.Time
	closers  []func()
}

// newSender returns a sender that reaches the registry at an endpoint.
func newSender(c Config, at endpoint, roots *x509.CertPool) *sender {
	t := newTransport(c, at.socket, roots)
	s := &sender{registry: patient{t, c.timeout()}, others: patient{t, c.timeout()}, sleep: sleep, now: time.Now, closers: []func(){t.CloseIdleConnections}}
	if at.socket != "" {
		tcp := newTransport(c, "", roots)
		s.others, s.closers = patient{tcp, c.timeout()}, append(s.closers, tcp.CloseIdleConnections)
	}
	return s
}

// close ends the idle connections.
func (s *sender) close() {
	for _, c := range s.closers {
		c()
	}
}

// send sends r by rt. b is the body of r.
//
// net/http tries some requests again by itself, when a kept connection turns out
// to be dead: GET and HEAD; and any method, PATCH and DELETE included, if not one
// byte of it was written, or if HTTP/2 says that it was not processed, which is
// safe. Bodies are left out of that, as outgoing sets no GetBody. With an
// Idempotency-Key it would also repeat POST and DELETE without a body;
// hideIdempotencyKey is against that.
func (s *sender) send(rt http.RoundTripper, r *http.Request, b *body) (*http.Response, error) {
	safe := b == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead)
	for attempt := 1; ; attempt++ {
		resp, err := rt.RoundTrip(r)
		if err != nil {
			b.stop()
			err = explain(r.Context(), b, err)
		}
		if !safe || attempt == attempts {
			return resp, err
		}
		wait, ok := s.pause(attempt, resp, err)
		if !ok {
			return resp, err
		}
		drain(resp)
		if err := s.sleep(r.Context(), wait); err != nil {
			return nil, err
		}
	}
}

// pause returns how long to wait before trying again, if that is worth it.
func (s *sender) pause(attempt int, resp *http.Response, err error) (time.Duration, bool) {
	wait := firstWait << (2 * (attempt - 1))
	if err != nil {
		var untrusted *tls.CertificateVerificationError
		return wait, errors.Is(err, ErrUnreachable) && !errors.As(err, &untrusted)
	}
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		asked := s.retryAfter(resp.Header.Get("Retry-After"))
		return max(wait, asked), asked <= longestWait
	default:
		return 0, false
	}
}

// retryAfter reads seconds or a date (RFC 9110 section 10.2.3); 0 if it is neither.
func (s *sender) retryAfter(value string) time.Duration {
	if n, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return at.Sub(s.now())
	}
	return 0
}

// explain says whose fault it is that no answer came.
func explain(ctx context.Context, b *body, err error) error {
	if cause := b.err(); cause != nil {
		return fmt.Errorf("%w: %w", ErrBody, cause)
	}
	if gone := ctx.Err(); gone != nil {
		return gone
	}
	if timedOut(err) {
		// Not wrapped: net/http calls it a context.DeadlineExceeded, which would
		// look like one of the caller.
		return fmt.Errorf("%w: %s", ErrTimeout, err.Error())
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// timedOut tells a registry that is slow from one that is not there. net/http has
// no name for the error of a TLS handshake that took too long.
func timedOut(err error) bool {
	var slow net.Error
	if !errors.As(err, &slow) || !slow.Timeout() {
		return false
	}
	var op *net.OpError
	dialing := errors.As(err, &op) && op.Op == "dial"
	return !dialing && !strings.HasSuffix(err.Error(), "TLS handshake timeout")
}

// hideIdempotencyKey spells two header names, which net/http takes for leave to
// repeat a request, such that it does not see them. Names of headers are the same
// to others in upper and lower case.
func hideIdempotencyKey(r *http.Request) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, ok := r.Header[name]; ok {
			delete(r.Header, name)
			r.Header[strings.ToLower(name)] = values
		}
	}
}

// newGet returns a request of our own. Some registries turn "Go " agents away.
func newGet(ctx context.Context, at *url.URL) *http.Request {
	return (&http.Request{
		Method: http.MethodGet,
		URL:    at,
		Header: http.Header{"User-Agent": {"moorgate"}, "Accept": {"application/json"}},
	}).WithContext(ctx)
}

// drain ends an answer that nobody wants; nil is none.
func drain(resp *http.Response) {
	if resp == nil {
		return
	}
	_, _ = io.CopyN(io.Discard, resp.Body, drainedBytes) // it is lost anyway
	resp.Body.Close()
}

// sleep waits, or returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
