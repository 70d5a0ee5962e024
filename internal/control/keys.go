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
	if err != nil {
		return nil, err
	}
	h.record(r.Context(), opKeyRotate, told(done))
	return done, nil
}

// told says what a rotation did.
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
