package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/access"
)

// Bounds of tokens. The default life is that of the Docker token specification.
const (
	defaultLife  = 60 * time.Second
	longestLife  = time.Hour
	refusedFor   = 10 * time.Second // how long a "no" of a token server counts, so that we do not get locked out
	maxReply     = 1 << 20
	maxToken     = 64 << 10
	usedOfLife   = 80 // per cent; the rest is for requests under way, whose bodies cannot be sent again
	bearerPrefix = "Bearer "
)

// token is an answer of a token server: a token, or its refusal.
type token struct {
	header secret // "Bearer ..."; empty if there is none
	err    error  // ErrCredentials: it was refused
	until  time.Time
}

// bearer returns a pass with a token for grants, from the cache or from the token
// server. Many who need the same one at once share a question.
func (l *login) bearer(ctx context.Context, c *challenge, grants []access.Grant) (pass, error) {
	scopes := scopesOf(grants)
	// None of the parts can hold a line break.
	key := c.realm.String() + "\n" + c.service + "\n" + strings.Join(scopes, "\n")
	t, ok := l.cached(key)
	if !ok {
		var err error
		t, err = shared(ctx, &l.flights, key, loginTimeout, func(ctx context.Context) (token, error) {
			if t, ok := l.cached(key); ok {
				return t, nil
			}
			t, err := l.fetch(ctx, c, scopes)
			if err == nil {
				l.tokens.Set(key, t)
			}
			return t, err
		})
		if err != nil {
			return pass{}, fmt.Errorf("asking the token server %s: %w", c.realm.Host, err)
		}
	}
	if t.err != nil {
		return pass{}, t.err
	}
	return pass{by: c, key: key, header: t.header}, nil
}

// cached returns a token that is good for a while.
func (l *login) cached(key string) (token, bool) {
	t, ok := l.tokens.GetIfPresent(key)
	return t, ok && l.now().Before(t.until)
}

// scopesOf are the scopes that clients write, sorted, each once.
func scopesOf(grants []access.Grant) []string {
	scopes := make([]string, 0, len(grants))
	for _, g := range grants {
		scopes = append(scopes, g.String())
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// fetch asks the token server (Docker token specification, "Requesting a Token").
//
// Errors: ErrUnreachable, ErrTimeout.
func (l *login) fetch(ctx context.Context, c *challenge, scopes []string) (token, error) {
	at := *c.realm
	query := at.Query()
	if c.service != "" {
		query.Set("service", c.service)
	}
	query["scope"] = scopes
	at.RawQuery = query.Encode()
	r := newGet(ctx, &at)
	if !l.anonymous() {
		r.Header["Authorization"] = []string{l.basic.reveal()}
	}
	rt := l.sender.others
	if c.own {
		rt = l.sender.registry
	}
	start := l.now() // its clock may differ from ours: issued_at is not used
	resp, err := l.sender.send(rt, r, nil)
	if err != nil {
		return token{}, err
	}
	defer drain(resp)
	switch resp.StatusCode {
	case http.StatusOK:
		return readToken(resp.Body, start)
	case http.StatusUnauthorized, http.StatusForbidden:
		return l.refusal(c, resp.StatusCode), nil
	default: // redirects too: credentials follow nobody
		return token{}, fmt.Errorf("%w: it answered %d", ErrUnreachable, resp.StatusCode)
	}
}

// refusal remembers that the token server gives no token. Without credentials the
// registry is asked without one, and says no by itself.
func (l *login) refusal(c *challenge, status int) token {
	t := token{until: l.now().Add(refusedFor)}
	if !l.anonymous() {
		t.err = fmt.Errorf("%w: the token server %s answered %d; check username and password of the gateway", ErrCredentials, c.realm.Host, status)
	}
	return t
}

// readToken reads the reply of a token server. No error repeats any of it.
func readToken(body io.Reader, start time.Time) (token, error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxReply+1))
	if err != nil {
		return token{}, fmt.Errorf("%w: its reply broke off: %w", ErrUnreachable, err)
	}
	var reply struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"` // seconds
	}
	if len(raw) > maxReply {
		return token{}, fmt.Errorf("%w: its reply is larger than 1 MiB", ErrUnreachable)
	}
	if json.Unmarshal(raw, &reply) != nil {
		return token{}, fmt.Errorf("%w: its reply is not the JSON of a token", ErrUnreachable)
	}
	value := reply.Token
	if value == "" {
		value = reply.AccessToken
	}
	if err := usable(value); err != nil {
		return token{}, fmt.Errorf("%w: its reply %w", ErrUnreachable, err)
	}
	life := lifeOf(reply.ExpiresIn)
	return token{header: newSecret(bearerPrefix + value), until: start.Add(life / 100 * usedOfLife)}, nil
}

// usable checks that a token can stand in a header.
func usable(value string) error {
	switch {
	case value == "":
		return errors.New("holds no token")
	case len(value) > maxToken:
		return errors.New("holds a token of more than 64 KiB")
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("holds a token that cannot stand in a header")
	}
	return nil
}

// lifeOf is how long a token is trusted.
func lifeOf(seconds float64) time.Duration {
	switch {
	case seconds <= 0:
		return defaultLife
	case seconds >= longestLife.Seconds():
		return longestLife
	default:
		return time.Duration(seconds * float64(time.Second))
	}
}
