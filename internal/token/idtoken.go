package token

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// IDTokens takes the ID tokens of one issuer, as somebody whom they are for (OpenID
// Connect Core 1.0, section 3.1.3.7). They say who somebody is, and limit nothing. It
// implements authn.Bearer. Its fields are set before its first use; it is not to be
// copied.
//
// Tokens that it verified are remembered as those of a Verifier are, together with who
// they speak of.
type IDTokens struct {
	Issuer    string   // compared exactly with iss; never ""
	Audiences []string // aud, or one value of it, must be one of them; "" never is
	Keys      KeySet

	// Identify returns whom a token speaks of by all its claims, which nobody may
	// change. An error is why nobody is let in by that token.
	Identify func(claims map[string]any) (access.Identity, error)

	Leeway time.Duration    // how far the clock of the issuer may be ahead (nbf, iat); exp counts as it is
	Now    func() time.Time // nil is time.Now

	start sync.Once
	base  *Verifier
}

// VerifyToken returns whom token speaks of.
//
// Errors: authn.ErrNoMatch, wrapped with the reason; authn.ErrExpired together with the
// Token if nothing but its time is over, by up to a year. Others are those of Keys.
func (i *IDTokens) VerifyToken(ctx context.Context, token string) (authn.Token, error) {
	i.start.Do(func() {
		i.base = &Verifier{Issuer: i.Issuer, Keys: i.Keys, Now: i.Now}
		i.base.remembered = newMemory(i.base.now)
	})
	if err := checkShape(token); err != nil {
		return authn.Token{}, refused(err)
	}
	sum := sumOf(token)
	if t, ok := i.base.recall(ctx, sum); ok {
		return t, nil
	}
	parsed, key, err := i.base.authenticate(ctx, token)
	if err != nil {
		return authn.Token{}, err
	}
	if err := checkType(parsed.Headers[0]); err != nil {
		return authn.Token{}, refused(err)
	}
	var c registered
	all := map[string]any{}
	if err := parsed.Claims(key.Public, &c, &all); err != nil {
		return authn.Token{}, refused(brief(err))
	}
	t, err := i.read(&c, all)
	if err == nil {
		i.base.remembered.put(sum, memorized{token: t, key: key, size: len(token)})
	}
	return t, err
}

// read checks the claims of a token that is genuine.
func (i *IDTokens) read(c *registered, all map[string]any) (authn.Token, error) {
	if err := i.base.checkIssuer(c.Issuer); err != nil {
		return authn.Token{}, refused(err)
	}
	if !slices.ContainsFunc(c.Audience, i.isUs) {
		return authn.Token{}, refused(fmt.Errorf("it is for %s, and this registry is %q", quote(fmt.Sprint([]string(c.Audience))), i.Audiences))
	}
	now := i.base.now()
	if err := c.checkTimes(now, i.Leeway); err != nil {
		return authn.Token{}, refused(err)
	}
	who, err := i.Identify(all)
	if err != nil {
		return authn.Token{}, refused(err)
	}
	return authn.Token{Who: who, Expires: c.Expires.Time()}, c.expired(now)
}

func (i *IDTokens) isUs(audience string) bool {
	return audience != "" && slices.Contains(i.Audiences, audience)
}

// checkType refuses tokens that the same issuer makes for something else, such as the
// end of a session (RFC 8725, section 3.11). Access tokens (RFC 9068) have an audience
// and an owner as ID tokens have.
func checkType(h jose.Header) error {
	typ, ok := h.ExtraHeaders[jose.HeaderType]
	text, isText := typ.(string)
	if !ok || isText && slices.Contains([]string{"jwt", "at+jwt"}, strings.TrimPrefix(strings.ToLower(text), "application/")) {
		return nil
	}
	return fmt.Errorf("it is a token of the type %s, which says nothing about who sends it", quote(fmt.Sprint(typ)))
}

// IsJWT reports whether text has the form of a signed token. It says nothing about
// whether it is genuine.
func IsJWT(text string) bool { return checkShape(text) == nil }
