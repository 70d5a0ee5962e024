package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/meta"
)

// Errors of what the operator asks for, each with what is wrong and what to do.
var (
	ErrInvalid = errors.New("this cannot be done")
	ErrUnknown = errors.New("there is no such key")
)

const (
	defaultMaxPerOwner = 100
	defaultMaxRobots   = 10_000

	// maxLife bounds the life of a key that ends at all, and of an old secret.
	maxLife = 10 * 365 * 24 * time.Hour
)

// nameForm is what a key may be called: robots sign in by that name.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Request says which key to make.
type Request struct {
	Name   string
	User   string        // its owner; "" for a robot
	Source string        // of its owner; "" where only one source knows them
	May    []string      // as access.NewKey has it
	Life   time.Duration // 0: it never expires
}

// Ref names a key: by its ID, or by its name together with its owner.
type Ref struct {
	Key    string // ID or name
	User   string // "" for robots, if Key is a name
	Source string // "" where only one source has such a user with such a key
}

// Create makes a key.
//
// Errors: ErrInvalid.
func (k *Keys) Create(ctx context.Context, r Request) (Made, error) {
	owner, err := k.check(ctx, r)
	if err != nil {
		return Made{}, err
	}
	now := k.now().UTC().Truncate(time.Microsecond) // as it is stored
	s := newSecret()
	made := meta.Key{
		ID: s.id, Name: r.Name, Source: owner.Who.Source, User: r.User, Entry: owner.ID, May: r.May, Hash: s.hash(),
		CreatedAt: now, SecretAt: now, ExpiresAt: end(now, r.Life),
	}
	err = k.Meta.Update(ctx, func(tx meta.Tx) error {
		own, err := tx.KeysOf(made.Source, r.User, k.most(r.User))
		if err != nil {
			return err
		}
		if slices.ContainsFunc(own, func(o meta.Key) bool { return o.Name == r.Name }) {
			return fmt.Errorf("%w: there is a key %q of %s already: rotate it, revoke it, or choose another name", ErrInvalid, r.Name, ownerName(r.User))
		}
		if len(own) >= k.most(r.User) {
			return fmt.Errorf("%w: there are %d keys of %s, and more are not possible: revoke some", ErrInvalid, len(own), ownerName(r.User))
		}
		return tx.SaveKey(made)
	})
	if err != nil {
		return Made{}, managing("make a key", err)
	}
	return Made{Entry: k.entry(made), Secret: s.String()}, nil
}

// check returns the owner of a key that can be made; nobody for a robot.
func (k *Keys) check(ctx context.Context, r Request) (authn.Entry, error) {
	switch {
	case !nameForm.MatchString(r.Name):
		return authn.Entry{}, fmt.Errorf("%w: %.80q cannot be the name of a key: write letters, digits, '.', '_' and '-', at most 64 of them", ErrInvalid, r.Name)
	case isID(r.Name):
		return authn.Entry{}, fmt.Errorf("%w: %q looks like the ID of a key: choose another name", ErrInvalid, r.Name)
	case r.User == "" && r.Source != "":
		return authn.Entry{}, fmt.Errorf("%w: a source without a user: name the user too", ErrInvalid)
	}
	if err := checkLife(r.Life); err != nil {
		return authn.Entry{}, err
	}
	if _, err := access.NewKey("", r.Name, r.User == "", r.May); err != nil {
		return authn.Entry{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if r.Name != r.User {
		if err := k.nameIsFree(ctx, r.Name); err != nil {
			return authn.Entry{}, err
		}
	}
	if r.User == "" {
		return authn.Entry{}, nil
	}
	return k.ownerOf(ctx, r.User, r.Source)
}

// nameIsFree refuses keys that are called like a user: who signs in by that name could
// be either, to logs, rules and the lockout. A source that does not answer now keeps
// nobody from making keys.
func (k *Keys) nameIsFree(ctx context.Context, name string) error {
	for _, source := range k.Sources {
		if _, _, err := k.Owners.Lookup(ctx, source, name); err == nil {
			return fmt.Errorf("%w: %s has a user %q, so no key of others can be called that: choose another name, or make it a key of that user with --user", ErrInvalid, source, name)
		}
	}
	return nil
}

func checkLife(life time.Duration) error {
	if life < 0 || life > maxLife {
		return fmt.Errorf("%w: a key expires after at most %d days, or never", ErrInvalid, maxLife/(24*time.Hour))
	}
	return nil
}

// ownerOf returns a user of the one source that knows them, or of the one that was
// named.
func (k *Keys) ownerOf(ctx context.Context, user, source string) (owner authn.Entry, err error) {
	asked := k.Sources
	if source != "" {
		asked = []string{source}
	}
	var found, mute []string
	for _, name := range asked {
		seen, err := authn.LookupEntry(ctx, k.Owners, name, user)
		switch {
		case err == nil:
			owner, found = seen, append(found, name)
		case errors.Is(err, authn.ErrCannotTell):
			mute = append(mute, name)
		case !errors.Is(err, authn.ErrNoMatch):
			return authn.Entry{}, fmt.Errorf("look up %q: %w", user, err)
		}
	}
	switch {
	case len(found) == 1:
		owner.Who.Source = found[0]
		return owner, nil
	case len(found) > 1:
		return authn.Entry{}, fmt.Errorf("%w: %s know %q: say which with --source", ErrInvalid, strings.Join(found, " and "), user)
	case len(k.Sources) == 0, len(mute) == len(k.Sources):
		return authn.Entry{}, fmt.Errorf("%w: no source here can tell later whether %q is still there, so nobody can have a key: make one without a user", ErrInvalid, user)
	}
	return authn.Entry{}, fmt.Errorf("%w: no user %.80q is known to %.80s: only users who can be looked up later can have keys, those of %s", ErrInvalid, user, strings.Join(asked, ", "), strings.Join(k.Sources, ", "))
}

// Rotate gives a key another secret. The one before stays good for overlap, but not
// beyond its own end; one that is older ends at once. The key lives for life from now
// on; if that is nil, for as long as it was made for.
//
// Errors: ErrUnknown; ErrInvalid.
func (k *Keys) Rotate(ctx context.Context, ref Ref, overlap time.Duration, life *time.Duration) (Made, error) {
	if overlap < 0 || overlap > maxLife {
		return Made{}, fmt.Errorf("%w: the old secret stays good for at most %d days", ErrInvalid, maxLife/(24*time.Hour))
	}
	if life != nil {
		if err := checkLife(*life); err != nil {
			return Made{}, err
		}
	}
	now := k.now().UTC().Truncate(time.Microsecond) // as it is stored
	var key meta.Key
	var s secret
	err := k.Meta.Update(ctx, func(tx meta.Tx) (err error) {
		if key, err = resolve(tx, ref); err != nil {
			return err
		}
		s = again(key.ID)
		key = replaced(key, s, now, overlap, life)
		return tx.SaveKey(key)
	})
	k.known.forget(key.ID) // after an error too, which does not tell whether it is done
	if err != nil {
		return Made{}, managing("rotate a key", err)
	}
	return Made{Entry: k.entry(key), Secret: s.String()}, nil
}

// replaced returns a key with another secret.
func replaced(key meta.Key, s secret, now time.Time, overlap time.Duration, life *time.Duration) meta.Key {
	key.OldHash, key.OldUntil = key.Hash, now.Add(overlap)
	if !key.ExpiresAt.IsZero() && key.ExpiresAt.Before(key.OldUntil) {
		key.OldUntil = key.ExpiresAt
	}
	switch {
	case life != nil:
		key.ExpiresAt = end(now, *life)
	case !key.ExpiresAt.IsZero():
		key.ExpiresAt = now.Add(key.ExpiresAt.Sub(key.SecretAt))
	}
	key.Hash, key.SecretAt = s.hash(), now
	return key
}

// Revoke ends a key at once, and all tokens that were made from it here.
//
// Errors: ErrUnknown; ErrInvalid.
func (k *Keys) Revoke(ctx context.Context, ref Ref) (Entry, error) {
	var key meta.Key
	err := k.Meta.Update(ctx, func(tx meta.Tx) (err error) {
		if key, err = resolve(tx, ref); err != nil {
			return err
		}
		return tx.DeleteKey(key.ID)
	})
	k.known.forget(key.ID) // after an error too, which does not tell whether it is done
	if err != nil {
		return Entry{}, managing("revoke a key", err)
	}
	return k.entry(key), nil
}

func (k *Keys) most(user string) int {
	if user == "" {
		return cmp.Or(k.MaxRobots, defaultMaxRobots)
	}
	return cmp.Or(k.MaxPerOwner, defaultMaxPerOwner)
}

// end is when what lives for life ends; zero for never.
func end(now time.Time, life time.Duration) time.Time {
	if life == 0 {
		return time.Time{}
	}
	return now.Add(life)
}

// managing adds to a fault what it kept us from.
func managing(what string, err error) error {
	if errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnknown) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

func ownerName(user string) string {
	if user == "" {
		return "robots"
	}
	return user
}
