package control

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/moorgate/moorgate/internal/process"
)

// Status is what a server says about itself.
type Status struct {
	Version string    `json:"version"`
	Role    string    `json:"role"` // serve, proxy or token
	PID     int       `json:"pid"`
	Started time.Time `json:"started"` // UTC
	Uptime  int64     `json:"uptime_seconds"`
	process.Usage
}

var errNoStatus = fmt.Errorf("%w: it tells nothing about itself", errAbsent)

func (h *Handler) status(*http.Request) (any, error) {
	if h.Status == nil {
		return nil, errNoStatus
	}
	return h.Status(), nil
}

// Status returns how the server is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "/status")
}
