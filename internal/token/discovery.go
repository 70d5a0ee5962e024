package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// wellKnown is where an issuer says where its keys are (OpenID Connect Discovery 1.0,
// section 4).
const wellKnown = "/.well-known/openid-configuration"

// NewIssuerKeys returns the keys of an issuer of OpenID Connect. Where they are is asked
// of the issuer before each fetch; they may be on another host, as the issuer's word is
// good for that. It fetches nothing yet. o.TokenFile counts for nothing: the token is for
// one host.
func NewIssuerKeys(issuer string, o KeysURLOptions) (*KeysURL, error) {
	at, err := checkURL(issuer, o.AllowHTTP)
	if err != nil {
		return nil, err
	}
	if at.RawQuery != "" || at.Fragment != "" || at.ForceQuery {
		return nil, fmt.Errorf("the URL of an issuer has neither a query nor a fragment: %q", issuer)
	}
	at, err = url.Parse(strings.TrimSuffix(issuer, "/") + wellKnown)
	if err != nil {
		return nil, err
	}
	k, err := newKeysURL(o)
	if err != nil {
		return nil, err
	}
	k.locate = func(ctx context.Context) (location, error) { return k.discover(ctx, issuer, location{url: at}) }
	return k, nil
}

// discover asks an issuer where its keys are.
func (k *KeysURL) discover(ctx context.Context, issuer string, at location) (location, error) {
	a, err := k.read(ctx, at)
	if err != nil {
		return location{}, err
	}
	var document struct { // OpenID Connect Discovery 1.0, section 3
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(a.data, &document); err != nil {
		return location{}, fmt.Errorf("%s is not a discovery document of OpenID Connect: %w", at.url, brief(err))
	}
	if document.Issuer != issuer { // section 4.3: exactly
		return location{}, fmt.Errorf("%s is about the issuer %s, not %q", at.url, quote(document.Issuer), issuer)
	}
	keys, err := checkURL(document.Keys, k.options.AllowHTTP)
	if err == nil && keys.Scheme != at.url.Scheme && keys.Scheme != "https" {
		err = errors.New("the keys could be changed on the way")
	}
	if err != nil {
		return location{}, fmt.Errorf("%s: jwks_uri %s: %w", at.url, quote(document.Keys), err)
	}
	return location{url: keys}, nil
}

// Sight is what a look at the keys of others has shown.
type Sight struct {
	URL   string        // where they are
	Count int           // of keys that can verify tokens
	Ahead time.Duration // how far the clock there is ahead of ours, as far as was said
}

// Look fetches the keys, and shows them to nobody: it is for an operator who wants to
// know whether they can be had.
func (k *KeysURL) Look(ctx context.Context) (Sight, error) {
	keys, at, a, err := k.look(ctx)
	if err != nil {
		return Sight{}, err
	}
	sight := Sight{URL: at.url.String(), Count: len(keys)}
	if !a.date.IsZero() {
		sight.Ahead = a.date.Sub(k.options.Now().Truncate(time.Second))
	}
	return sight, nil
}
