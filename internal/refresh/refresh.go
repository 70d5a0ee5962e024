// Package refresh keeps refresh tokens: what a client stores instead of a
// password, to get short tokens with (RFC 6749, section 1.5).
package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/meta"
)

// ErrInvalid says that a refresh token is unknown, expired, revoked, not for this
// service, or that its user is gone or has another password.
var ErrInvalid = errors.New("the refresh token is not valid")

// Tokens issues and redeems refresh tokens. It keeps only their hashes. It may
// be used at once by many; its fields are set before.
//
// Nothing runs in the background: expired tokens go when others are issued.
type Tokens struct {
	Meta       meta.Store
	Users      authn.Directory
	TTL        time.Duration // after the last use
	Now        func() time.Time
	MaxPerUser int // of one source; 100 if 0
}

const (
	defaultMaxPerUser = 100

	// sweep is how many expired tokens go whenever one is issued: more than come,
	// so that they become fewer, and few enough for one transaction.
	sweep = 100

	// touchAfter is how old the note of the last use gets, at most, before a use
	// renews it, so that a use does not mean a write.
	touchAfter = time.Hour
)

// Entry is a refresh token as the operator sees it: without its secret.
type Entry struct {
	ID       string    `json:"id"`
	User     string    `json:"user"`
	Source   string    `json:"source"`
	Service  string    `json:"service"`
	Client   string    `json:"client"` // client_id, as the client called itself
	IssuedAt time.Time `json:"issued_at"`
	UsedAt   time.Time `json:"used_at"` // within an hour
	Expires  time.Time `json:"expires"`
}

// Issue returns a new refresh token for a user who has just signed in. If the
// user has MaxPerUser already, those go that were not used for the longest time:
// a client that asks for a new one at each run never locks its user out.
//
// The token is bound to the password that the user has now, which may be another
// than the one just verified: whoever verified it does so once more after Issue,
// and hands out the token only then. One that nobody got does no harm.
//
// Who came with a key gets none: it would be worth as much as the password of the
// owner, and the key can be kept as well.
//
// Errors: authn.ErrNoMatch if the user is gone; authn.ErrCannotTell if there are none
// for this user, whose source cannot be asked later, or for keys.
func (t *Tokens) Issue(ctx context.Context, who access.Identity, service, client string) (string, error) {
	if who.IsAnonymous() {
		return "", errors.New("nobody is signed in, and a refresh token is for a user: sign in first")
	}
	if who.With != nil {
		return "", fmt.Errorf("%w: %q came with a key, from which no refresh token is made", authn.ErrCannotTell, who.User)
	}
	_, stamp, err := t.Users.Lookup(ctx, who.Source, who.User)
	if err != nil {
		return "", fmt.Errorf("look up %q for a refresh token: %w", who.User, err)
	}
	s, now := newSecret(), t.Now()
	token := meta.RefreshToken{
		ID: s.id, Hash: s.hash(), Source: who.Source, User: who.User, Stamp: bind(who.Source, who.User, stamp),
		Service: service, Client: printable(client), IssuedAt: now, UsedAt: now, ExpiresAt: now.Add(t.TTL),
	}
	err = t.Meta.Update(ctx, func(tx meta.Tx) error {
		if _, err := tx.DeleteExpiredRefreshTokens(now, sweep); err != nil {
			return err
		}
		if err := t.makeRoom(tx, who); err != nil {
			return err
		}
		return tx.SaveRefreshToken(token)
	})
	if err != nil {
		return "", fmt.Errorf("store a refresh token: %w", err)
	}
	return s.String(), nil
}

// makeRoom removes tokens of a user until one more is not too many.
func (t *Tokens) makeRoom(tx meta.Tx, who access.Identity) error {
	most := t.MaxPerUser
	if most <= 0 {
		most = defaultMaxPerUser
	}
	n, err := tx.CountRefreshTokens(who.Source, who.User)
	if err != nil || n < most {
		return err
	}
	own, err := all(tx, who.User)
	if err != nil {
		return err
	}
	own = slices.DeleteFunc(own, func(r meta.RefreshToken) bool { return r.Source != who.Source })
	slices.SortFunc(own, func(a, b meta.RefreshToken) int { return a.UsedAt.Compare(b.UsedAt) })
	for _, r := range own[:max(0, len(own)-most+1)] {
		if err := tx.DeleteRefreshToken(r.ID); err != nil {
			return err
		}
	}
	return nil
}

// List returns all tokens that have not expired, or those of one user, oldest
// first.
func (t *Tokens) List(ctx context.Context, user string) ([]Entry, error) {
	var stored []meta.RefreshToken
	err := t.Meta.View(ctx, func(tx meta.Tx) (err error) {
		stored, err = all(tx, user)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list refresh tokens: %w", err)
	}
	// By ID where two are as old, which is the order they come in.
	slices.SortStableFunc(stored, func(a, b meta.RefreshToken) int { return a.IssuedAt.Compare(b.IssuedAt) })
	now := t.Now()
	entries := make([]Entry, 0, len(stored))
	for _, r := range stored {
		if now.Before(r.ExpiresAt) {
			entries = append(entries, entryOf(r))
		}
	}
	return entries, nil
}

// entryOf shows a token.
func entryOf(r meta.RefreshToken) Entry {
	return Entry{
		ID: r.ID, User: r.User, Source: r.Source, Service: r.Service, Client: r.Client,
		IssuedAt: r.IssuedAt, UsedAt: r.UsedAt, Expires: r.ExpiresAt,
	}
}

// Revoke ends one token by its ID at once.
//
// Errors: ErrInvalid if there is none.
func (t *Tokens) Revoke(ctx context.Context, id string) error {
	if !isID(id) {
		return fmt.Errorf("%w: %.40q is not the ID of one", ErrInvalid, id)
	}
	err := t.Meta.Update(ctx, func(tx meta.Tx) error { return tx.DeleteRefreshToken(id) })
	if errors.Is(err, meta.ErrNotFound) {
		return fmt.Errorf("%w: there is none with the ID %s", ErrInvalid, id)
	}
	if err != nil {
		return fmt.Errorf("revoke refresh token %s: %w", id, err)
	}
	return nil
}

// End ends a token at once for whoever holds it (RFC 7009), and returns which one that
// was. One that is not valid has ended already, which is no error: then ok is false.
func (t *Tokens) End(ctx context.Context, token string) (ended Entry, ok bool, err error) {
	stored, err := t.find(ctx, token)
	if err == nil {
		err = t.Revoke(ctx, stored.ID)
	}
	switch {
	case errors.Is(err, ErrInvalid):
		return Entry{}, false, nil
	case err != nil:
		return Entry{}, false, err
	default:
		return entryOf(stored), true, nil
	}
}

// RevokeUser ends all tokens of a user, whatever their sources, and returns how
// many there were.
func (t *Tokens) RevokeUser(ctx context.Context, user string) (int, error) {
	if user == "" { // which would mean everybody
		return 0, errors.New("revoke refresh tokens: the user name is empty: name a user")
	}
	n := 0
	err := t.Meta.Update(ctx, func(tx meta.Tx) error {
		own, err := all(tx, user)
		if err != nil {
			return err
		}
		n = len(own)
		for _, r := range own {
			if err := tx.DeleteRefreshToken(r.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("revoke the refresh tokens of %q: %w", user, err)
	}
	return n, nil
}

// all returns the tokens of a user, or those of all users if user is "".
func all(tx meta.Tx, user string) ([]meta.RefreshToken, error) {
	const page = 1000
	var list []meta.RefreshToken
	for after := ""; ; after = list[len(list)-1].ID {
		next, err := tx.ListRefreshTokens(user, after, page)
		if err != nil {
			return nil, err
		}
		list = append(list, next...)
		if len(next) < page {
			return list, nil
		}
	}
}
