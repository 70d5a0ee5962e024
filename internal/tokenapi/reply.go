package tokenapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/wire"
)

// tokenBody is the answer with a token (Docker token specification, "Token
// Response Fields"; RFC 6749, section 5.1).
type tokenBody struct {
	Token        string  `json:"token"`
	AccessToken  string  `json:"access_token"` // the same: some clients read only one of them
	TokenType    string  `json:"token_type"`
	ExpiresIn    int64   `json:"expires_in"` // seconds
	IssuedAt     string  `json:"issued_at"`  // RFC 3339, UTC
	Scope        *string `json:"scope,omitempty"`
	RefreshToken string  `json:"refresh_token,omitempty"`
	Account      string  `json:"account,omitempty"` // of a session: the user name to send with it
}

func (a *API) reply(w http.ResponseWriter, r *http.Request, t *issued) {
	body := tokenBody{
		Token: t.token, AccessToken: t.token, TokenType: "Bearer",
		ExpiresIn: int64(t.life / time.Second), IssuedAt: t.issuedAt.Format(time.RFC3339),
		RefreshToken: t.refresh, Account: t.account,
	}
	if r.Method == http.MethodPost { // required there, even if it is empty
		scope := scopeText(t.access)
		body.Scope = &scope
	}
	_ = wire.JSON(w, http.StatusOK, wire.JSONType, body) // strings and numbers are JSON
}

// scopeText is a list of scopes as clients write it.
func scopeText(grants []access.Grant) string {
	list := make([]string, len(grants))
	for i, g := range grants {
		list[i] = g.String()
	}
	return strings.Join(list, " ")
}

// oauthError is an error for which OAuth2 has a word.
type oauthError struct {
	code string // RFC 6749, section 5.2
	err  error
}

func (e *oauthError) Error() string { return e.err.Error() }
func (e *oauthError) Unwrap() error { return e.err }

// oauthBody is an error as OAuth2 clients read it, and registry clients too.
type oauthBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	wire.ErrorList
}

// refuse answers with an error. Wrong credentials are 401 in both forms of the
// protocol: RFC 6749 asks for 400 on POST, but clients of registries take only a
// 401 for "log in again".
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	h := w.Header()
	if errors.Is(err, oci.ErrUnauthorized) {
		h.Set("WWW-Authenticate", fmt.Sprintf(`Basic realm=%q, charset="UTF-8"`, a.Issuer))
	}
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		// Or net/http would wait for the rest of the body before it answers.
		h.Set("Connection", "close")
	}
	if r.Method != http.MethodPost {
		wire.Error(w, r, a.Log, err)
		return
	}
	status, list := wire.Describe(r, err)
	wire.LogFault(r, a.Log, status, err)
	wire.SetRetryAfter(w, r, err)
	body := oauthBody{Error: oauthCode(err, status), Description: description(list.Errors[0].Message), ErrorList: list}
	if wire.JSON(w, status, wire.JSONType, body) != nil { // a detail that is not JSON: a mistake of ours
		wire.Error(w, r, a.Log, err)
	}
}

// oauthCode returns the word of OAuth2 for an error (RFC 6749, sections 5.2 and
// 4.1.2.1 where the former has none).
func oauthCode(err error, status int) string {
	var known *oauthError
	switch {
	case errors.As(err, &known):
		return known.code
	case status == http.StatusUnauthorized:
		return "invalid_grant"
	case status == http.StatusForbidden:
		return "access_denied"
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	case status >= http.StatusInternalServerError:
		return "server_error"
	default:
		return "invalid_request"
	}
}

// description is a message in the characters that error_description may have
// (RFC 6749, section 5.2): printable ASCII without quotes and backslashes.
func description(message string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '"':
			return '\''
		case c < ' ' || c > '~' || c == '\\':
			return '?'
		default:
			return c
		}
	}, message)
}
