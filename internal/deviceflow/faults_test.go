package deviceflow_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorgate/moorgate/internal/client"
	"github.com/moorgate/moorgate/internal/deviceflow"
)

// wire is a network and a provider behind it, which answers the questions for tokens one
// after the other, the last answer again and again.
type wire struct {
	answers []answer
	asked   []time.Time // when
}

// answer is a status and a body, or a fault of the network.
type answer struct {
	status int
	body   string
	fault  error
	hangs  bool
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	a := answer{status: http.StatusOK}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		a.body = strings.ReplaceAll(discovery, "HERE", "https://login.example.com")
	case "/device":
		a.body = `{"device_code":"d","user_code":"u","verification_uri":"https://login.example.com/device","expires_in":600,"interval":5}`
	default:
		a = w.answers[min(len(w.asked), len(w.answers)-1)]
		w.asked = append(w.asked, time.Now())
	}
	if a.hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if a.fault != nil {
		return nil, a.fault
	}
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(a.body)), Request: r,
	}, nil
}

// wait signs somebody in over the wire.
func (w *wire) wait(ctx context.Context) (deviceflow.Tokens, error) {
	d, err := deviceflow.Discover(ctx, &http.Client{Transport: w, Timeout: time.Second}, "https://login.example.com", "c", scopes())
	if err != nil {
		return deviceflow.Tokens{}, err
	}
	prompt, err := d.Start(ctx)
	if err != nil {
		return deviceflow.Tokens{}, err
	}
	return d.Wait(ctx, prompt)
}

// tokens is an answer with an ID token of these claims, and a refresh token.
func tokens(claims string) string {
	return fmt.Sprintf(`{"access_token":"a","token_type":"Bearer","refresh_token":"new","id_token":"e30.%s.c2ln"}`,
		base64.RawURLEncoding.EncodeToString([]byte(claims)))
}

var (
	pending = answer{status: http.StatusBadRequest, body: `{"error":"authorization_pending"}`}
	slower  = answer{status: http.StatusBadRequest, body: `{"error":"slow_down"}`}
	cut     = answer{fault: errors.New("connection reset by peer")}
	hangs   = answer{hangs: true}
	ill     = answer{status: http.StatusBadGateway, body: "<html>"}
	good    = answer{status: http.StatusOK, body: tokens(`{"iss":"https://login.example.com","aud":"c","exp":9999999999}`)}
)

// Somebody who types a code on a train signs in all the same (RFC 8628, section 3.5):
// each fault makes the wait longer, and slow_down of the provider still counts.
func TestFaultsDuringTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answers: []answer{pending, cut, slower, ill, hangs, pending, good}}
		began := time.Now()
		got, err := w.wait(t.Context())
		if err != nil || got.ID == "" || got.Refresh != "new" {
			t.Fatalf("%+v, %v", got, err)
		}
		var seconds []int
		for _, when := range w.asked {
			seconds = append(seconds, int(when.Sub(began).Seconds()))
		}
		if fmt.Sprint(seconds) != "[5 10 20 35 55 81 106]" {
			t.Errorf("asked after %v seconds", seconds)
		}
	})
}

func TestFaultsUntilTheCodeEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers []answer
		says    string
	}{
		"a network that is gone":   {[]answer{pending, cut}, "did not answer: connection reset"},
		"a provider that is ill":   {[]answer{ill}, "did not answer: status 502"},
		"a fault that has an end":  {[]answer{cut, pending}, "nobody has typed"},
		"a user who does nothing":  {[]answer{pending}, "nobody has typed"},
		"a user who says no later": {[]answer{cut, {status: 400, body: `{"error":"access_denied"}`}}, "access_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, err := (&wire{answers: tt.answers}).wait(t.Context())
				if !errors.Is(err, deviceflow.ErrRefused) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v; want %q", err, tt.says)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		if _, err := (&wire{answers: []answer{cut}}).wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Ctrl-C: %v", err)
		}
	})
}

// What is no fault of the way is not called one, and the other way round.
func TestFaultsOfAProviderHaveTheirNames(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer answer
		away   bool
		says   string
	}{
		"away":               {cut, true, "connection reset"},
		"ill":                {ill, true, "status 502"},
		"busy":               {answer{status: http.StatusTooManyRequests}, true, "status 429"},
		"a client not known": {answer{status: http.StatusUnauthorized, body: `{"error":"invalid_client"}`}, false, "invalid_client"},
		"a scope not known":  {answer{status: http.StatusBadRequest, body: `{"error":"invalid_scope"}`}, false, "invalid_scope"},
		"a redirect":         {answer{status: http.StatusFound}, false, "status 302"},
		"a page":             {answer{status: http.StatusOK, body: "<html>"}, false, "json"},
	} {
		w := &wire{answers: []answer{tt.answer}}
		d, err := deviceflow.Discover(t.Context(), &http.Client{Transport: w}, "https://login.example.com", "c", scopes())
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Refresh(t.Context(), "old")
		if errors.Is(err, client.ErrUnreachable) != tt.away || err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		away   bool
	}{
		"the discovery of one that is ill":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, true},
		"the discovery of no issuer":           {http.NotFound, false},
		"a discovery that breaks off":          {breakOff, true},
		"a discovery of a page, and no issuer": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, false},
	} {
		s := httptest.NewServer(tt.answer)
		t.Cleanup(s.Close)
		if _, err := deviceflow.Discover(t.Context(), plain(), s.URL, "c", scopes()); err == nil || errors.Is(err, client.ErrUnreachable) != tt.away {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// breakOff sends half an answer.
func breakOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte(`{"issuer":`))
	panic(http.ErrAbortHandler)
}

// A provider that changes its refresh tokens has taken the old one back. The new one must
// not be lost where the rest of its answer is no use.
func TestANewRefreshTokenComesWithTheError(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no ID token":          `{"access_token":"a","token_type":"Bearer","refresh_token":"new"}`,
		"no JWT":               `{"access_token":"a","token_type":"Bearer","refresh_token":"new","id_token":"x"}`,
		"of another issuer":    tokens(`{"iss":"https://mallory.example","aud":"c","exp":9999999999}`),
		"for another client":   tokens(`{"iss":"https://login.example.com","aud":"d","exp":9999999999}`),
		"without an end of it": tokens(`{"iss":"https://login.example.com","aud":"c"}`),
	} {
		w := &wire{answers: []answer{{status: http.StatusOK, body: body}}}
		d, err := deviceflow.Discover(t.Context(), &http.Client{Transport: w}, "https://login.example.com", "c", scopes())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Refresh(t.Context(), "old"); err == nil || got != (deviceflow.Tokens{Refresh: "new"}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
