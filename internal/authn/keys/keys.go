// Package keys is the identity source of keys: what robots and people sign in with
// instead of a password.
//
// A robot's key stands for itself. A personal key stands for its owner, who is looked
// up at each use: it ends with them, passes to nobody of the same name, and has the groups that they have now. Either may
// only what it was made for (access.Key).
package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/meta"
)

// Keys makes, verifies and ends keys. It keeps only hashes of their secrets. It may be
// used at once by many; its fields are set before, and all who change keys in Meta use
// the same Keys.
type Keys struct {
	Meta    meta.Store
	Owners  authn.Directory // asked at each use of a personal key; keys are bound to what authn.Entries tell
	Sources []string        // the names of the sources that Owners knows
	Now     func() time.Time
	Log     *slog.Logger

	// Ended is told of each key that has ended for good with its owner, and why.
	// Nil: nobody is told.
	Ended func(ctx context.Context, key meta.Key, why string)

	MaxPerOwner int // 100 if 0
	MaxRobots   int // 10,000 if 0

	known memory
	uses  uses
}

var _ authn.Recognizer = (*Keys)(nil)

// refusal is why a key is good for nothing, for the log alone.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// Recognizes is authn.Recognizer: whatever looks like a key is shown to nobody else.
func (k *Keys) Recognizes(_, password string) bool { return LooksLikeKey(password) }

// VerifyPassword is authn.Password. user is the name of the owner or of the key.
// Guessing an ID is of no use, and does not take another time.
//
// Errors: authn.ErrWrongPassword with the reason behind it, which is for the log
// alone; authn.ErrNoMatch for what does not look like a key. Any other error says
// nothing about the key.
func (k *Keys) VerifyPassword(ctx context.Context, user, password string) (access.Identity, error) {
	if !LooksLikeKey(password) {
		return access.Identity{}, authn.ErrNoMatch
	}
	e, err := k.find(ctx, password)
	if err == nil && user != e.stored.Name && (user != e.stored.User || e.robot()) {
		err = refuse("key %s is for the user %q, or its own name %q, and for no other", e.stored.ID, e.stored.User, e.stored.Name)
	}
	who, err := k.present(ctx, e, err)
	return who, as(authn.ErrWrongPassword, err)
}

// as makes a refusal an error of a contract.
func as(kind, err error) error {
	if isRefusal(err) {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

func (e *entry) robot() bool { return e.stored.User == "" && e.stored.Source == "" }

// find returns the key that a text is, if it is genuine. Its time may be over.
func (k *Keys) find(ctx context.Context, text string) (*entry, error) {
	s, err := parse(text)
	if err != nil {
		return nil, refuse("%s", err)
	}
	e, err := k.stored(ctx, s.id)
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return nil, err
	}
	known := err == nil
	if !known {
		e = &entry{} // takes as long
	}
	hash := s.hash()
	current, old := same(hash, e.stored.Hash), same(hash, e.stored.OldHash)
	switch {
	case !known:
		return nil, refuse("there is no key %s: it was revoked, or never made here", s.id)
	case current:
		return e, nil
	case old && k.now().Before(e.stored.OldUntil):
		return e, nil
	case old:
		return nil, refuse("key %s has another secret, and its old one ended at %s", s.id, e.stored.OldUntil.Format(time.RFC3339))
	}
	return nil, refuse("key %s has another secret", s.id)
}

// stored returns a key by its ID.
//
// Errors: meta.ErrNotFound.
func (k *Keys) stored(ctx context.Context, id string) (*entry, error) {
	e, changes := k.known.get(id)
	if e != nil {
		return e, nil
	}
	var found meta.Key
	err := k.Meta.View(ctx, func(tx meta.Tx) (err error) {
		found, err = tx.Key(id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up key %s: %w", id, err)
	}
	e = &entry{stored: found}
	if e.limits, err = access.NewKey(found.ID, found.Name, e.robot(), found.May); err != nil {
		return nil, fmt.Errorf("what the key %s may cannot be read: %w", id, err)
	}
	k.known.put(id, e, changes)
	return e, nil
}

// present returns the present identity of whom a key stands for, and notes that it was
// used. found is the error of finding it.
func (k *Keys) present(ctx context.Context, e *entry, found error) (access.Identity, error) {
	if found != nil {
		return access.Identity{}, found
	}
	now := k.now()
	if e.over(now) {
		return access.Identity{}, refuse("key %s has expired at %s: rotate it, or make another", e.stored.ID, e.stored.ExpiresAt.Format(time.RFC3339))
	}
	who := access.Identity{User: e.stored.Name, Source: access.RobotSource}
	if !e.robot() {
		var err error
		if who, err = k.owner(ctx, e.stored); err != nil {
			return access.Identity{}, err
		}
	}
	who.With = e.limits
	k.uses.note(e.stored.ID, now)
	return who, nil
}

// over reports whether the time of a key is over.
func (e *entry) over(now time.Time) bool {
	return !e.stored.ExpiresAt.IsZero() && !now.Before(e.stored.ExpiresAt)
}

func (k *Keys) now() time.Time {
	if k.Now == nil {
		return time.Now()
	}
	return k.Now()
}
