package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/meta"
)

// owner returns the present identity of the owner of a personal key.
func (k *Keys) owner(ctx context.Context, key meta.Key) (access.Identity, error) {
	seen, err := authn.LookupEntry(ctx, k.Owners, key.Source, key.User)
	return seen.Who, k.judge(ctx, key, seen, err)
}

// judge says what is wrong with the owner of a key, by the answer of the directory.
//
// A key that is bound to an entry waits for it: an account that was locked may come
// back, and somebody else of the same name has another entry, which ends the key for
// good. Where no entries can be told apart, who is gone may come back as somebody else,
// so that ends it.
func (k *Keys) judge(ctx context.Context, key meta.Key, seen authn.Entry, err error) error {
	who := fmt.Sprintf("%q, the owner of key %s,", key.User, key.ID)
	switch {
	case errors.Is(err, authn.ErrNoMatch) && key.Entry == "" && slices.Contains(k.Sources, key.Source):
		return k.end(ctx, key, fmt.Sprintf("%s is gone from %s, so it has ended", who, key.Source))
	case errors.Is(err, authn.ErrNoMatch):
		return refuse("%s is gone from %s, or is locked there", who, key.Source)
	case errors.Is(err, authn.ErrCannotTell):
		return refuse("nobody can tell whether %s is still there: %s is no source here that can be asked", who, key.Source)
	case err != nil:
		return fmt.Errorf("look up %s: %w", who, err)
	case key.Entry == "" || key.Entry == seen.ID:
		return nil
	case seen.ID == "":
		return fmt.Errorf("%s does not tell any more which entry %q is, and the key %s is bound to one: let it be read again, or make another key", key.Source, key.User, key.ID)
	}
	return k.end(ctx, key, fmt.Sprintf("%s is gone from %s, and another has the name now, so it has ended", who, key.Source))
}

// end removes a key for good, and returns the refusal for that. While it cannot be
// removed, that is a fault: it must not be told that the key has ended.
func (k *Keys) end(ctx context.Context, key meta.Key, why string) error {
	ctx = context.WithoutCancel(ctx) // it ends, whether the client waits or not
	err := k.Meta.Update(ctx, func(tx meta.Tx) error { return tx.DeleteKey(key.ID) })
	k.known.forget(key.ID) // after an error too, which does not tell whether it is done
	switch {
	case errors.Is(err, meta.ErrNotFound): // somebody else was faster
	case err != nil:
		return fmt.Errorf("end a key, as %s: %w", why, err)
	default:
		k.Log.WarnContext(ctx, "a key has ended for good", "key", key.ID, "name", key.Name, "user", key.User, "source", key.Source, "why", why)
		if k.Ended != nil {
			k.Ended(ctx, key, why)
		}
	}
	return refuse("%s", why)
}

// person is a user of a source.
type person struct{ source, user string }

// sweepOwners ends the keys of owners who are gone, also those that nobody uses. What
// a directory cannot tell now is looked at the next time.
func (k *Keys) sweepOwners(ctx context.Context) error {
	var list []meta.Key
	err := k.Meta.View(ctx, func(tx meta.Tx) (err error) {
		list, err = all(tx)
		return err
	})
	if err != nil {
		return err
	}
	owned := map[person][]meta.Key{}
	for _, key := range list {
		if key.User != "" {
			owned[person{key.Source, key.User}] = append(owned[person{key.Source, key.User}], key)
		}
	}
	for p, theirs := range owned {
		seen, answer := authn.LookupEntry(ctx, k.Owners, p.source, p.user)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if answer != nil && !errors.Is(answer, authn.ErrNoMatch) {
			continue
		}
		for _, key := range theirs {
			if why := k.judge(ctx, key, seen, answer); why != nil && !isRefusal(why) {
				err = errors.Join(err, why)
			}
		}
	}
	return err
}

func isRefusal(err error) bool {
	var why *refusal
	return errors.As(err, &why)
}
