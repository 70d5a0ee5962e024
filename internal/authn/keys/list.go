package keys

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
)

// Entry is a key as the operator sees it: without its secret.
type Entry struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Robot    bool      `json:"robot"`
	User     string    `json:"user,omitempty"`   // of a personal key
	Source   string    `json:"source,omitempty"` // of that user
	May      []string  `json:"may"`              // empty: all that its owner may, but admin
	Created  time.Time `json:"created_at"`
	SecretAt time.Time `json:"secret_at"`                 // when its secret was made
	OldUntil time.Time `json:"old_secret_until,omitzero"` // while the secret before is good too
	Expires  time.Time `json:"expires,omitzero"`          // never, if it is absent
	Expired  bool      `json:"expired"`
	Used     time.Time `json:"used_at,omitzero"`
}

// Made is a new secret of a key. It is shown once: nobody can read it again.
type Made struct {
	Entry
	Secret string `json:"key"`
}

// List returns all keys, or those of one user: robots first, then by user and name.
func (k *Keys) List(ctx context.Context, user string) ([]Entry, error) {
	var stored []meta.Key
	err := k.Meta.View(ctx, func(tx meta.Tx) (err error) {
		stored, err = all(tx)
		return err
	})
	if err != nil {
		return nil, managing("list keys", err)
	}
	list := make([]Entry, 0, len(stored))
	for _, s := range stored {
		if user == "" || s.User == user {
			list = append(list, k.entry(s))
		}
	}
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Name, b.Name))
	})
	return list, nil
}

// entry shows a key. The last use may be one that is not written yet.
func (k *Keys) entry(s meta.Key) Entry {
	now := k.now()
	e := Entry{
		ID: s.ID, Name: s.Name, Robot: s.User == "" && s.Source == "", User: s.User, Source: s.Source, May: append([]string{}, s.May...),
		Created: s.CreatedAt, SecretAt: s.SecretAt, Expires: s.ExpiresAt, Used: s.UsedAt, Expired: (&entry{stored: s}).over(now),
	}
	if now.Before(s.OldUntil) {
		e.OldUntil = s.OldUntil
	}
	if used := k.uses.last(s.ID); used.After(e.Used) {
		e.Used = used.UTC()
	}
	return e
}
