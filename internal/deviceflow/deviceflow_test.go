package deviceflow_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/oidctest"
	"github.com/moorgate/moorgate/internal/client"
	"github.com/moorgate/moorgate/internal/deviceflow"
)

// scopes are those that get a refresh token.
func scopes() []string { return []string{"openid", "profile", "offline_access"} }

// trusting returns a client that trusts a provider.
func trusting(t *testing.T, p *oidctest.Provider) *http.Client {
	t.Helper()
	trust, err := client.NewTrust(nil, p.CA)
	if err != nil {
		t.Fatal(err)
	}
	return client.NewHTTP(trust)
}

func discover(t *testing.T, p *oidctest.Provider) *deviceflow.Provider {
	t.Helper()
	d, err := deviceflow.Discover(t.Context(), trusting(t, p), p.Issuer, oidctest.Client, scopes())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A person signs in at a real provider, and stays signed in.
func TestAPersonSignsIn(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	d := discover(t, p)
	prompt, err := d.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(prompt.URL, p.Issuer) || prompt.Code == "" || !strings.Contains(prompt.Full, prompt.Code) {
		t.Errorf("a person is shown %+v", prompt)
	}
	approved := make(chan struct{})
	go func() {
		defer close(approved)
		p.Approve(t, prompt.Code, oidctest.Ada, oidctest.AdaPassword)
	}()
	first, err := d.Wait(t.Context(), prompt)
	<-approved
	if err != nil {
		t.Fatal(err)
	}
	if subject(t, first.ID) != oidctest.Ada || first.Refresh == "" || !first.Expires.After(time.Now()) {
		t.Errorf("they get %+v", first)
	}
	second, err := d.Refresh(t.Context(), first.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	if subject(t, second.ID) != oidctest.Ada || second.Refresh == "" {
		t.Errorf("then %+v", second)
	}
	p.Stop()
	p.Restart(t) // it has forgotten all
	if _, err := d.Refresh(t.Context(), second.Refresh); !errors.Is(err, deviceflow.ErrRefused) || strings.Contains(err.Error(), second.Refresh) {
		t.Errorf("a token that is not good any more: %v", err)
	}
}

func subject(t *testing.T, id string) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(id, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c.Subject
}

func TestAPersonSaysNo(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	d := discover(t, p)
	prompt, err := d.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.Deny(t, prompt.Code, oidctest.Ada, oidctest.AdaPassword)
	if _, err := d.Wait(t.Context(), prompt); !errors.Is(err, deviceflow.ErrRefused) {
		t.Errorf("denied: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Wait(ctx, prompt); !errors.Is(err, context.Canceled) {
		t.Errorf("Ctrl-C: %v", err)
	}
	if _, err := deviceflow.Discover(t.Context(), trusting(t, p), p.Issuer+"/", oidctest.Client, scopes()); err == nil || !strings.Contains(err.Error(), "give exactly that") {
		t.Errorf("nearly the issuer: %v", err)
	}
	stranger, err := deviceflow.Discover(t.Context(), trusting(t, p), p.Issuer, "nobody", scopes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "gives out no code") {
		t.Errorf("a client that the provider does not know: %v", err)
	}
}

// fake is a provider that answers as a test says.
func fake(t *testing.T, discovery string, answers map[string]string) string {
	t.Helper()
	var url string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/.well-known/openid-configuration" {
			_, _ = w.Write([]byte(strings.ReplaceAll(discovery, "HERE", url)))
			return
		}
		answer := answers[r.URL.Path]
		if strings.HasPrefix(answer, `{"error"`) {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write([]byte(strings.ReplaceAll(answer, "HERE", url)))
	}))
	t.Cleanup(s.Close)
	url = s.URL
	return url
}

const discovery = `{"issuer":"HERE","token_endpoint":"HERE/token","device_authorization_endpoint":"HERE/device"}`

func plain() *http.Client { return client.NewHTTP(client.Trust{}) }

func TestProvidersThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ discovery, says string }{
		"another issuer":       {strings.Replace(discovery, `"HERE"`, `"https://mallory.example"`, 1), "give exactly that"},
		"no device flow":       {`{"issuer":"HERE","token_endpoint":"HERE/token"}`, "no device flow"},
		"secrets in the clear": {strings.Replace(discovery, `HERE/token`, `http://mallory.example/token`, 1), "others could read"},
		"a page":               {"<html>", "invalid character"},
		"an endless page":      {`{"issuer":"` + strings.Repeat("x", 1<<20), "unexpected EOF"},
	} {
		_, err := deviceflow.Discover(t.Context(), plain(), fake(t, tt.discovery, nil), "c", scopes())
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want %q", name, err, tt.says)
		}
	}
	for _, issuer := range []string{"http://login.example.com", "login.example.com", "https://a:b@login.example.com", ""} {
		if _, err := deviceflow.Discover(t.Context(), plain(), issuer, "c", scopes()); err == nil || !strings.Contains(err.Error(), "https://") {
			t.Errorf("%q: %v", issuer, err)
		}
	}
}

func TestAnswersThatAreWrong(t *testing.T) {
	t.Parallel()
	b64 := base64.RawURLEncoding.EncodeToString
	id := func(claims string) string {
		return `{"access_token":"a","token_type":"Bearer","id_token":"` + "e30." + "CLAIMS" + claims + "CLAIMS" + `.c2ln"}`
	}
	for name, tt := range map[string]struct{ answer, says string }{
		"no ID token":          {`{"access_token":"a","token_type":"Bearer"}`, "gives no ID token"},
		"of another issuer":    {id(`{"iss":"https://others","aud":"c","exp":9999999999}`), "is from"},
		"for another client":   {id(`{"iss":"HERE","aud":["d","e"],"exp":9999999999}`), "is for"},
		"without an end":       {id(`{"iss":"HERE","aud":"c"}`), "cannot be read"},
		"no JWT":               {`{"access_token":"a","token_type":"Bearer","id_token":"x"}`, "not a JWT"},
		"a login that is over": {`{"error":"invalid_grant","error_description":"over"}`, "does not let you in"},
		"a secret in an error": {`{"error":"oops","error_description":"` + strings.Repeat("x", 5000) + `"}`, "oops"},
	} {
		url := ""
		answers := map[string]string{}
		url = fake(t, discovery, answers)
		parts := strings.Split(strings.ReplaceAll(tt.answer, "HERE", url), "CLAIMS")
		if len(parts) == 3 {
			parts[1] = b64([]byte(parts[1]))
		}
		answers["/token"] = strings.Join(parts, "")
		d, err := deviceflow.Discover(t.Context(), plain(), url, "c", scopes())
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Refresh(t.Context(), "a-refresh-token")
		if errors.Is(err, client.ErrUnreachable) {
			t.Errorf("%s: it was reached, and the error says %v", name, err)
		}
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "a-refresh-token") || len(err.Error()) > 1000 {
			t.Errorf("%s: %v; want %q", name, err, tt.says)
		}
	}
	for name, answer := range map[string]string{
		"nothing":             `{}`,
		"a page in the clear": `{"device_code":"d","user_code":"u","verification_uri":"javascript:alert(1)"}`,
		"a refusal":           `{"error":"unauthorized_client"}`,
	} {
		d, err := deviceflow.Discover(t.Context(), plain(), fake(t, discovery, map[string]string{"/device": answer}), "c", scopes())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "gives out no code") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Nobody types the code: the provider says how long it is good.
func TestNobodyTypesTheCode(t *testing.T) {
	t.Parallel()
	d, err := deviceflow.Discover(t.Context(), plain(), fake(t, discovery, map[string]string{
		"/device": `{"device_code":"d","user_code":"u","verification_uri":"HERE/","expires_in":2,"interval":1}`,
		"/token":  `{"error":"authorization_pending"}`,
	}), "c", scopes())
	if err != nil {
		t.Fatal(err)
	}
	prompt, err := d.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Wait(t.Context(), prompt); !errors.Is(err, deviceflow.ErrRefused) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("%v", err)
	}
}
