package credhelper_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/client"
	"github.com/moorgate/moorgate/internal/credhelper"
	"github.com/moorgate/moorgate/internal/keyring"
)

// atProvider is somebody who is signed in to a registry by an identity provider that
// answers as a test says.
type atProvider struct {
	rig
	issuer string
	answer http.HandlerFunc // to the question for new tokens
}

const theirRegistry = "registry.example.com"

// newAtProvider has a session that ends in so long, of which less than half is left.
func newAtProvider(t *testing.T, left time.Duration) *atProvider {
	t.Helper()
	p := &atProvider{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/token" {
			p.answer(w, r)
			return
		}
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"%s/token","device_authorization_endpoint":"%s/device"}`, p.issuer, p.issuer, p.issuer)
	}))
	t.Cleanup(s.Close)
	p.issuer = s.URL
	p.Helper = &credhelper.Helper{Keyring: keyring.Keyring{Dir: filepath.Join(t.TempDir(), "keys")}, Now: p.now, Aside: &p.aside}
	now := time.Now()
	err := p.Keyring.Write(theirRegistry, keyring.Credential{
		User:    "oidc",
		OIDC:    &keyring.OIDC{Issuer: p.issuer, ClientID: "c", Refresh: "first"},
		Session: &keyring.Session{User: "oidc", Secret: "old", Issued: now.Add(-24 * time.Hour), Expires: now.Add(left)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// refresh returns the refresh token that is kept.
func (p *atProvider) refresh(t *testing.T) string {
	t.Helper()
	c, err := p.Keyring.Read(theirRegistry)
	if err != nil {
		t.Fatal(err)
	}
	return c.OIDC.Refresh
}

// A provider that changes its refresh tokens gives no ID token for once. The login is
// not over.
func TestANewRefreshTokenIsKeptWithoutAnIDToken(t *testing.T) {
	t.Parallel()
	p := newAtProvider(t, -time.Hour)
	p.answer = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"access_token":"a","token_type":"Bearer","refresh_token":"second"}`))
	}
	if c, err := p.get(t, theirRegistry); err == nil || !strings.Contains(err.Error(), "no ID token") || errors.Is(err, client.ErrUnreachable) {
		t.Errorf("%+v, %v", c, err)
	}
	if got := p.refresh(t); got != "second" {
		t.Errorf("the refresh token %q is kept", got)
	}
	claims := fmt.Sprintf(`{"iss":%q,"aud":"c","exp":%d}`, p.issuer, time.Now().Add(time.Hour).Unix())
	id := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	p.answer = func(w http.ResponseWriter, r *http.Request) {
		if got := r.PostFormValue("refresh_token"); got != "second" {
			t.Errorf("it sends %q", got)
		}
		_, _ = fmt.Fprintf(w, `{"access_token":"a","token_type":"Bearer","id_token":%q}`, id)
	}
	if c, err := p.get(t, theirRegistry); err != nil || c.Secret != id {
		t.Errorf("%+v, %v", c, err)
	}
	if got := p.refresh(t); got != "second" {
		t.Errorf("the refresh token %q is kept", got)
	}
}

// What is wrong at a provider is called by its name. A session that is still good is
// used until its end, unless the provider does not let the user in any more.
func TestFaultsOfAProvider(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status     int
		body, says string
		away       bool
		uses       bool // the session, if it is good
		aside      bool
	}{
		"a client that is not known": {http.StatusUnauthorized, `{"error":"invalid_client"}`, "invalid_client", false, true, true},
		"no ID token":                {http.StatusOK, `{"access_token":"a","token_type":"Bearer"}`, "no ID token", false, true, true},
		"ill":                        {http.StatusBadGateway, "<html>", "status 502", true, true, false},
		"a login that is over":       {http.StatusBadRequest, `{"error":"invalid_grant"}`, "sign in again", false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}
			over := newAtProvider(t, -time.Hour)
			over.answer = answer
			_, err := over.get(t, theirRegistry)
			if err == nil || !strings.Contains(err.Error(), tt.says) || errors.Is(err, client.ErrUnreachable) != tt.away || strings.Contains(err.Error(), "reached") != tt.away {
				t.Errorf("without a session: %v", err)
			}
			still := newAtProvider(t, time.Hour)
			still.answer = answer
			c, err := still.get(t, theirRegistry)
			if tt.uses != (err == nil) || tt.uses != (c.Secret == "old") {
				t.Errorf("with a session: %+v, %v", c, err)
			}
			if told := still.aside.Bytes(); bytes.Contains(told, []byte(tt.says)) != tt.aside || !tt.aside && len(told) > 0 {
				t.Errorf("aside: %s", told)
			}
		})
	}
}
