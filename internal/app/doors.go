package app

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/meta"
)

// doors are the ways in, and what stands behind them.
type doors struct {
	next     gate.Handler // nil: there is nothing behind the gate but the token endpoint
	sessions gate.Sessions
	store    meta.Store // for refresh tokens and keys
	ready    func(context.Context) error
	out      io.Writer // for what a new user should see

	guard func(http.Handler) http.Handler // what stands before the gate; nil: nothing
}

// entrance is what all doors share.
type entrance struct {
	desk    *login.Desk
	users   authn.Directory // nil: nobody signs in here
	bearers []authn.Bearer  // of identity sources
	claims  []string        // headers that are for us alone
	keys    *keys.Keys      // nil: nobody signs in here
	policy  *policy
	audit   audit.Func
}

// openDoors opens the login, the gate, the token endpoint, and what only the
// operator reaches.
func (s *Server) openDoors(ctx context.Context, d doors) error {
	if err := s.openAudit(d.out); err != nil {
		return err
	}
	e := entrance{audit: s.auditor.record}
	e.desk = &login.Desk{Audit: e.audit}
	var err error
	if e.policy, err = s.openPolicy(); err != nil {
		return err
	}
	if err := s.openHealth(ctx, d.ready); err != nil {
		return err
	}
	var first *firstUser
	if signsIn(s.cfg) {
		if first, err = s.openLogin(&e, d.store); err != nil {
			return err
		}
	}
	tokens, err := s.openTokens(ctx, e, d.store)
	if err != nil {
		return err
	}
	s.pushes = &pushes{next: s.witnessed(withoutHeaders(d.next, e.claims)), now: time.Now}
	root := &root{s: s, tokens: tokens, api: http.HandlerFunc(s.nothing)}
	if d.next != nil {
		root.api = &gate.Gate{
			Next: s.pushes, Login: e.desk, Tokens: tokens.bearer, Sessions: d.sessions,
			Policy: e.policy.Load, Audit: e.audit, Log: s.log, Now: time.Now, Realm: "Moorgate",
			TokenServer: tokens.server,
		}
	}
	if d.guard != nil {
		root.api = d.guard(root.api)
	}
	s.answerWith(root)
	s.greet(d.out, first)
	return nil
}

// signsIn reports whether people sign in at a server with this configuration. An open
// registry asks nobody, and one that trusts a token server and has no users of its own
// leaves it to that.
func signsIn(cfg config.Config) bool {
	return !cfg.Open && (len(cfg.Login) > 0 || len(cfg.Token.Accept) == 0)
}
