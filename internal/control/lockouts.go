package control

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/moorgate/moorgate/internal/lockout"
)

// Lockouts are who has to wait after wrong passwords; *lockout.Guard has them.
type Lockouts interface {
	List() []lockout.Lock
	ClearUser(user string) int
	ClearAddress(address netip.Addr) int
	ClearAll() int
}

// Answers.
type (
	lockList struct {
		Locks []lockout.Lock `json:"locks"`
	}
	cleared struct {
		Cleared int `json:"cleared"`
	}
)

var errNoLockouts = fmt.Errorf("%w: it locks nobody out", errAbsent)

func (h *Handler) listLockouts(*http.Request) (any, error) {
	if h.Lockouts == nil {
		return nil, errNoLockouts
	}
	list := h.Lockouts.List()
	if list == nil {
		list = []lockout.Lock{}
	}
	return lockList{list}, nil
}

// clearLockouts forgets the wrong passwords of a user, of an address, or all.
func (h *Handler) clearLockouts(r *http.Request) (any, error) {
	q := r.URL.Query()
	user, text := q.Get("user"), q.Get("address")
	address, err := netip.ParseAddr(text)
	var n int
	var what string
	switch {
	case h.Lockouts == nil:
		return nil, errNoLockouts
	case len(q) != 1:
		return nil, fmt.Errorf("%w: name a user, an address, or all", errBad)
	case user != "":
		n, what = h.Lockouts.ClearUser(user), fmt.Sprintf("%q", user)
	case text != "" && err != nil:
		return nil, fmt.Errorf("%w: %q is no address such as 192.0.2.1", errBad, text)
	case text != "":
		n, what = h.Lockouts.ClearAddress(address), address.String()
	case q.Get("all") == "true":
		n, what = h.Lockouts.ClearAll(), "everybody"
	default:
		return nil, fmt.Errorf("%w: whose wrong passwords?", errBad)
	}
	h.record(r.Context(), opLockoutClear, fmt.Sprintf("wrong passwords of %s forgotten: %d counts", what, n))
	return cleared{n}, nil
}

// Lockouts returns who has to wait after wrong passwords, or would with the next one.
func (c *Client) Lockouts(ctx context.Context) ([]lockout.Lock, error) {
	list, err := ask[lockList](ctx, c, http.MethodGet, "/lockouts")
	return list.Locks, err
}

// ClearUser forgets the wrong passwords of a user and returns how many counts that
// were: those of ClearAddress and ClearAll are counted alike.
func (c *Client) ClearUser(ctx context.Context, user string) (int, error) {
	return c.clearLockouts(ctx, url.Values{"user": {user}})
}

// ClearAddress forgets the wrong passwords that came from an address.
func (c *Client) ClearAddress(ctx context.Context, address netip.Addr) (int, error) {
	return c.clearLockouts(ctx, url.Values{"address": {address.String()}})
}

// ClearAll forgets all wrong passwords.
func (c *Client) ClearAll(ctx context.Context) (int, error) {
	return c.clearLockouts(ctx, url.Values{"all": {"true"}})
}

func (c *Client) clearLockouts(ctx context.Context, whose url.Values) (int, error) {
	done, err := ask[cleared](ctx, c, http.MethodDelete, "/lockouts?"+whose.Encode())
	return done.Cleared, err
}
