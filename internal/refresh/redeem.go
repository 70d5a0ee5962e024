package refresh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/meta"
)

// Redeem returns the present identity of whom the token was issued to. The token
// stays good for another TTL, less an hour at most. One whose user is gone or has
// another password is removed: it does not come back to life with them.
//
// Errors: ErrInvalid, with the reason behind it, which is for the log alone. Any
// other error says nothing about the token: the client should keep it.
func (t *Tokens) Redeem(ctx context.Context, token, service string) (access.Identity, error) {
	now := t.Now()
	stored, err := t.find(ctx, token)
	if err != nil {
		return access.Identity{}, err
	}
	switch {
	case !now.Before(stored.ExpiresAt):
		return access.Identity{}, invalid(stored, "it has expired at %s", stored.ExpiresAt.Format(time.RFC3339))
	case stored.Service != service:
		return access.Identity{}, invalid(stored, "it is for %q, not for %q", stored.Service, service)
	}
	who, stamp, err := t.Users.Lookup(ctx, stored.Source, stored.User)
	switch {
	case errors.Is(err, authn.ErrNoMatch):
		return access.Identity{}, t.end(ctx, stored, "its user is gone")
	case errors.Is(err, authn.ErrCannotTell):
		return access.Identity{}, t.end(ctx, stored, "nobody can tell whether its user is still there: "+stored.Source+" is no source here that can be asked")
	case err != nil:
		return access.Identity{}, fmt.Errorf("look up %q of refresh token %s: %w", stored.User, stored.ID, err)
	case !bytes.Equal(stored.Stamp, bind(stored.Source, stored.User, stamp)):
		return access.Identity{}, t.end(ctx, stored, "its user has another password")
	}
	if now.Sub(stored.UsedAt) >= min(touchAfter, t.TTL/2) {
		if err := t.touch(ctx, stored, now); err != nil {
			return access.Identity{}, err
		}
	}
	return who, nil
}

// find returns what is stored of a token, if it is genuine. To guess an ID is of
// no use, and does not take another time.
func (t *Tokens) find(ctx context.Context, token string) (meta.RefreshToken, error) {
	s, ok := parse(token)
	if !ok {
		return meta.RefreshToken{}, fmt.Errorf("%w: it has not the form of one", ErrInvalid)
	}
	var stored meta.RefreshToken
	err := t.Meta.View(ctx, func(tx meta.Tx) (err error) {
		stored, err = tx.RefreshToken(s.id)
		return err
	})
	known := err == nil
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return meta.RefreshToken{}, fmt.Errorf("look up refresh token %s: %w", s.id, err)
	}
	genuine := s.matches(stored.Hash)
	switch {
	case !known:
		return meta.RefreshToken{}, fmt.Errorf("%w: there is none with the ID %s", ErrInvalid, s.id)
	case !genuine:
		return meta.RefreshToken{}, invalid(stored, "the secret is another")
	}
	return stored, nil
}

// touch notes the use of a token. Others may have revoked it meanwhile.
func (t *Tokens) touch(ctx context.Context, stored meta.RefreshToken, now time.Time) error {
	err := t.Meta.UpdateRelaxed(ctx, func(tx meta.Tx) error {
		current, err := tx.RefreshToken(stored.ID)
		if err != nil {
			return err
		}
		current.UsedAt, current.ExpiresAt = now, now.Add(t.TTL)
		return tx.SaveRefreshToken(current)
	})
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return invalid(stored, "it was revoked just now")
	case errors.Is(err, meta.ErrNoSpace):
		return nil // who may only read can go on while the disk is full; the token just does not live longer
	case err != nil:
		return fmt.Errorf("note the use of refresh token %s: %w", stored.ID, err)
	}
	return nil
}

// end removes a token for good and returns why it is not valid, which it is
// whether it can be removed or not.
func (t *Tokens) end(ctx context.Context, stored meta.RefreshToken, why string) error {
	err := t.Meta.Update(ctx, func(tx meta.Tx) error { return tx.DeleteRefreshToken(stored.ID) })
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return fmt.Errorf("%w; it cannot be removed: %w", invalid(stored, "%s", why), err)
	}
	return invalid(stored, "%s", why)
}

// invalid is ErrInvalid with a reason for the log.
func invalid(r meta.RefreshToken, format string, args ...any) error {
	return fmt.Errorf("%w: %s of %q: %s", ErrInvalid, r.ID, r.User, fmt.Sprintf(format, args...))
}
