package token

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// Bounds of what a token grants.
const (
	maxGrants  = 256
	maxActions = 32 // of a grant
	maxQuoted  = 80 // bytes of what a token says, in an error
)

// lastTime bounds the times in a token: the end of the year 9999.
const lastTime = jwt.NumericDate(253402300799)

// claims are the claims that are checked. Their JSON is read by a reader that
// refuses members given twice and takes names only as they are spelled.
type claims struct {
	registered

	Access []access.Grant `json:"access"`
}

// registered are the claims that all tokens have (RFC 7519, section 4.1).
type registered struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  jwt.Audience     `json:"aud"` // a string or a list
	Expires   *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	IssuedAt  *jwt.NumericDate `json:"iat"`
}

// checkShape refuses what is not a JWS in compact form (RFC 7515, section 7.1), by
// its characters: readers of base64 skip line breaks.
func checkShape(token string) error {
	if len(token) > maxToken {
		return fmt.Errorf("it is longer than %d bytes", maxToken)
	}
	dots := 0
	for i := range len(token) {
		switch c := token[i]; {
		case c == '.':
			dots++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return errors.New("it is not a JWT")
		}
	}
	if dots != 2 {
		return errors.New("it is not a JWT")
	}
	return nil
}

// checkHeader sees to it that there is one signature, by a key that is named, and
// that the header asks for nothing else. A chain of certificates (x5c) is allowed,
// because tokens of ours for other registries have one, and is never looked at.
func checkHeader(headers []jose.Header) error {
	if len(headers) != 1 {
		return errors.New("it must have one signature")
	}
	h := headers[0]
	if h.KeyID == "" {
		return errors.New("it names no key (kid)")
	}
	if h.JSONWebKey != nil {
		return errors.New("it brings a key of its own (jwk)")
	}
	for _, name := range []jose.HeaderKey{"jku", "x5u", "crit", "b64"} {
		if _, ok := h.ExtraHeaders[name]; ok {
			return fmt.Errorf("its header has %q", name)
		}
	}
	return nil
}

// checkTimes checks everything but whether the time of the token is over, which
// must not be longer than a year ago.
func (c *registered) checkTimes(now time.Time, leeway time.Duration) error {
	for _, d := range []struct {
		name string
		date *jwt.NumericDate
	}{{"exp", c.Expires}, {"nbf", c.NotBefore}, {"iat", c.IssuedAt}} {
		if d.date != nil && (*d.date < 0 || *d.date > lastTime) {
			return fmt.Errorf("its %s is not a time", d.name)
		}
	}
	latest := now.Add(leeway)
	switch {
	case c.Expires == nil:
		return errors.New("it does not say when it expires")
	case now.Sub(c.Expires.Time()) > forgetAfter:
		return errors.New("it expired more than a year ago")
	case c.NotBefore != nil && c.NotBefore.Time().After(latest):
		return fmt.Errorf("it is not valid before %s, %s from now: compare the clocks", c.NotBefore.Time().UTC().Format(time.RFC3339), between(now, c.NotBefore.Time()))
	case c.IssuedAt != nil && c.IssuedAt.Time().After(latest):
		return fmt.Errorf("it was issued in the future, at %s, %s from now: compare the clocks", c.IssuedAt.Time().UTC().Format(time.RFC3339), between(now, c.IssuedAt.Time()))
	}
	return nil
}

// expired returns authn.ErrExpired if the time of the token is over.
func (c *registered) expired(now time.Time) error {
	end := c.Expires.Time()
	if now.Before(end) {
		return nil
	}
	return fmt.Errorf("%w: it was good until %s, %s ago", authn.ErrExpired, end.UTC().Format(time.RFC3339), between(end, now))
}

func between(from, to time.Time) time.Duration { return to.Sub(from).Round(time.Second) }

// ceiling returns the grants, without those that are on nothing.
func (c *claims) ceiling() (access.Ceiling, error) {
	if len(c.Access) > maxGrants {
		return nil, fmt.Errorf("it has more than %d grants", maxGrants)
	}
	ceiling := access.NoRights()
	for _, g := range c.Access {
		if len(g.Actions) > maxActions {
			return nil, fmt.Errorf("one of its grants has more than %d actions", maxActions)
		}
		known := g.Type == access.RepositoryType || g.Type == access.RegistryType
		if known && g.Name != "" { // without a name it could stand for the registry as a whole
			ceiling = append(ceiling, g)
		}
	}
	return ceiling, nil
}

// checkUser refuses a sub that is not fit to be a user name.
func checkUser(sub string) error {
	if len(sub) > maxUser {
		return fmt.Errorf("its sub is longer than %d bytes", maxUser)
	}
	if !utf8.ValidString(sub) || strings.ContainsFunc(sub, unicode.IsControl) {
		return errors.New("its sub has control characters")
	}
	return nil
}

// stringList returns the strings of a JSON list that has nothing else.
func stringList(value any) ([]string, bool) {
	list, ok := value.([]any)
	if !ok {
		return nil, false
	}
	texts := make([]string, len(list))
	for i, v := range list {
		if texts[i], ok = v.(string); !ok {
			return nil, false
		}
	}
	return texts, true
}

// quote shows what a token says in a line of bounded length.
func quote(text string) string {
	if len(text) > maxQuoted {
		text = text[:maxQuoted] + "..."
	}
	return strconv.QuoteToASCII(text)
}

// brief is an error of a library that may have parts of the token in it.
func brief(err error) error {
	if text := err.Error(); len(text) > maxQuoted {
		return errors.New(quote(text))
	}
	return err
}
