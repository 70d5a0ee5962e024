package token

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/moorgate/moorgate/internal/access"
)

const (
	// maxToken bounds a token in bytes. Servers of HTTP refuse larger headers.
	maxToken = 16 << 10

	maxUser = 255 // bytes of a sub (OpenID Connect Core, section 2)

	// maxClaims bounds the claims of somebody that a token carries along, in bytes of
	// JSON: there must be room for what it grants, and for base64.
	maxClaims = 4 << 10

	// backdate is how long before it was issued a token is valid: the clocks of
	// registries are behind by a bit.
	backdate = 10 * time.Second
)

// ErrUnfit says that somebody does not fit into a token.
var ErrUnfit = errors.New("no token can be made for this user")

// body is the payload of a token of ours (RFC 7519; Docker token specification).
// aud is a string and not a list: registry 2 takes nothing else.
type body struct {
	Issuer    string         `json:"iss"`
	Subject   string         `json:"sub"`
	Audience  string         `json:"aud"`
	Expires   int64          `json:"exp"`
	NotBefore int64          `json:"nbf"`
	IssuedAt  int64          `json:"iat"`
	ID        string         `json:"jti"`
	Access    []access.Grant `json:"access"`
	Ours      *ours          `json:"moorgate,omitempty"`
}

// ours is the claim "moorgate": what the standard has no claim for.
type ours struct {
	Source  string         `json:"source"`
	Groups  []string       `json:"groups"`
	Claims  map[string]any `json:"claims,omitzero"` // that the identity has from a token of others
	Key     string         `json:"key,omitempty"`   // the ID of the key that the token was made from
	Session *Session       `json:"session,omitempty"`
}

// Sign returns a token: a JWS in compact form. With chain it carries the
// certificate of its key (x5c), for registries that have the authority in their
// "rootcertbundle"; a registry with only a JWKS refuses such a token. Without
// IssuedAt it is issued now; without an ID it gets a random one.
//
// Errors: ErrUnfit with what is too long.
func (k *Keys) Sign(c Claims, chain bool) (string, error) {
	now := k.options.Now()
	if c.IssuedAt.IsZero() {
		c.IssuedAt = now
	}
	if c.ID == "" {
		c.ID = rand.Text()
	}
	if err := k.check(c); err != nil {
		return "", fmt.Errorf("cannot sign a token: %w", err)
	}
	payload, err := json.Marshal(c.body())
	if err != nil {
		return "", err
	}
	key := k.current.Load().signer(now)
	signer := key.plain
	if chain {
		signer = key.chained
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return "", err
	}
	if len(text) > maxToken {
		return "", fmt.Errorf("%w: that of %q would be %d bytes long, more than %d: it has %d groups and %d grants", ErrUnfit, c.Who.User, len(text), maxToken, len(c.Who.Groups), len(c.Access))
	}
	return text, nil
}

// check refuses what a Verifier would refuse.
func (k *Keys) check(c Claims) error {
	life := c.Expires.Sub(c.IssuedAt)
	switch {
	case c.Issuer == "" || c.Audience == "":
		return errors.New("it has no issuer or no audience")
	case len(c.Access) > maxGrants:
		return fmt.Errorf("it has more than %d grants", maxGrants)
	case life <= 0:
		return errors.New("it would expire before it is issued")
	case c.Session != nil && c.Who.IsAnonymous():
		return errors.New("it would be a session of nobody")
	case life > k.options.MaxTTL: // its key might be gone before it
		return fmt.Errorf("it would live for %v, and tokens live for %v at most", life, k.options.MaxTTL)
	}
	if err := errors.Join(CheckClaims(c.Who.Claims), checkUser(c.Who.User)); err != nil {
		return fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	return nil
}

// CheckClaims refuses claims that a token of ours could not carry along.
func CheckClaims(claims map[string]any) error {
	if len(claims) == 0 {
		return nil
	}
	text, err := json.Marshal(claims)
	switch {
	case err != nil:
		return fmt.Errorf("claims: %w", err)
	case len(text) > maxClaims:
		return fmt.Errorf("its claims are %d bytes of JSON, more than %d", len(text), maxClaims)
	}
	return nil
}

func (c Claims) body() body {
	b := body{
		Issuer:    c.Issuer,
		Subject:   c.Who.User,
		Audience:  c.Audience,
		Expires:   c.Expires.Unix(),
		NotBefore: c.IssuedAt.Add(-backdate).Unix(),
		IssuedAt:  c.IssuedAt.Unix(),
		ID:        c.ID,
		Access:    make([]access.Grant, len(c.Access)), // never null
	}
	for i, g := range c.Access {
		b.Access[i] = g
		b.Access[i].Actions = append([]string{}, g.Actions...)
	}
	if !c.Who.IsAnonymous() {
		b.Ours = &ours{Source: c.Who.Source, Groups: append([]string{}, c.Who.Groups...), Claims: c.Who.Claims, Session: c.Session}
		if c.Who.With != nil {
			b.Ours.Key = c.Who.With.ID
		}
	}
	return b
}
