package keys

import (
	"fmt"
	"strings"

	"github.com/moorgate/moorgate/internal/meta"
)

// resolve returns the one key that is meant. A name without a user is that of a robot:
// nobody revokes the key of a person by mistake.
//
// Errors: ErrUnknown; ErrInvalid if several could be meant.
func resolve(tx meta.Tx, ref Ref) (meta.Key, error) {
	list, err := all(tx)
	if err != nil {
		return meta.Key{}, err
	}
	var found, others []meta.Key
	for _, key := range list {
		switch {
		case ref.Key == key.ID && (ref.User == "" || ref.User == key.User) && (ref.Source == "" || ref.Source == key.Source):
			return key, nil
		case ref.Key != key.Name:
		case ref.User == key.User && (ref.Source == "" || ref.Source == key.Source):
			found = append(found, key)
		default:
			others = append(others, key)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return meta.Key{}, fmt.Errorf("%w: several keys are called %q: say which by its ID: %s", ErrInvalid, ref.Key, idsOf(found))
	case len(others) > 0:
		return meta.Key{}, fmt.Errorf("%w: no key %q of %s, but of others: say which with --user, or by its ID: %s", ErrUnknown, ref.Key, ownerName(ref.User), idsOf(others))
	}
	return meta.Key{}, fmt.Errorf("%w: no key of %s has the ID or the name %.80q: \"moorgate key list\" shows them", ErrUnknown, ownerName(ref.User), ref.Key)
}

// idsOf tells the first few keys apart.
func idsOf(list []meta.Key) string {
	const most = 5
	var names []string
	for _, key := range list[:min(len(list), most)] {
		names = append(names, fmt.Sprintf("%s (%s)", key.ID, ownerName(key.User)))
	}
	if len(list) > most {
		names = append(names, "...")
	}
	return strings.Join(names, ", ")
}

// all returns all keys.
func all(tx meta.Tx) ([]meta.Key, error) {
	const page = 1000
	var list []meta.Key
	for after := ""; ; after = list[len(list)-1].ID {
		next, err := tx.ListKeys(after, page)
		if err != nil {
			return nil, err
		}
		list = append(list, next...)
		if len(next) < page {
			return list, nil
		}
	}
}
