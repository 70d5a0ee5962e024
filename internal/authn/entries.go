package authn

import (
	"context"

	"github.com/moorgate/moorgate/internal/access"
)

// Entry is what a directory tells of a user.
type Entry struct {
	Who   access.Identity
	Stamp string // as Directory has it
	ID    string // another one for another user of the same name; "" if it cannot be told
}

// Entries is a Directory that tells a user from a later one of the same name: it is
// for what must not pass from one to the other.
type Entries interface {
	Directory

	// LookupEntry is Lookup, and tells the ID of the entry too. The ID stays the same
	// for as long as the user is there, whatever changes about them.
	//
	// Errors: those of Lookup.
	LookupEntry(ctx context.Context, source, user string) (Entry, error)
}

// LookupEntry asks a directory. One that is no Entries tells no ID.
//
// Errors: those of Lookup.
func LookupEntry(ctx context.Context, d Directory, source, user string) (Entry, error) {
	if entries, ok := d.(Entries); ok {
		return entries.LookupEntry(ctx, source, user)
	}
	who, stamp, err := d.Lookup(ctx, source, user)
	return Entry{Who: who, Stamp: stamp}, err
}
