package app

import (
	"errors"
	"net/http"

	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
)

// relief passes requests on, and asks for space when one found none: the client
// comes again.
type relief struct {
	next gate.Handler
	wake func() // does not wait
}

var _ gate.Handler = (*relief)(nil)

// ServeOCI passes the request on.
func (h *relief) ServeOCI(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	err := h.next.ServeOCI(w, r, c)
	if errors.Is(err, oci.ErrNoSpace) {
		h.wake()
	}
	return err
}
