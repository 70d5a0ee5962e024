package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	accesskeys "github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/filewatch"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/refresh"
	"github.com/moorgate/moorgate/internal/reqctx"
	"github.com/moorgate/moorgate/internal/session"
	"github.com/moorgate/moorgate/internal/token"
	"github.com/moorgate/moorgate/internal/tokenapi"
	"github.com/moorgate/moorgate/internal/wire"
)

// leeway is how far the clock of another token server may be from ours.
const leeway = time.Minute

// tokens are the tokens that we issue and take.
type tokens struct {
	endpoint, revoke, keys, about http.Handler // nil: not here
	bearer                        authn.Bearer // nil: none are taken

	// server says where a client is sent for a token; nil: nowhere.
	server func(*http.Request) (gate.TokenServer, bool)
}

// openTokens opens the token endpoint where people sign in, and the trust in the
// token servers of others.
func (s *Server) openTokens(ctx context.Context, e entrance, store meta.Store) (*tokens, error) {
	t := &tokens{}
	door := &control.Handler{Status: s.status, Audit: e.audit, Log: s.log, Ready: s.auditor.trail.Ready}
	if e.desk.Lockout != nil {
		door.Lockouts = e.desk.Lockout
	}
	var bearers []authn.Bearer
	if e.users != nil {
		keys, err := s.openKeys()
		if err != nil {
			return nil, err
		}
		sessions, err := s.openSessions(e, keys)
		if err != nil {
			return nil, err
		}
		s.openEndpoint(t, door, e, keys, store, sessions)
		bearers = append(bearers, s.metrics.Bearer(config.OwnTokens, e.keys.Limited(&token.Verifier{
			Issuer: s.cfg.Token.Issuer, Audience: s.cfg.Token.Service, Keys: keys, Now: time.Now,
		})), s.metrics.Bearer(config.OwnSessions, sessions))
		t.server = func(r *http.Request) (gate.TokenServer, bool) { return s.tokenServer(r, e.policy) }
	}
	bearers = append(bearers, e.bearers...)
	for _, a := range s.cfg.Token.Accept {
		foreign, err := s.openForeign(a)
		if err != nil {
			return nil, err
		}
		bearers = append(bearers, s.metrics.Bearer(a.Source(), foreign.bearer))
		if t.server == nil && a.Realm != "" {
			there := gate.TokenServer{Realm: a.Realm, Service: a.Service}
			t.server = func(*http.Request) (gate.TokenServer, bool) { return there, true }
		}
	}
	if len(bearers) > 0 {
		t.bearer = token.Bearers(bearers...)
	}
	if e.keys != nil { // then there are tokens of ours
		t.bearer = accesskeys.Route(s.metrics.Bearer(access.RobotSource, e.keys.Tokens()), t.bearer)
		door.AccessKeys = e.keys
	}
	return t, s.openControl(ctx, door)
}

// openKeys opens the signing keys, and makes them at the first start.
func (s *Server) openKeys() (*token.Keys, error) {
	keys, err := token.OpenKeys(filepath.Join(s.cfg.Data, "token"), s.keysOptions())
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	watch := filewatch.New(s.log, keys.Files()...)
	s.keep = append(s.keep, keeper{what: "signing keys", file: keys.Dir(), watch: watch, reload: keys.Reload})
	s.tasks = append(s.tasks, func(ctx context.Context) { s.retireKeys(ctx, keys) })
	return keys, nil
}

// retireEvery is how often the server looks for signing keys that have retired.
const retireEvery = 10 * time.Minute

// retireKeys removes signing keys that have retired, until ctx ends.
func (s *Server) retireKeys(ctx context.Context, keys *token.Keys) {
	tick := time.NewTicker(retireEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := keys.Reload(); err != nil {
				s.log.ErrorContext(ctx, "cannot look after the signing keys", "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) keysOptions() token.KeysOptions {
	return token.KeysOptions{
		Algorithm: s.cfg.Token.Algorithm, Overlap: overlap(s.cfg.Token.RotateOverlap), MaxTTL: max(s.cfg.Token.TTL, s.cfg.Token.SessionTTL, time.Hour),
	}
}

// rotateNow makes a signing key that signs at once.
func (s *Server) rotateNow(keys *token.Keys) (token.Rotation, error) {
	options := s.keysOptions()
	options.Overlap = token.AtOnce
	impatient, err := token.OpenKeys(keys.Dir(), options)
	if err != nil {
		return token.Rotation{}, err
	}
	done, err := impatient.Rotate()
	return done, errors.Join(err, keys.Reload())
}

// overlap is that of the configuration, where none means at once.
func overlap(d time.Duration) time.Duration {
	if d == 0 {
		return token.AtOnce
	}
	return d
}

// openEndpoint opens the token endpoint, and puts what it keeps behind the
// operator's door.
func (s *Server) openEndpoint(t *tokens, door *control.Handler, e entrance, keys *token.Keys, store meta.Store, sessions *session.Sessions) {
	kept := &refresh.Tokens{Meta: store, Users: e.users, TTL: s.cfg.Token.RefreshTTL, Now: time.Now}
	api := &tokenapi.API{
		Login: e.desk, Policy: e.policy.Load, Sign: keys.Sign, Issuer: s.cfg.Token.Issuer, Recognizes: sessions.Recognizes,
		Some: someTag, Services: s.services(), TTL: s.cfg.Token.TTL, Audit: e.audit, Log: s.log, Now: time.Now, NewID: rand.Text,
	}
	api.Ready = s.auditor.trail.Ready
	api.Endless = func(text string) bool { return session.Ours(s.cfg.Token.Issuer, text) || e.keys.Recognizes("", text) }
	if kept.TTL > 0 {
		api.Refresh = kept
	}
	if sessions.TTL > 0 {
		api.Sessions = sessions
	}
	t.endpoint, t.revoke, t.keys = api, http.HandlerFunc(api.Revoke), tokenapi.JWKS(keys.JWKS, s.log)
	t.about = tokenapi.About(tokenPath, revokePath, sessions.TTL, s.log)
	door.RefreshTokens, door.Keys = kept, keys
	door.RotateNow = func() (token.Rotation, error) { return s.rotateNow(keys) }
}

// openSessions opens the sessions, which are taken as passwords too: before any other
// source, as they are known by their form and are no secrets for others.
func (s *Server) openSessions(e entrance, keys *token.Keys) (*session.Sessions, error) {
	secret, err := keys.Derive("sessions")
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	verifier := &token.Verifier{Issuer: s.cfg.Token.Issuer, Audience: session.Audience, Keys: keys, Sessions: true, Now: time.Now}
	sessions := &session.Sessions{
		Issuer: s.cfg.Token.Issuer, Sign: keys.Sign, Users: e.users, Secret: secret, TTL: s.cfg.Token.SessionTTL, Now: time.Now,
		Verifier: e.keys.Limited(verifier), // one that was made from a key is worth what the key is worth now
	}
	e.desk.Passwords = authn.Chain(s.metrics.Password(config.OwnSessions, sessions), e.desk.Passwords)
	e.desk.Fresh = authn.Chain(sessions, e.desk.Fresh)
	return sessions, nil
}

// someTag reports whether there may be a tag for which the policy allows what is
// asked.
func someTag(p *access.Policy, q access.Question) bool {
	q.Scope.Tag = access.SomeTag
	return p.Decide(q).Allowed
}

// openControl opens the operator's door. A server goes without it where its path
// would be too long for a socket.
func (s *Server) openControl(ctx context.Context, h *control.Handler) error {
	door, err := control.Listen(ctx, s.cfg.Data)
	if errors.Is(err, control.ErrPathTooLong) {
		s.log.WarnContext(ctx, "commands cannot reach this server", "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	s.later(door)
	s.tasks = append(s.tasks, func(ctx context.Context) { h.Serve(ctx, door) })
	return nil
}

// services are those that we issue tokens for: the registry here, which asks the
// policy again, and those of others.
func (s *Server) services() map[string]tokenapi.Service {
	services := map[string]tokenapi.Service{}
	if s.role != config.Token {
		services[s.cfg.Token.Service] = tokenapi.Service{Gate: true}
	}
	for _, other := range s.cfg.Token.Services {
		services[other.Name] = tokenapi.Service{Chain: other.Keys == "certificate"}
	}
	return services
}

// hostPort is the form of a Host header that a URL can be made of.
var hostPort = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]{1,5})?$|^\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?$`)

// tokenServer says where a client is sent that has to sign in: here, unless
// passwords do. By default tokens are asked for only where the policy lets
// anybody in without a name, since docker cannot do that with passwords.
func (s *Server) tokenServer(r *http.Request, p *policy) (gate.TokenServer, bool) {
	switch s.cfg.Token.Challenge {
	case "basic":
		return gate.TokenServer{}, false
	case "auto":
		if !p.Load().AnonymousMay() {
			return gate.TokenServer{}, false
		}
	}
	server := gate.TokenServer{Realm: strings.TrimSuffix(s.cfg.URL, "/") + tokenPath, Service: s.cfg.Token.Service}
	if s.cfg.URL != "" {
		return server, true
	}
	if !hostPort.MatchString(r.Host) {
		return gate.TokenServer{}, false
	}
	scheme := "http://"
	if reqctx.ClientOf(r.Context()).TLS {
		scheme = "https://"
	}
	server.Realm = scheme + r.Host + tokenPath // the address that the client itself has used
	return server, true
}

// openForeign opens the trust in a token server of others.
func (s *Server) openForeign(a config.Accept) (source, error) {
	v := &token.Verifier{
		Issuer: a.Issuer, Audience: a.Service, Source: a.Source(), Leeway: leeway, Now: time.Now,
	}
	if a.KeysFile == "" {
		keys, err := token.NewKeysURL(a.KeysURL, token.KeysURLOptions{CAFile: a.CA, Refresh: a.Refresh})
		if err != nil {
			return source{}, fmt.Errorf("token.accept %s: %w", a.Source(), err)
		}
		v.Keys = keys
		look := func(ctx context.Context) (string, error) { return keys.Probe(ctx, leeway) }
		return source{bearer: v, prober: foreignKeys{a.Issuer, look}}, nil
	}
	watch := filewatch.New(s.log, a.KeysFile)
	keys, err := token.OpenKeysFile(a.KeysFile)
	if err != nil {
		return source{}, fmt.Errorf("token.accept %s: %w", a.Source(), err)
	}
	s.keep = append(s.keep, keeper{what: "keys of " + a.Source(), file: a.KeysFile, watch: watch, reload: keys.Reload})
	v.Keys = keys
	look := func(context.Context) (string, error) { return "keys in " + a.KeysFile, nil } // reading them was the test
	return source{bearer: v, prober: foreignKeys{a.Issuer, look}}, nil
}

// root tells the few paths apart that clients may reach.
type root struct {
	s      *Server
	tokens *tokens
	api    http.Handler
}

// Paths beside the distribution API.
const (
	tokenPath  = "/token"
	revokePath = "/token/revoke"
	keysPath   = "/.well-known/jwks.json"
	aboutPath  = "/.well-known/moorgate.json"
)

func (h *root) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler := h.handler(r.URL.EscapedPath())
	if handler == nil {
		handler = h.api
	}
	handler.ServeHTTP(w, r)
}

// handler returns what answers at a path beside the API; nil if nothing does.
func (h *root) handler(path string) http.Handler {
	switch path {
	case tokenPath:
		return h.tokens.endpoint
	case revokePath:
		return h.tokens.revoke
	case keysPath:
		return h.tokens.keys
	case aboutPath:
		return h.tokens.about
	default:
		return nil
	}
}

// nothing answers where there is nothing.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	wire.Error(w, r, s.log, oci.Errorf(oci.NotFound, "this is a token server: its endpoint is %s", tokenPath))
}
