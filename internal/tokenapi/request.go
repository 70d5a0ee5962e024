package tokenapi

import (
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/session"
)

// Bounds of a request, in bytes.
const (
	maxQuery   = 16 << 10
	maxBody    = 64 << 10
	maxName    = 255 // of service, client_id and account
	maxRefresh = 4096
)

// The grant types that there are (RFC 6749, sections 4.3 and 6).
const (
	passwordGrant = "password"
	refreshGrant  = "refresh_token"
)

// request is what a client asks for.
type request struct {
	grantType string // passwordGrant or refreshGrant; "" for GET
	user      string // with passwordGrant
	password  string
	refresh   string // with refreshGrant

	service string // a key of API.Services, or session.Audience with POST
	client  string // client_id, as the client calls itself
	offline bool   // it wants a refresh token
	scopes  []access.Grant
}

// parseGet reads a request of the first form of the protocol. Who asks stands in
// the Authorization header, or nowhere.
func (a *API) parseGet(r *http.Request) (*request, error) {
	p, err := parseParams(r.URL.RawQuery, maxQuery)
	if err != nil {
		return nil, err
	}
	if err := noSecrets(p); err != nil {
		return nil, err
	}
	account := p.Get("account")
	// Without a password the account is no claim to be anybody: some clients send
	// the name that they are configured with.
	if user, _, ok := r.BasicAuth(); ok && account != "" && account != user {
		return nil, badRequest("account is not the user who signs in: leave it out, or send the same name")
	}
	q := &request{offline: p.Get("offline_token") == "true"}
	return q, a.fill(q, p)
}

// parsePost reads a request of the OAuth2 form of the protocol. All of it stands
// in the body; what the realm's URL brings in the query is not looked at.
func (a *API) parsePost(w http.ResponseWriter, r *http.Request) (*request, error) {
	p, err := parseForm(w, r)
	if err != nil {
		return nil, err
	}
	q := &request{
		grantType: p.Get("grant_type"),
		user:      p.Get("username"), password: p.Get("password"),
		refresh: p.Get("refresh_token"),
		offline: p.Get("access_type") == "offline",
	}
	switch {
	case q.grantType == "":
		return nil, badRequest("grant_type is missing: send password or refresh_token")
	case q.grantType == passwordGrant && (q.user == "" || q.password == ""):
		return nil, badRequest("username or password is missing")
	case q.grantType == refreshGrant && q.refresh == "":
		return nil, badRequest("refresh_token is missing")
	case q.grantType != passwordGrant && q.grantType != refreshGrant:
		return nil, &oauthError{"unsupported_grant_type", badRequest("this grant_type is not supported: send password or refresh_token")}
	}
	return q, a.fill(q, p)
}

// parseForm reads the body of a POST.
func parseForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	query, err := parseParams(r.URL.RawQuery, maxQuery)
	if err != nil {
		return nil, err
	}
	if err := noSecrets(query); err != nil {
		return nil, err
	}
	if len(r.Header.Values("Authorization")) > 0 {
		return nil, badRequest("a POST brings its credentials in the body: leave out the Authorization header")
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, badRequest("the body must be a form: send it as application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, badRequest("the form cannot be read: send at most %d bytes", maxBody).Because(err)
	}
	return parseParams(string(body), maxBody)
}

// fill reads what both forms have in common.
func (a *API) fill(q *request, p url.Values) error {
	for _, name := range []string{"service", "client_id", "account"} {
		if len(p.Get(name)) > maxName {
			return badRequest("%s is longer than %d bytes", name, maxName)
		}
	}
	q.service, q.client = p.Get("service"), p.Get("client_id")
	if strings.ContainsFunc(q.client, func(c rune) bool { return c < ' ' || c > '~' }) { // RFC 6749, appendix A.1
		return badRequest("client_id has characters that are not printable ASCII")
	}
	if q.service == "" && len(a.Services) == 1 {
		q.service = slices.Collect(maps.Keys(a.Services))[0]
	}
	if q.service == session.Audience {
		return a.checkSession(q, p)
	}
	if _, ok := a.Services[q.service]; !ok {
		return badRequest("this server gives out no tokens for the service %q: its name must be the same in the registry's configuration and in this server's", q.service)
	}
	var err error
	// Several scopes come as several parameters, as one with spaces, or both.
	if q.scopes, err = access.ParseGrants(strings.Join(p["scope"], " ")); err != nil {
		return &oauthError{"invalid_scope", badRequest("the scope cannot be read: %v", err)}
	}
	return nil
}

// parseParams reads parameters of which each but scope is given once (RFC 6749,
// section 3.2): two readers could differ about which one counts.
func parseParams(text string, limit int) (url.Values, error) {
	if len(text) > limit {
		return nil, badRequest("the parameters have %d bytes, at most %d are allowed: ask for fewer scopes", len(text), limit)
	}
	p, err := url.ParseQuery(text)
	if err != nil {
		return nil, badRequest("the parameters cannot be read: encode them as a form").Because(err)
	}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if len(p[name]) > 1 && name != "scope" {
			return nil, badRequest("the parameter %.80q is given twice", name)
		}
	}
	return p, nil
}

// noSecrets refuses secrets in a URL, which stand in the logs of everybody on
// the way.
func noSecrets(query url.Values) error {
	for _, name := range []string{"password", "refresh_token"} {
		if query.Has(name) {
			return badRequest("%s does not belong into a URL, where logs keep it: sign in with an Authorization header or with POST, and change it", name)
		}
	}
	return nil
}

func badRequest(format string, args ...any) *oci.Error {
	return oci.Errorf(oci.BadRequest, format, args...)
}
