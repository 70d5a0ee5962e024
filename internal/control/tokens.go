package control

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/moorgate/moorgate/internal/refresh"
)

// errBad says that a request is wrong.
var errBad = errors.New("bad request")

var errNoTokens = fmt.Errorf("%w: it issues no refresh tokens", errAbsent)

func (h *Handler) listTokens(r *http.Request) (any, error) {
	if h.RefreshTokens == nil {
		return nil, errNoTokens
	}
	list, err := h.RefreshTokens.List(r.Context(), r.URL.Query().Get("user"))
	if list == nil {
		list = []refresh.Entry{}
	}
	return tokenList{list}, err
}

func (h *Handler) revokeToken(r *http.Request) (any, error) {
	if h.RefreshTokens == nil {
		return nil, errNoTokens
	}
	id := r.PathValue("id")
	if err := h.RefreshTokens.Revoke(r.Context(), id); err != nil {
		return nil, err
	}
	h.record(r.Context(), opTokenRevoke, "refresh token "+id)
	return revoked{1}, nil
}

func (h *Handler) revokeUser(r *http.Request) (any, error) {
	user := r.URL.Query().Get("user")
	switch {
	case h.RefreshTokens == nil:
		return nil, errNoTokens
	case user == "":
		return nil, fmt.Errorf("%w: whose tokens?", errBad)
	}
	n, err := h.RefreshTokens.RevokeUser(r.Context(), user)
	if err != nil {
		return nil, err
	}
	h.record(r.Context(), opTokenRevoke, fmt.Sprintf("all refresh tokens of %s: %d", user, n))
	return revoked{n}, nil
}
