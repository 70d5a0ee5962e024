// Package front is the identity source of those whom a proxy in front of us has let
// in: it says who they are in headers of the request.
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/textproto"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// Source is the users of a proxy: an authn.Presence.
type Source struct {
	name    string
	cfg     Config // the headers in their canonical form
	from    []netip.Prefix
	secrets *secrets // nil: none is asked for
	log     *slog.Logger
}

var (
	_ authn.Presence = (*Source)(nil)
	_ authn.Prober   = (*Source)(nil)
)

// Open reads the files that c names. name is Identity.Source of its users. c has
// passed Check. To log goes, for those who look closely, when somebody else than the
// proxy sends its header.
func Open(name string, c Config, log *slog.Logger) (*Source, error) {
	s := &Source{name: name, cfg: c, log: log}
	for _, header := range []*string{&s.cfg.User, &s.cfg.Groups, &s.cfg.SecretHeader} {
		*header = textproto.CanonicalMIMEHeaderKey(*header)
	}
	for _, text := range c.From {
		prefix, err := parseRange(text)
		if err != nil {
			return nil, err
		}
		s.from = append(s.from, prefix)
	}
	if c.SecretFile != "" {
		s.secrets = &secrets{file: c.SecretFile}
	}
	return s, s.Reload()
}

// Reload reads the file of secrets again. If it is bad, what was read before stays
// in force.
func (s *Source) Reload() error {
	if s.secrets == nil {
		return nil
	}
	return s.secrets.reload()
}

// Headers are those that are between the proxy and us: nobody behind us should see
// them.
func (s *Source) Headers() []string {
	list := []string{s.cfg.User}
	if s.cfg.Groups != "" {
		list = append(list, s.cfg.Groups)
	}
	if s.secrets != nil {
		list = append(list, s.cfg.SecretHeader)
	}
	return list
}

// VerifyArrival is authn.Presence. The proxy is the other end of the connection: what
// anybody says about addresses does not count. Of everybody else the headers mean
// nothing.
func (s *Source) VerifyArrival(ctx context.Context, a authn.Arrival) (access.Identity, error) {
	if !s.believed(a.Peer) {
		if len(a.Header[s.cfg.User]) > 0 {
			s.log.DebugContext(ctx, "a header that counts only from the proxies in front", "source", s.name, "header", s.cfg.User, "peer", a.Peer)
		}
		return access.Identity{}, authn.ErrNoMatch
	}
	if err := s.lookalike(a.Header); err != nil {
		return s.refuse(err)
	}
	if len(a.Header[s.cfg.User]) == 0 {
		return access.Identity{}, authn.ErrNoMatch // the proxy has let nobody in particular in
	}
	if err := s.secrets.check(s.cfg.SecretHeader, a.Header[s.cfg.SecretHeader]); err != nil {
		return s.refuse(err)
	}
	user, err := only(s.cfg.User, a.Header)
	if err == nil {
		err = checkUser(user)
	}
	if err != nil {
		return s.refuse(fmt.Errorf("%s: %w", s.cfg.User, err))
	}
	groups, err := s.groups(a.Header)
	if err != nil {
		return s.refuse(fmt.Errorf("%s: %w", s.cfg.Groups, err))
	}
	return access.Identity{User: user, Groups: groups, Source: s.name}, nil
}

func (s *Source) believed(peer netip.Addr) bool {
	for _, prefix := range s.from {
		if prefix.Contains(peer) {
			return true
		}
	}
	return false
}

func (s *Source) refuse(why error) (access.Identity, error) {
	return access.Identity{}, fmt.Errorf("%w: the proxy in front has sent headers that do not count: %w", authn.ErrNoMatch, why)
}

// lookalike finds a header that somebody may have sent through the proxy: to many
// programs an underscore in a name is a '-', and so to a proxy it may be another
// header than the one that it sets.
func (s *Source) lookalike(header map[string][]string) error {
	for name := range header {
		if !strings.ContainsAny(name, "_.") {
			continue
		}
		plain := textproto.CanonicalMIMEHeaderKey(strings.NewReplacer("_", "-", ".", "-").Replace(name))
		for _, ours := range s.Headers() {
			if plain == ours {
				return fmt.Errorf("%q looks like %s: let the proxy drop such headers", name, ours)
			}
		}
	}
	return nil
}

// only returns the value of a header that is there once.
func only(name string, header map[string][]string) (string, error) {
	values := header[name]
	if len(values) != 1 {
		return "", fmt.Errorf("it is there %d times: let the proxy replace what clients send", len(values))
	}
	return values[0], nil
}

// groups returns those that the proxy names, if it names any.
func (s *Source) groups(header map[string][]string) ([]string, error) {
	if s.cfg.Groups == "" || len(header[s.cfg.Groups]) == 0 {
		return nil, nil
	}
	text, err := only(s.cfg.Groups, header)
	if err != nil || strings.TrimSpace(text) == "" {
		return nil, err
	}
	parts := strings.Split(text, s.cfg.Separator)
	if len(parts) > maxGroups {
		return nil, fmt.Errorf("it names %d groups, at most %d are allowed", len(parts), maxGroups)
	}
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
		if err := access.CheckName(parts[i], maxName); err != nil {
			return nil, fmt.Errorf("group %d: %w", i+1, err)
		}
	}
	return parts, nil
}

// Bounds of what a proxy may say.
const (
	maxName   = 512 // bytes of a user name, or of a group
	maxGroups = 500
)

// checkUser reports why something cannot be the name of a user. With a comma it may
// be two: that of a client, to which the proxy has added another; and "(null)" is
// what httpd writes for nobody.
func checkUser(name string) error {
	switch {
	case strings.Contains(name, ","):
		return errors.New("there is a comma in it, so it may be two: let the proxy replace what clients send")
	case name == "(null)":
		return errors.New("it is what a proxy writes for nobody: let it leave the header out")
	}
	return access.CheckName(name, maxName)
}

// isControl reports whether a character cannot be seen.
func isControl(c rune) bool { return !unicode.IsPrint(c) || c == utf8.RuneError }

// Probe is authn.Prober: it tells who is believed.
func (s *Source) Probe(context.Context) (string, error) {
	var from []string
	for _, prefix := range s.from {
		if prefix.IsSingleIP() {
			from = append(from, prefix.Addr().String())
			continue
		}
		from = append(from, prefix.String())
	}
	text := fmt.Sprintf("%s from %s is believed", strings.Join(s.Headers(), ", "), strings.Join(from, ", "))
	if s.secrets != nil {
		text += ", with a secret of " + s.secrets.file
	}
	return text, nil
}
