package app

import (
	"context"
	"fmt"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/meta"
)

// openAccessKeys opens the keys of robots and people. Nothing need be configured for
// them: whoever reaches the control socket makes them. They look up their owners in
// the sources that are open.
func (s *Server) openAccessKeys(ss *sources, store meta.Store) *keys.Keys {
	kept := &keys.Keys{Meta: store, Owners: authn.Directories(ss.owners...), Sources: ss.ownersOf, Now: time.Now, Log: s.log, Ended: s.keyEnded}
	s.tasks = append(s.tasks, kept.Run)
	s.later(kept) // writes the last uses before the store is closed
	return kept
}

// keyEnded records that a key has ended with its owner.
func (s *Server) keyEnded(ctx context.Context, key meta.Key, why string) {
	s.auditor.record(ctx, audit.Record{
		Who: access.Identity{User: key.User, Source: key.Source}, Operation: "access-key-end",
		Outcome: audit.Done, Detail: fmt.Sprintf("key %s, %s: %s", key.ID, key.Name, why),
	})
}
