package oidctest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/oidctest"
)

// claimsOf reads a token as somebody who trusts it.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// The provider is what other tests stand on.
func TestAProviderSignsInAndRefreshes(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	first := p.SignIn(t, oidctest.Ada, oidctest.AdaPassword)
	resp, err := p.HTTP.PostForm(p.Issuer+"/oauth/token", url.Values{
		"client_id": {oidctest.Client}, "grant_type": {"refresh_token"}, "refresh_token": {first.RefreshToken},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var again oidctest.UserTokens
	if err := json.NewDecoder(resp.Body).Decode(&again); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("refresh: %s, %v", resp.Status, err)
	}
	for name, token := range map[string]string{"device flow": first.IDToken, "refresh": again.IDToken} {
		claims := claimsOf(t, token)
		groups, _ := claims["groups"].([]any)
		aud, _ := claims["aud"].([]any)
		if claims["iss"] != p.Issuer || claims["sub"] != oidctest.Ada || !slices.Contains(groups, "ops") || !slices.Contains(aud, oidctest.Client) {
			t.Errorf("%s: %v", name, claims)
		}
	}
	if again.RefreshToken == "" || again.RefreshToken == first.RefreshToken {
		t.Errorf("the refresh token is still %q", again.RefreshToken)
	}
}

func TestAProviderSignsForJobs(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	before := p.Token(t, map[string]any{"aud": "x", "sub": "job"})
	p.Rotate(t, true)
	after := p.Token(t, map[string]any{"aud": "x", "sub": "job", "ref": "main"})
	if claims := claimsOf(t, after); claims["ref"] != "main" || claims["iss"] != p.Issuer || claims["exp"] == nil {
		t.Errorf("%v", claims)
	}
	if header := func(s string) string { return strings.Split(s, ".")[0] }; header(before) == header(after) {
		t.Error("the key is the same after the rotation")
	}
	p.Stop()
	p.Restart(t)
	p.Token(t, map[string]any{"aud": "x"})
}
