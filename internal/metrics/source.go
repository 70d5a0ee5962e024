package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// outcomes are all that can come of asking a source.
var outcomes = []string{"ok", "wrong", "unknown", "expired", "busy", "fault", "gone"} //nolint:gochecknoglobals // a table, never written

// outcome is the word for an answer of a source.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, authn.ErrExpired): // first: as a password it is a wrong one too
		return "expired"
	case errors.Is(err, authn.ErrNoMatch):
		return "unknown"
	case errors.Is(err, authn.ErrWrongPassword):
		return "wrong"
	case errors.Is(err, authn.ErrBusy):
		return "busy"
	case errors.Is(err, context.Canceled):
		return "gone" // the client did not wait
	default:
		return "fault"
	}
}

// meter counts the answers of one source to one way to sign in.
type meter struct {
	answers map[string]prometheus.Counter // by outcome; only read
	seconds prometheus.Observer
}

func (m *Metrics) meter(source, by string) meter {
	one := meter{answers: map[string]prometheus.Counter{}, seconds: m.seconds.WithLabelValues(source, by)}
	for _, o := range outcomes {
		one.answers[o] = m.logins.WithLabelValues(source, by, o)
	}
	return one
}

func (m meter) note(begun time.Time, err error) {
	m.seconds.Observe(time.Since(begun).Seconds())
	m.answers[outcome(err)].Inc()
}

// Password returns next, whose answers are counted under the name of the source. It
// recognizes what next does, and then does not count what it knows nothing about and
// does not recognize.
func (m *Metrics) Password(source string, next authn.Password) authn.Password {
	if m == nil || next == nil {
		return next
	}
	counted := &password{next, m.meter(source, "password")}
	if r, ok := next.(authn.Recognizer); ok {
		return &recognizer{counted, r}
	}
	return counted
}

type password struct {
	next  authn.Password
	meter meter
}

// VerifyPassword is authn.Password.
func (p *password) VerifyPassword(ctx context.Context, user, pw string) (access.Identity, error) {
	begun := time.Now()
	who, err := p.next.VerifyPassword(ctx, user, pw)
	p.meter.note(begun, err)
	return who, err
}

type recognizer struct {
	*password
	knows authn.Recognizer
}

// VerifyPassword is authn.Password. Credentials of another form are not for this
// source: that they are not its own is no answer to be counted.
func (r *recognizer) VerifyPassword(ctx context.Context, user, pw string) (access.Identity, error) {
	begun := time.Now()
	who, err := r.next.VerifyPassword(ctx, user, pw)
	if err != authn.ErrNoMatch || r.Recognizes(user, pw) { //nolint:errorlint // the bare one has no reason
		r.meter.note(begun, err)
	}
	return who, err
}

// Recognizes is authn.Recognizer.
func (r *recognizer) Recognizes(user, pw string) bool { return r.knows.Recognizes(user, pw) }

// Bearer returns next, whose answers are counted.
func (m *Metrics) Bearer(source string, next authn.Bearer) authn.Bearer {
	if m == nil || next == nil {
		return next
	}
	return &bearer{next, m.meter(source, "token")}
}

type bearer struct {
	next  authn.Bearer
	meter meter
}

// VerifyToken is authn.Bearer.
func (b *bearer) VerifyToken(ctx context.Context, token string) (authn.Token, error) {
	begun := time.Now()
	said, err := b.next.VerifyToken(ctx, token)
	b.meter.note(begun, err)
	return said, err
}

// Presence returns next, whose answers are counted, but for those about requests
// that show nothing.
func (m *Metrics) Presence(source string, next authn.Presence) authn.Presence {
	if m == nil || next == nil {
		return next
	}
	return &presence{next, m.meter(source, "arrival")}
}

type presence struct {
	next  authn.Presence
	meter meter
}

// VerifyArrival is authn.Presence.
func (p *presence) VerifyArrival(ctx context.Context, a authn.Arrival) (access.Identity, error) {
	begun := time.Now()
	who, err := p.next.VerifyArrival(ctx, a)
	if err != authn.ErrNoMatch { //nolint:errorlint // the bare one: nothing was shown
		p.meter.note(begun, err)
	}
	return who, err
}
