package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// forgetAfter is how long after its end a token is still known as one that was
// good once.
const forgetAfter = 365 * 24 * time.Hour

// Verifier takes the tokens of one issuer for one service: ours, or those of a
// foreign token server. It implements authn.Bearer. Its fields are set before its
// first use; it is not to be copied.
//
// Tokens that it verified are remembered until they expire, as long as their key
// is in Keys. What it returns is shared: nobody may change it.
type Verifier struct {
	Issuer   string // compared exactly with iss; never ""
	Audience string // aud, or one value of it; never ""
	Keys     KeySet

	// Source is the name of a foreign token server as an identity source. Its
	// tokens say who asks by sub, and may list "groups". "" is for tokens of our
	// own, which name source, groups, other claims and perhaps a key in the claim
	// "moorgate".
	Source string

	Sessions bool // it takes sessions, and nothing else

	Leeway time.Duration    // how far the clock of the issuer may be ahead (nbf, iat); exp counts as it is
	Now    func() time.Time // nil is time.Now

	start      sync.Once
	remembered *memory
}

// VerifyToken returns what token says.
//
// Errors: authn.ErrNoMatch, wrapped with the reason; authn.ErrExpired together
// with the Token if nothing but its time is over, by up to a year. Others are
// those of Keys.
func (v *Verifier) VerifyToken(ctx context.Context, token string) (authn.Token, error) {
	v.start.Do(func() { v.remembered = newMemory(v.now) })
	if err := checkShape(token); err != nil {
		return authn.Token{}, refused(err)
	}
	sum := sumOf(token)
	if t, ok := v.recall(ctx, sum); ok {
		return t, nil
	}
	parsed, key, err := v.authenticate(ctx, token)
	if err != nil {
		return authn.Token{}, err
	}
	// The signature is verified here; before, nothing of the body was believed.
	var c claims
	all := map[string]any{}
	if err := parsed.Claims(key.Public, &c, &all); err != nil {
		return authn.Token{}, refused(brief(err))
	}
	t, err := v.read(&c, all)
	if err == nil {
		v.remembered.put(sum, memorized{token: t, key: key, size: len(token)})
	}
	return t, err
}

// authenticate finds the key that must have signed the token.
//
// Errors: authn.ErrNoMatch; others are those of Keys.
func (v *Verifier) authenticate(ctx context.Context, token string) (*jwt.JSONWebToken, Key, error) {
	parsed, err := jwt.ParseSigned(token, asymmetric)
	if err != nil {
		return nil, Key{}, refused(brief(err))
	}
	if err := checkHeader(parsed.Headers); err != nil {
		return nil, Key{}, refused(err)
	}
	// A look at the issuer, so that tokens of others do not make us fetch keys.
	// What it says is believed only to refuse the token.
	var peek struct {
		Issuer string `json:"iss"`
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&peek); err != nil {
		return nil, Key{}, refused(brief(err))
	}
	if err := v.checkIssuer(peek.Issuer); err != nil {
		return nil, Key{}, refused(err)
	}
	header := parsed.Headers[0]
	key, err := v.Keys.Key(ctx, header.KeyID)
	switch {
	case errors.Is(err, ErrUnknownKey):
		return nil, Key{}, refused(fmt.Errorf("its key %s is not known", quote(header.KeyID)))
	case err != nil:
		return nil, Key{}, fmt.Errorf("cannot get the keys to verify tokens of %q with: %w", v.Issuer, err)
	case !isAsymmetric(key.Algorithm) || header.Algorithm != key.Algorithm:
		return nil, Key{}, refused(fmt.Errorf("its algorithm is %s and that of its key %s", quote(header.Algorithm), quote(key.Algorithm)))
	}
	return parsed, key, nil
}

// read checks the claims of a token that is genuine.
func (v *Verifier) read(c *claims, all map[string]any) (authn.Token, error) {
	if err := v.checkIssuer(c.Issuer); err != nil {
		return authn.Token{}, refused(err)
	}
	if v.Audience == "" || !slices.Contains(c.Audience, v.Audience) {
		return authn.Token{}, refused(fmt.Errorf("it is for the service %s, not %q", quote(fmt.Sprint([]string(c.Audience))), v.Audience))
	}
	now := v.now()
	if err := c.checkTimes(now, v.Leeway); err != nil {
		return authn.Token{}, refused(err)
	}
	ceiling, err := c.ceiling()
	if err != nil {
		return authn.Token{}, refused(err)
	}
	who, err := v.identity(c.Subject, all)
	if err != nil {
		return authn.Token{}, refused(err)
	}
	t := authn.Token{Who: who, Ceiling: ceiling, Expires: c.Expires.Time(), Foreign: v.Source != ""}
	if v.Sessions {
		t.Ceiling, t.Bound = nil, boundOf(all)
	}
	return t, c.expired(now)
}

func (v *Verifier) checkIssuer(issuer string) error {
	if v.Issuer == "" || issuer != v.Issuer {
		return fmt.Errorf("it is from the issuer %s, not %q", quote(issuer), v.Issuer)
	}
	return nil
}

// identity returns whom the token speaks of. all are all its claims.
func (v *Verifier) identity(sub string, all map[string]any) (access.Identity, error) {
	if err := checkUser(sub); err != nil {
		return access.Identity{}, err
	}
	own, isOurs := all["moorgate"].(map[string]any)
	if _, is := own["session"]; is != v.Sessions {
		return access.Identity{}, errors.New("sessions and tokens for a service are not the same, and it is the other one")
	}
	if sub == "" { // a foreign server vouches for somebody without a name
		return access.Identity{Source: v.Source}, nil
	}
	if v.Source != "" {
		groups, _ := stringList(all["groups"])
		return access.Identity{User: sub, Source: v.Source, Groups: groups, Claims: all}, nil
	}
	source, isString := own["source"].(string)
	groups, isList := stringList(own["groups"])
	with, isKey := keyOf(own)
	if !isOurs || !isString || !isList || !isKey {
		return access.Identity{}, errors.New(`its claim "moorgate" is missing or malformed`)
	}
	// Rules ask about the claims that somebody came with, and never about ours: by a
	// password or by the token for it, the same rule answers the same.
	theirs, _ := own["claims"].(map[string]any)
	return access.Identity{User: sub, Source: source, Groups: groups, Claims: theirs, With: with}, nil
}

// keyOf returns the key that a token of ours was made from; nil if from none. Only its
// ID is known here, so it allows nothing until somebody looks it up (authn/keys).
func keyOf(own map[string]any) (*access.Key, bool) {
	value, there := own["key"]
	if !there {
		return nil, true
	}
	id, isString := value.(string)
	return &access.Key{ID: id}, isString && id != ""
}

// boundOf returns what a session is bound to.
func boundOf(all map[string]any) string {
	own, _ := all["moorgate"].(map[string]any)
	session, _ := own["session"].(map[string]any)
	bound, _ := session["bound"].(string)
	return bound
}

// recall returns a token that was verified before, if it would be verified again:
// its time is not over, and its key is still the same.
func (v *Verifier) recall(ctx context.Context, sum tokenSum) (authn.Token, bool) {
	m, ok := v.remembered.get(sum)
	if !ok || !v.now().Before(m.token.Expires) {
		return authn.Token{}, false
	}
	key, err := v.Keys.Key(ctx, m.key.ID)
	if err != nil || !key.equal(m.key) {
		return authn.Token{}, false // the long way tells what is wrong
	}
	return m.token, true
}

func (v *Verifier) now() time.Time {
	if v.Now == nil {
		return time.Now()
	}
	return v.Now()
}

// refused says that a token is not one that v takes, and why, for the log.
func refused(why error) error {
	return fmt.Errorf("%w: the token is refused: %w", authn.ErrNoMatch, why)
}
