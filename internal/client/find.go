package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"github.com/moorgate/moorgate/internal/loopback"
)

// aboutPath is where a Moorgate says that it is one.
const aboutPath = "/.well-known/moorgate.json"

// Service is what sessions are asked for as: the audience that they have.
const Service = "urn:moorgate:session"

// Errors of this package, to compare with by errors.Is.
var (
	// ErrNotMoorgate says that no Moorgate stands behind the name of a registry.
	ErrNotMoorgate = errors.New("it is no Moorgate")

	// ErrNoSessions says that a Moorgate gives out no sessions.
	ErrNoSessions = errors.New("it gives out no sessions (token.session_ttl)")

	// ErrUnreachable says that a server cannot be asked now, or does not answer.
	ErrUnreachable = errors.New("it cannot be reached")

	// ErrRefused says that a server does not take a password or a refresh token.
	ErrRefused = errors.New("it does not let you in")
)

// Client asks servers. Its fields are set before its first use.
type Client struct {
	HTTP *http.Client // as NewHTTP makes it: it follows no redirects
}

// Server is where sessions of a registry come from.
type Server struct {
	Token  string `json:"token"`  // the URL of its token endpoint
	Revoke string `json:"revoke"` // the URL at which refresh tokens are given back
}

// Find returns the server behind a registry: the registry itself, or the token server
// to which it sends its clients. Nothing secret is sent for that. Without TLS it must be
// on this machine.
//
// Errors: ErrNotMoorgate, ErrNoSessions, ErrUnreachable.
func (c *Client) Find(ctx context.Context, host Host) (Server, error) {
	s, err := c.find(ctx, "https://"+string(host))
	if errors.Is(err, http.ErrSchemeMismatch) && loopback.Is(host.name()) {
		return c.find(ctx, "http://"+string(host))
	}
	return s, err
}

func (c *Client) find(ctx context.Context, origin string) (Server, error) {
	s, err := c.at(ctx, origin)
	if errors.Is(err, ErrNotMoorgate) {
		return c.behind(ctx, origin)
	}
	return s, err
}

// pathForm is what a server may say about its own paths.
var pathForm = regexp.MustCompile(`^(/[a-z-]+)+$`)

// at asks a server about itself.
func (c *Client) at(ctx context.Context, origin string) (Server, error) {
	r, err := c.get(ctx, origin+aboutPath)
	if err != nil {
		return Server{}, err
	}
	var about struct {
		TokenPath  string `json:"token_path"`
		RevokePath string `json:"revoke_path"`
		Service    string `json:"session_service"`
		Seconds    int64  `json:"session_seconds"`
	}
	known := r.status == http.StatusOK && json.Unmarshal(r.body, &about) == nil && about.Service == Service
	switch {
	case r.status >= http.StatusInternalServerError, r.status == http.StatusTooManyRequests:
		return Server{}, fmt.Errorf("%w: %s answers with status %d", ErrUnreachable, origin, r.status)
	case !known || !pathForm.MatchString(about.TokenPath) || !pathForm.MatchString(about.RevokePath):
		return Server{}, ErrNotMoorgate
	case about.Seconds <= 0:
		return Server{}, ErrNoSessions
	}
	return Server{Token: origin + about.TokenPath, Revoke: origin + about.RevokePath}, nil
}

// realmForm finds where a Bearer challenge sends clients (RFC 6750, section 3).
var realmForm = regexp.MustCompile(`(?i)^Bearer\s(?:.*[\s,])?realm="([^"\\]+)"`)

// behind asks the token server that a registry names, as docker does when it is asked
// to sign in there.
func (c *Client) behind(ctx context.Context, origin string) (Server, error) {
	r, err := c.get(ctx, origin+"/v2/")
	if err != nil {
		return Server{}, err
	}
	for _, challenge := range r.header.Values("WWW-Authenticate") {
		found := realmForm.FindStringSubmatch(challenge)
		if found == nil {
			continue
		}
		realm, err := url.Parse(found[1])
		if err != nil || realm.User != nil || !isSafe(realm) {
			return Server{}, fmt.Errorf("%w: it sends clients to %.80q, where others could read their passwords", ErrNotMoorgate, Printable(found[1]))
		}
		return c.at(ctx, realm.Scheme+"://"+realm.Host)
	}
	return Server{}, ErrNotMoorgate
}

// SafeURL reports whether a secret may be sent to a URL: to https, or to this machine.
func SafeURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.User == nil && isSafe(u)
}

// isSafe is SafeURL of one that is parsed.
func isSafe(u *url.URL) bool {
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback.Is(u.Hostname()))
}
