package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/authn/keys"
)

// AccessKeys are what robots and people sign in with to a server; *keys.Keys are.
type AccessKeys interface {
	List(ctx context.Context, user string) ([]keys.Entry, error)
	Create(ctx context.Context, r keys.Request) (keys.Made, error)
	Rotate(ctx context.Context, ref keys.Ref, overlap time.Duration, life *time.Duration) (keys.Made, error)
	Revoke(ctx context.Context, ref keys.Ref) (keys.Entry, error)
}

var errNoAccessKeys = fmt.Errorf("%w: nobody signs in here", errAbsent)

type accessKeyList struct {
	Keys []keys.Entry `json:"keys"`
}

func (h *Handler) listAccessKeys(r *http.Request) (any, error) {
	if h.AccessKeys == nil {
		return nil, errNoAccessKeys
	}
	list, err := h.AccessKeys.List(r.Context(), r.URL.Query().Get("user"))
	if list == nil {
		list = []keys.Entry{}
	}
	return accessKeyList{list}, err
}

func (h *Handler) createAccessKey(r *http.Request) (any, error) {
	if h.AccessKeys == nil {
		return nil, errNoAccessKeys
	}
	q := r.URL.Query()
	life, err := duration(q, "life")
	if err != nil {
		return nil, err
	}
	made, err := h.AccessKeys.Create(r.Context(), keys.Request{
		Name: q.Get("name"), User: q.Get("user"), Source: q.Get("source"), May: q["may"], Life: life,
	})
	if err != nil {
		return nil, err
	}
	h.record(r.Context(), opAccessKeyCreate, "made "+described(made.Entry))
	return made, nil
}

func (h *Handler) rotateAccessKey(r *http.Request) (any, error) {
	if h.AccessKeys == nil {
		return nil, errNoAccessKeys
	}
	q := r.URL.Query()
	overlap, err := duration(q, "overlap")
	if err != nil {
		return nil, err
	}
	var life *time.Duration
	if q.Has("life") {
		d, err := duration(q, "life")
		if err != nil {
			return nil, err
		}
		life = &d
	}
	made, err := h.AccessKeys.Rotate(r.Context(), refOf(r), overlap, life)
	if err != nil {
		return nil, err
	}
	old := "the old one is good no more"
	if !made.OldUntil.IsZero() {
		old = "the old one is good until " + made.OldUntil.UTC().Format(time.RFC3339)
	}
	h.record(r.Context(), opAccessKeyRotate, fmt.Sprintf("made another secret (%s) for %s", old, described(made.Entry)))
	return made, nil
}

func (h *Handler) revokeAccessKey(r *http.Request) (any, error) {
	if h.AccessKeys == nil {
		return nil, errNoAccessKeys
	}
	e, err := h.AccessKeys.Revoke(r.Context(), refOf(r))
	if err != nil {
		return nil, err
	}
	h.record(r.Context(), opAccessKeyRevoke, "revoked "+described(e))
	return e, nil
}

func refOf(r *http.Request) keys.Ref {
	q := r.URL.Query()
	return keys.Ref{Key: q.Get("key"), User: q.Get("user"), Source: q.Get("source")}
}

// duration reads a parameter that must be there.
func duration(q url.Values, name string) (time.Duration, error) {
	d, err := time.ParseDuration(q.Get(name))
	if err != nil {
		return 0, fmt.Errorf("%w: %s is not a duration", errBad, name)
	}
	return d, nil
}

// called names a key to the audit.
func called(e keys.Entry) string {
	if e.Robot {
		return fmt.Sprintf("key %s, robot %s", e.ID, e.Name)
	}
	return fmt.Sprintf("key %s, %s of %s:%s", e.ID, e.Name, e.Source, e.User)
}

// described is called with what the key is worth: that must be known when it is gone.
func described(e keys.Entry) string {
	may := "all that its owner may, but admin"
	if len(e.May) > 0 {
		may = strings.Join(e.May, " ")
	}
	end := "never expires"
	if !e.Expires.IsZero() {
		end = "expires " + e.Expires.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s, %s, may %s", called(e), end, may) // cut at its end, if it is too long
}

// AccessKeys returns the keys of a user, or all if user is "".
func (c *Client) AccessKeys(ctx context.Context, user string) ([]keys.Entry, error) {
	list, err := ask[accessKeyList](ctx, c, http.MethodGet, "/access-keys"+ofUser(user))
	return list.Keys, err
}

// CreateAccessKey makes a key.
func (c *Client) CreateAccessKey(ctx context.Context, r keys.Request) (keys.Made, error) {
	q := url.Values{"name": {r.Name}, "may": r.May, "life": {r.Life.String()}}
	return ask[keys.Made](ctx, c, http.MethodPost, "/access-keys?"+owned(q, r.User, r.Source))
}

// RotateAccessKey makes another secret for a key, as keys.Keys.Rotate does.
func (c *Client) RotateAccessKey(ctx context.Context, ref keys.Ref, overlap time.Duration, life *time.Duration) (keys.Made, error) {
	q := url.Values{"key": {ref.Key}, "overlap": {overlap.String()}}
	if life != nil {
		q.Set("life", life.String())
	}
	return ask[keys.Made](ctx, c, http.MethodPut, "/access-keys?"+owned(q, ref.User, ref.Source))
}

// RevokeAccessKey ends a key.
func (c *Client) RevokeAccessKey(ctx context.Context, ref keys.Ref) (keys.Entry, error) {
	q := url.Values{"key": {ref.Key}}
	return ask[keys.Entry](ctx, c, http.MethodDelete, "/access-keys?"+owned(q, ref.User, ref.Source))
}

// owned adds the owner of a key.
func owned(q url.Values, user, source string) string {
	for name, value := range map[string]string{"user": user, "source": source} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q.Encode()
}
