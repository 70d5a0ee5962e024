// Package deviceflow signs people in at a provider of OpenID Connect from a terminal:
// they open a page elsewhere and type a code there (RFC 8628).
package deviceflow

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/moorgate/moorgate/internal/client"
)

// Bounds.
const (
	maxDiscovery = 256 << 10        // bytes of the document of a provider
	maxWait      = 15 * time.Minute // for somebody to type the code
	maxToken     = 15 << 10         // bytes of an ID token: it has to fit into a header
)

// ErrRefused says that the provider does not let the user in, or not any more.
var ErrRefused = errors.New("the identity provider does not let you in")

// Provider is an identity provider, as a public client sees it.
type Provider struct {
	http   *http.Client
	issuer string
	oauth  oauth2.Config
}

// Tokens are what the provider gives. With an error come none, but for Refresh: it may
// be the only one that is still good.
type Tokens struct {
	ID      string    // an ID token, for the registry
	Expires time.Time // of the ID token
	Refresh string    // for the next ones; "" if the provider gives none
}

// Prompt is what a user has to be told.
type Prompt struct {
	URL  string // the page to open
	Code string // to type there
	Full string // the same page with the code in it; "" if the provider has none
	till time.Time

	device *oauth2.DeviceAuthResponse
}

// Discover reads what a provider says about itself (OpenID Connect Discovery 1.0).
// hc must not follow redirects. Secrets go to https only, and on this machine to
// http.
//
// Errors: client.ErrUnreachable.
func Discover(ctx context.Context, hc *http.Client, issuer, clientID string, scopes []string) (*Provider, error) {
	var doc struct {
		Issuer string `json:"issuer"`
		Token  string `json:"token_endpoint"`
		Device string `json:"device_authorization_endpoint"`
	}
	if !client.SafeURL(issuer) {
		return nil, fmt.Errorf("the issuer %q is not a URL that begins with https://", issuer)
	}
	where := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	hc = reading(hc)
	if err := fetch(ctx, hc, where, &doc); err != nil {
		return nil, fmt.Errorf("cannot learn about the identity provider: %w", err)
	}
	switch {
	case doc.Issuer != issuer: // section 4.3
		return nil, fmt.Errorf("%s says that its issuer is %q: give exactly that", where, doc.Issuer)
	case doc.Device == "":
		return nil, fmt.Errorf("the identity provider %s has no device flow (device_authorization_endpoint)", issuer)
	case !client.SafeURL(doc.Token) || !client.SafeURL(doc.Device):
		return nil, fmt.Errorf("the identity provider %s wants secrets sent to %q and %q, where others could read them", issuer, doc.Token, doc.Device)
	}
	return &Provider{http: hc, issuer: issuer, oauth: oauth2.Config{
		ClientID: clientID, Scopes: scopes,
		Endpoint: oauth2.Endpoint{TokenURL: doc.Token, DeviceAuthURL: doc.Device, AuthStyle: oauth2.AuthStyleInParams},
	}}, nil
}

func fetch(ctx context.Context, hc *http.Client, where string, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := hc.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", client.ErrUnreachable, err)
	}
	defer resp.Body.Close()
	switch {
	case isAway(resp.StatusCode):
		return fmt.Errorf("%w: %s answers with status %d", client.ErrUnreachable, where, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers with status %d: is that the issuer?", where, resp.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDiscovery)).Decode(v); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

// Start asks for a code (RFC 8628, section 3.1).
//
// Errors: client.ErrUnreachable.
func (p *Provider) Start(ctx context.Context) (Prompt, error) {
	device, err := p.oauth.DeviceAuth(with(ctx, p.http))
	if err != nil {
		return Prompt{}, fmt.Errorf("the identity provider gives out no code: %w", said(err))
	}
	if device.DeviceCode == "" || device.UserCode == "" || !client.SafeURL(device.VerificationURI) {
		return Prompt{}, errors.New("the identity provider gives out no code: its answer is not complete (RFC 8628, section 3.2)")
	}
	pr := Prompt{URL: device.VerificationURI, Code: device.UserCode, Full: device.VerificationURIComplete, device: device}
	if !client.SafeURL(pr.Full) {
		pr.Full = ""
	}
	pr.till = time.Now().Add(maxWait)
	if !device.Expiry.IsZero() && device.Expiry.Before(pr.till) {
		pr.till = device.Expiry
	}
	return pr, nil
}

// Wait waits until the user has typed the code, as often as the provider wants to be
// asked, for a quarter of an hour at most. A provider that cannot be reached meanwhile
// is asked again, less often.
//
// Errors: ErrRefused.
func (p *Provider) Wait(ctx context.Context, pr Prompt) (Tokens, error) {
	ctx, cancel := context.WithDeadline(ctx, pr.till)
	defer cancel()
	hc, way := patiently(ctx, p.http)
	token, err := p.oauth.DeviceAccessToken(with(ctx, hc), pr.device)
	if errors.Is(err, context.DeadlineExceeded) && way.fault != nil {
		return Tokens{}, fmt.Errorf("%w: the code has ended, and the identity provider did not answer: %w", ErrRefused, way.fault)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Tokens{}, fmt.Errorf("%w: nobody has typed the code in time", ErrRefused)
	}
	if err != nil {
		return Tokens{}, said(err)
	}
	return p.read(token)
}

// Refresh gets new tokens. Where the provider gives no new refresh token along, the
// old one stays good.
//
// Errors: ErrRefused if the user has to sign in again, client.ErrUnreachable.
func (p *Provider) Refresh(ctx context.Context, refresh string) (Tokens, error) {
	token, err := p.oauth.TokenSource(with(ctx, p.http), &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		return Tokens{}, said(err)
	}
	return p.read(token)
}

// with lets the library use our client.
func with(ctx context.Context, hc *http.Client) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, hc)
}

// said is what a provider says in an error. That of the library has the whole answer
// in it.
func said(err error) error {
	var retrieve *oauth2.RetrieveError
	var way *url.Error
	switch {
	case errors.As(err, &way):
		return fmt.Errorf("%w: %w", client.ErrUnreachable, err) // the error names the URL, which has no secret
	case !errors.As(err, &retrieve):
		return err
	}
	status := 0
	if retrieve.Response != nil {
		status = retrieve.Response.StatusCode
	}
	text := fmt.Sprintf("status %d, %.80q, %.200q", status, retrieve.ErrorCode, retrieve.ErrorDescription)
	switch retrieve.ErrorCode {
	case "access_denied", "expired_token", "invalid_grant": // RFC 8628, section 3.5; RFC 6749, section 5.2
		return fmt.Errorf("%w: %s", ErrRefused, text)
	}
	if isAway(status) {
		return fmt.Errorf("%w: the identity provider answers: %s", client.ErrUnreachable, text)
	}
	return fmt.Errorf("the identity provider answers: %s", text)
}

// read takes the ID token out of an answer. It came from the provider itself, over TLS,
// and the registry verifies its signature; here only that it is meant for us is looked
// at (OpenID Connect Core, section 3.1.3.7).
func (p *Provider) read(token *oauth2.Token) (Tokens, error) {
	refresh := Tokens{Refresh: token.RefreshToken}
	id, _ := token.Extra("id_token").(string)
	if id == "" {
		return refresh, errors.New("the identity provider gives no ID token: ask for the scope openid, and see whether it gives one when it refreshes")
	}
	claims, err := readClaims(id)
	switch {
	case err != nil:
		return refresh, fmt.Errorf("the ID token of the identity provider: %w", err)
	case claims.Issuer != p.issuer:
		return refresh, fmt.Errorf("the ID token is from %.80q, not from %s", claims.Issuer, p.issuer)
	case !slices.Contains(claims.Audience, p.oauth.ClientID):
		return refresh, fmt.Errorf("the ID token is for %.80q, not for %s", claims.Audience, p.oauth.ClientID)
	}
	return Tokens{ID: id, Expires: time.Unix(claims.Expires, 0), Refresh: token.RefreshToken}, nil
}

// claims are those of an ID token that a client looks at.
type claims struct {
	Issuer   string   `json:"iss"`
	Audience audience `json:"aud"`
	Expires  int64    `json:"exp"`
}

// audience is a string or a list of strings (RFC 7519, section 4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

func readClaims(id string) (claims, error) {
	parts := strings.Split(id, ".")
	if len(id) > maxToken || len(parts) != 3 {
		return claims{}, fmt.Errorf("it is not a JWT of at most %d bytes", maxToken)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims{}, errors.New("it is not a JWT")
	}
	var c claims
	if json.Unmarshal(payload, &c) != nil || c.Expires <= 0 {
		return claims{}, errors.New("its claims cannot be read")
	}
	return c, nil
}
