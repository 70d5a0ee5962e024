// Package control is the operator's door to a running server: a Unix socket in
// its data directory, which only the user of the server can open.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/refresh"
	"github.com/moorgate/moorgate/internal/token"
)

// RefreshTokens are the refresh tokens of a server; *refresh.Tokens are.
type RefreshTokens interface {
	List(ctx context.Context, user string) ([]refresh.Entry, error)
	Revoke(ctx context.Context, id string) error
	RevokeUser(ctx context.Context, user string) (int, error)
}

// Keys are the signing keys of a server; *token.Keys are.
type Keys interface {
	List() []token.KeyInfo
	Rotate() (token.Rotation, error)
	Revoke(id string) (token.Rotation, error)
}

// Handler answers the operator. What is nil is not there on this server, and
// the answer says so.
type Handler struct {
	RefreshTokens RefreshTokens
	Keys          Keys
	AccessKeys    AccessKeys
	RotateNow     func() (token.Rotation, error) // Rotate to a key that signs at once
	Status        func() Status
	Lockouts      Lockouts
	Ready         func() error // an error while no change could be recorded; nil: it always can
	Audit         audit.Func   // of changes; what is only looked at is not recorded
	Log           *slog.Logger
}

// Source is the access.Identity.Source of the operator in audit records.
const Source = "control"

// Operations in the audit records.
const (
	opTokenRevoke = "token-revoke"
	opKeyRotate   = "key-rotate"
	opKeyRevoke   = "key-revoke"

	opAccessKeyCreate = "access-key-create"
	opAccessKeyRotate = "access-key-rotate"
	opAccessKeyRevoke = "access-key-revoke"

	opLockoutClear = "lockout-clear"
)

// failure is the answer to a request that failed.
type failure struct {
	Error string `json:"error"`
}

// Answers and questions.
type (
	tokenList struct {
		Tokens []refresh.Entry `json:"tokens"`
	}
	keyList struct {
		Keys []token.KeyInfo `json:"keys"`
	}
	revoked struct {
		Revoked int `json:"revoked"`
	}
)

// errAbsent says that the server has no such part.
var errAbsent = errors.New("not on this server")

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.ready(r.Method); err != nil {
		answer(func(*http.Request) (any, error) { return nil, err }).ServeHTTP(w, r)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /status", answer(h.status))
	mux.Handle("GET /tokens", answer(h.listTokens))
	mux.Handle("DELETE /tokens", answer(h.revokeUser))
	mux.Handle("DELETE /tokens/{id}", answer(h.revokeToken))
	mux.Handle("GET /keys", answer(h.listKeys))
	mux.Handle("POST /keys", answer(h.rotate))
	mux.Handle("DELETE /keys/{id}", answer(h.revokeKey))
	mux.Handle("GET /access-keys", answer(h.listAccessKeys))
	mux.Handle("POST /access-keys", answer(h.createAccessKey))
	mux.Handle("PUT /access-keys", answer(h.rotateAccessKey))
	mux.Handle("DELETE /access-keys", answer(h.revokeAccessKey))
	mux.Handle("GET /lockouts", answer(h.listLockouts))
	mux.Handle("DELETE /lockouts", answer(h.clearLockouts))
	mux.ServeHTTP(w, r)
}

// errUnrecorded says that a change could not be recorded, and is not made.
var errUnrecorded = errors.New("this cannot be recorded now, so it is not done (audit.required): see to it that the audit can be written, and try again")

// ready returns an error for a change that could not be recorded.
func (h *Handler) ready(method string) error {
	if method == http.MethodGet || h.Ready == nil {
		return nil
	}
	if err := h.Ready(); err != nil {
		return fmt.Errorf("%w: %w", errUnrecorded, err)
	}
	return nil
}

// answer is a handler that answers with a value in JSON, or an error.
type answer func(*http.Request) (any, error)

func (f answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	value, err := f(r)
	if err != nil {
		status, value = statusOf(err), failure{err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // nobody is left to be told
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, errUnrecorded):
		return http.StatusServiceUnavailable
	case errors.Is(err, errAbsent):
		return http.StatusNotImplemented
	case errors.Is(err, errBad), errors.Is(err, keys.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, refresh.ErrInvalid), errors.Is(err, token.ErrUnknownKey), errors.Is(err, keys.ErrUnknown):
		return http.StatusNotFound
	default:
		return http.StatusInternalServerError
	}
}

// record tells the audit about a change.
func (h *Handler) record(ctx context.Context, operation, what string) {
	h.Audit(ctx, audit.Record{
		Who:       access.Identity{User: "operator", Source: Source},
		Scope:     access.Scope{Action: access.Admin},
		Operation: operation, Outcome: audit.Done, Detail: what,
	})
}
