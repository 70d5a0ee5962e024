package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/moorgate/moorgate/internal/access"
)

// Bounds of logging in.
const (
	loginTimeout = time.Minute // for one question to the registry or its token server, tries included
	maxTokens    = 4096
)

// errNoBetter says that a request would be sent with what was refused already.
var errNoBetter = errors.New("no better credentials")

// login knows how to be let in by a registry: without anything, by Basic, or with
// a token. It learns that from the answer to a GET /v2/ of its own, without
// credentials: never by sending the body of a client, and not from answers to
// clients, whose Host and headers a registry may use to make up the address of its
// token server. Only where GET /v2/ is open to all it must learn from the refusal of
// something else. It may be used at once by many.
type login struct {
	basic   secret // "Basic ..."; empty if the gateway has no credentials
	base    *url.URL
	realms  realms
	sender  *sender
	now     func() time.Time
	known   atomic.Pointer[challenge] // nil until learned
	tokens  *otter.Cache[string, token]
	flights singleflight.Group
}

// challenge is what a registry asks for. It is immutable.
type challenge struct {
	basic   bool
	realm   *url.URL // of the token server; nil if it asks for no token
	own     bool     // it is the registry's own
	service string
}

// pass is what a request carries to be let in.
type pass struct {
	by     *challenge
	key    string // of the token, in the cache
	header secret // empty for none
}

// values are those of the Authorization header.
func (p pass) values() []string {
	if p.header.empty() {
		return nil
	}
	return []string{p.header.reveal()}
}

// newLogin returns a login that has learned nothing.
func newLogin(c Config, at endpoint, allowed realms, s *sender) *login {
	l := &login{base: at.base(), realms: allowed, sender: s, now: time.Now, tokens: otter.Must(&otter.Options[string, token]{MaximumSize: maxTokens})}
	if c.Username != "" {
		l.basic = newSecret("Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password)))
	}
	return l
}

// anonymous reports whether the gateway has no credentials.
func (l *login) anonymous() bool { return l.basic.empty() }

// pass returns what a request for grants carries.
//
// Errors: as those of Upstream.Do.
func (l *login) pass(ctx context.Context, grants []access.Grant) (pass, error) {
	c, err := l.learn(ctx)
	switch {
	case err != nil:
		return pass{}, err
	case c.realm != nil:
		return l.bearer(ctx, c, grants)
	case c.basic:
		return pass{by: c, header: l.basic}, nil
	default:
		return pass{by: c}, nil
	}
}

// renew returns a pass for a request that was refused with p.
//
// Errors: errNoBetter; as those of Upstream.Do.
func (l *login) renew(ctx context.Context, p pass, grants []access.Grant, headers []string) (pass, error) {
	switch {
	case p.by.realm != nil && p.header.empty():
		return pass{}, errNoBetter
	case p.by.realm != nil:
		l.tokens.ComputeIfPresent(p.key, forgetIf(p.header))
	case p.by.basic:
		l.known.CompareAndSwap(p.by, nil)
	default: // GET /v2/ is open to all, and this request is not
		c, err := l.choose(headers)
		if err != nil {
			return pass{}, err
		}
		l.known.CompareAndSwap(p.by, c)
	}
	better, err := l.pass(ctx, grants)
	if err == nil && better.header.is(p.header) {
		return pass{}, errNoBetter
	}
	return better, err
}

// forget drops what made a pass that was refused twice: the registry may ask for
// something else now.
func (l *login) forget(p pass) {
	l.tokens.ComputeIfPresent(p.key, forgetIf(p.header))
	l.known.CompareAndSwap(p.by, nil)
}

// forgetIf drops a token if it is still the one that was refused.
func forgetIf(header secret) func(token) (token, otter.ComputeOp) {
	return func(t token) (token, otter.ComputeOp) {
		if t.header.is(header) {
			return token{}, otter.InvalidateOp
		}
		return t, otter.CancelOp
	}
}

// learn returns what the registry asks for. Many who ask at once share a question.
func (l *login) learn(ctx context.Context) (*challenge, error) {
	if c := l.known.Load(); c != nil {
		return c, nil
	}
	return shared(ctx, &l.flights, "", loginTimeout, func(ctx context.Context) (*challenge, error) {
		if c := l.known.Load(); c != nil {
			return c, nil
		}
		c, err := l.ask(ctx)
		if err == nil {
			l.known.Store(c)
		}
		return c, err
	})
}

// ask asks the registry what it asks for.
func (l *login) ask(ctx context.Context) (*challenge, error) {
	resp, err := l.sender.send(l.sender.registry, newGet(ctx, l.base), nil)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return l.choose(resp.Header.Values("WWW-Authenticate"))
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= http.StatusInternalServerError:
		return nil, fmt.Errorf("%w: it answered %d to GET /v2/", ErrUnreachable, resp.StatusCode)
	default:
		return &challenge{}, nil
	}
}

// choose takes the best of what a registry offers: a token, or else Basic if there
// are credentials, or else nothing: then the registry says no by itself.
//
// Errors: ErrCredentials.
func (l *login) choose(headers []string) (*challenge, error) {
	offers, err := parseOffers(headers)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	var refused error
	chosen := &challenge{}
	for _, o := range offers {
		switch o.scheme {
		case "bearer":
			realm, own, err := l.realms.check(o.params["realm"])
			if err == nil {
				return &challenge{realm: realm, own: own, service: o.params["service"]}, nil
			}
			refused = err
		case "basic":
			chosen.basic = !l.anonymous()
		}
	}
	if chosen.basic {
		return chosen, nil
	}
	if refused == nil && !l.anonymous() {
		refused = fmt.Errorf("%w: it asks neither for Basic nor for Bearer", ErrCredentials)
	}
	if refused != nil {
		return nil, refused
	}
	return chosen, nil
}

// shared runs do once for all who ask for key at the same time, for at most
// limit. It goes on when the one who came first goes away.
func shared[T any](ctx context.Context, flights *singleflight.Group, key string, limit time.Duration, do func(context.Context) (T, error)) (T, error) {
	result := flights.DoChan(key, func() (any, error) {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		v, err := do(own)
		if err != nil && own.Err() != nil {
			err = fmt.Errorf("%w: no answer in %s", ErrTimeout, limit)
		}
		return v, err
	})
	var none T
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case r := <-result:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(T), nil
	}
}
