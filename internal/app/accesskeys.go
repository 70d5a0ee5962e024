package app

import (
	"time"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/meta"
)

// openAccessKeys opens the keys of robots and people. Nothing need be configured for
// them: whoever reaches the control socket makes them. They look up their owners in
// the sources that are open.
func (s *Server) openAccessKeys(ss *sources, store meta.Store) *keys.Keys {
	kept := &keys.Keys{Meta: store, Owners: authn.Directories(ss.owners...), Sources: ss.ownersOf, Now: time.Now, Log: s.log}
	s.tasks = append(s.tasks, kept.Run)
	s.later(kept) // writes the last uses before the store is closed
	return kept
}
