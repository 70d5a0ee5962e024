package tokenapi_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
)

// describable is the characters of error_description (RFC 6749, section 5.2).
var describable = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]+$`)

const signIn = "grant_type=password&username=alice&password=alice%27s+password&service=registry"

func TestPasswordGrant(t *testing.T) {
	t.Parallel()
	f := newFixture(rules(t))
	a := ok(t, f.post(t, signIn+"&client_id=docker&scope=repository:team/app:pull,push+repository:secret:pull&access_type=offline"))
	if got := a.granted(); got != "repository:team/app:pull,push" || a.claims.Who.User != "alice" || a.claims.Audience != "registry" {
		t.Errorf("%q for %+v", got, a.claims)
	}
	if a.Scope == nil || *a.Scope != a.granted() {
		t.Errorf("scope is %v", a.Scope)
	}
	if a.RefreshToken == nil || f.refresh.tokens[*a.RefreshToken] != "alice for registry" || f.refresh.client != "docker" {
		t.Errorf("refresh token %v of %+v", a.RefreshToken, f.refresh)
	}
	a = ok(t, f.post(t, signIn+"&access_type=online"))
	if a.RefreshToken != nil || a.Scope == nil || *a.Scope != "" {
		t.Errorf("refresh token %v, scope %v", a.RefreshToken, a.Scope)
	}
}

func TestRefreshGrant(t *testing.T) {
	t.Parallel()
	f := newFixture(rules(t))
	first := ok(t, f.get(t, "service=registry&offline_token=true&client_id=docker&account=alice", "alice"))
	asked := len(f.asked)
	for range 2 { // it is not used up
		a := ok(t, f.post(t, form("grant_type", "refresh_token", "refresh_token", *first.RefreshToken,
			"service", "registry", "client_id", "docker", "scope", "repository:team/app:pull")))
		if a.granted() != "repository:team/app:pull" || a.claims.Who.User != "alice" || a.RefreshToken == nil || *a.RefreshToken != *first.RefreshToken {
			t.Errorf("%q for %+v, refresh token %v", a.granted(), a.claims.Who, a.RefreshToken)
		}
	}
	if len(f.asked) != asked {
		t.Errorf("passwords were asked for: %v", f.asked)
	}
}

func TestMalloryRefreshes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ token, service string }{
		"in another service": {"alices", "moorgate"},
		"by guessing":        {"refresh-0", "registry"},
		"with a long text":   {strings.Repeat("a", 4097), "registry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(access.SignedIn())
			f.refresh.tokens["alices"] = "alice for registry"
			f.refresh.tokens[strings.Repeat("a", 4097)] = "alice for registry"
			b := refused(t, f.post(t, form("grant_type", "refresh_token", "refresh_token", tt.token, "service", tt.service)), http.StatusUnauthorized, "UNAUTHORIZED")
			if b.Error != "invalid_grant" {
				t.Errorf("she is told %q", b.Error)
			}
			if len(f.records) != 1 || f.records[0].Outcome != audit.LoginFailed || f.records[0].Operation != "token" || strings.Contains(f.records[0].Rule, tt.token) {
				t.Errorf("the records are %+v", f.records)
			}
		})
	}
}

func TestRefreshFails(t *testing.T) {
	t.Parallel()
	f := newFixture(access.Open())
	f.refresh.tokens["r"] = " for registry" // of nobody
	request := form("grant_type", "refresh_token", "refresh_token", "r", "service", "registry")
	refused(t, f.post(t, request), http.StatusUnauthorized, "UNAUTHORIZED")

	f.refresh.err = errors.New("secret of the disk")
	if b := refused(t, f.post(t, request), http.StatusServiceUnavailable, "UNAVAILABLE"); b.Error != "temporarily_unavailable" || strings.Contains(b.Description, "secret") {
		t.Errorf("the client is told %+v", b)
	}
	f.Refresh = nil
	if b := refused(t, f.post(t, request), http.StatusBadRequest, "BAD_REQUEST"); b.Error != "unsupported_grant_type" {
		t.Errorf("the client is told %+v", b)
	}
}

func TestBadForms(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body, query, mediaType, authorization string
		status                                int
		err                                   string
	}{
		"wrong password":          {body: strings.Replace(signIn, "s+password", "+", 1), status: 401, err: "invalid_grant"},
		"unknown user":            {body: "grant_type=password&username=nobody&password=x&service=registry", status: 401, err: "invalid_grant"},
		"busy":                    {body: "grant_type=password&username=busy&password=x&service=registry", status: 429, err: "temporarily_unavailable"},
		"no grant type":           {body: "service=registry", err: "invalid_request"},
		"nothing":                 {err: "invalid_request"},
		"no password":             {body: "grant_type=password&username=alice&service=registry", err: "invalid_request"},
		"no user":                 {body: "grant_type=password&password=x&service=registry", err: "invalid_request"},
		"no refresh token":        {body: "grant_type=refresh_token&service=registry", err: "invalid_request"},
		"client credentials":      {body: "grant_type=client_credentials&service=registry", err: "unsupported_grant_type"},
		"authorization code":      {body: "grant_type=authorization_code&code=x&service=registry", err: "unsupported_grant_type"},
		"unknown service":         {body: strings.Replace(signIn, "service=registry", "service=%22%5Cé", 1), err: "invalid_request"},
		"no service of two":       {body: strings.Replace(signIn, "&service=registry", "", 1), err: "invalid_request"},
		"service in the query":    {body: strings.Replace(signIn, "&service=registry", "", 1), query: "service=registry", err: "invalid_request"},
		"bad scope":               {body: signIn + "&scope=everything", err: "invalid_scope"},
		"user twice":              {body: signIn + "&username=bob", err: "invalid_request"},
		"password twice":          {body: signIn + "&password=x", err: "invalid_request"},
		"grant type twice":        {body: signIn + "&grant_type=password", err: "invalid_request"},
		"password in the query":   {body: signIn, query: "password=x", err: "invalid_request"},
		"refresh in the query":    {body: signIn, query: "refresh_token=x", err: "invalid_request"},
		"query that is none":      {body: signIn, query: "%zz", err: "invalid_request"},
		"long query":              {body: signIn, query: strings.Repeat("a", 17<<10), err: "invalid_request"},
		"an Authorization header": {body: signIn, authorization: "Basic YTpi", err: "invalid_request"},
		"JSON":                    {body: `{"grant_type":"password"}`, mediaType: "application/json", err: "invalid_request"},
		"several parts":           {body: signIn, mediaType: "multipart/form-data; boundary=x", err: "invalid_request"},
		"no media type":           {body: signIn, mediaType: "-", err: "invalid_request"},
		"long body":               {body: signIn + "&x=" + strings.Repeat("a", 64<<10), err: "invalid_request"},
		"bad escapes":             {body: signIn + "&x=%zz", err: "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(access.Open())
			f.login["busy"] = authn.ErrBusy
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/token?"+tt.query, strings.NewReader(tt.body))
			switch tt.mediaType {
			case "":
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			case "-":
			default:
				r.Header.Set("Content-Type", tt.mediaType)
			}
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			code := map[int]string{0: "BAD_REQUEST", 401: "UNAUTHORIZED", 429: "TOOMANYREQUESTS"}[tt.status]
			b := refused(t, f.do(r), max(tt.status, 400), code)
			if b.Error != tt.err || !describable.MatchString(b.Description) {
				t.Errorf("the client is told %q: %q", b.Error, b.Description)
			}
			if tt.status == 0 && len(f.asked) > 0 {
				t.Error("a password was asked for")
			}
		})
	}
}

// The bound of the body holds also where its length is not announced.
func TestEndlessBody(t *testing.T) {
	t.Parallel()
	f := newFixture(access.Open())
	endless := &counter{}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/token", endless)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.ContentLength = -1
	refused(t, f.do(r), http.StatusBadRequest, "BAD_REQUEST")
	if endless.n > 256<<10 {
		t.Errorf("%d bytes were read", endless.n)
	}
}

// counter is a body without end.
type counter struct{ n int }

func (c *counter) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	c.n += len(p)
	return len(p), nil
}

var _ io.Reader = (*counter)(nil)
