package control

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/moorgate/moorgate/internal/token"
)

var errNoKeys = fmt.Errorf("%w: it signs no tokens", errAbsent)

func (h *Handler) listKeys(*http.Request) (any, error) {
	if h.Keys == nil {
		return nil, errNoKeys
	}
	return keyList{h.Keys.List()}, nil
}

func (h *Handler) rotate(r *http.Request) (any, error) {
	if h.Keys == nil {
		return nil, errNoKeys
	}
	rotate := h.Keys.Rotate
	switch now := r.URL.Query().Get("now"); {
	case now == "":
	case now != "true":
		return nil, fmt.Errorf("%w: now is true or absent", errBad)
	case h.RotateNow == nil:
		return nil, fmt.Errorf("%w: its keys change with an overlap only", errAbsent)
	default:
		rotate = h.RotateNow
	}
	done, err := rotate()
	return h.changed(r, opKeyRotate, done, err)
}

func (h *Handler) revokeKey(r *http.Request) (any, error) {
	if h.Keys == nil {
		return nil, errNoKeys
	}
	done, err := h.Keys.Revoke(r.PathValue("id"))
	return h.changed(r, opKeyRevoke, done, err)
}

// changed records what was done, also where it failed in the middle.
func (h *Handler) changed(r *http.Request, operation string, done token.Rotation, err error) (any, error) {
	if what := told(done); what != "" {
		h.record(r.Context(), operation, what)
	}
	return done, err
}

// told says what was done to keys; "" if nothing was.
func told(done token.Rotation) string {
	var parts []string
	if done.Made != nil {
		parts = append(parts, "made signing key "+done.Made.ID)
	}
	for _, k := range done.Removed {
		parts = append(parts, "removed "+k.ID)
	}
	return strings.Join(parts, ", ")
}
