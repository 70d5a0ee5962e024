// Package credhelper is what docker, podman and skopeo ask for credentials: the
// helper docker-credential-moorgate. It keeps what a user has signed in with, and
// hands out sessions, which are good for a short time.
package credhelper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker-credential-helpers/credentials"

	"github.com/moorgate/moorgate/internal/client"
	"github.com/moorgate/moorgate/internal/keyring"
)

// Name is that of the program: docker runs docker-credential-NAME.
const Name = "docker-credential-moorgate"

// maxInput bounds what a client sends, in bytes.
const maxInput = 64 << 10

// timeout bounds one question, the waiting for another process included.
const timeout = 2 * time.Minute

// identityUser is the user name by which clients say that the secret is a refresh
// token of the registry.
const identityUser = "<token>"

// Helper answers the questions of docker. Its fields are set before its first use.
type Helper struct {
	Keyring keyring.Keyring
	Dirs    []string // where the certificates of registries are; see client.CertificateDirs
	Now     func() time.Time

	// Aside is where is said what does not stop the answer, a line each. The standard
	// output belongs to the answer; docker shows its users the standard error.
	Aside io.Writer
}

// Serve answers one question, which is the name of an action: get, store, erase, list
// or version. The error is for the standard output, where clients look for it.
func (h *Helper) Serve(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("docker runs this program, with one of: get, store, erase, list; "+
			"sign in with docker login, or moorgate login; usage: %s ACTION", Name)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return credentials.HandleCommand(&session{Helper: h, ctx: ctx}, args[0], &bounded{in: in, left: maxInput}, out)
}

// session is a Helper in the middle of one question: the interface of docker has no
// room for a context.
type session struct {
	*Helper

	ctx context.Context
}

// Add keeps what somebody has signed in with. docker has tried it before.
func (s *session) Add(c *credentials.Credentials) error {
	host, err := client.ParseHost(c.ServerURL)
	if err != nil {
		return err
	}
	if c.Username == identityUser {
		return s.keepIdentity(s.ctx, host, c.Secret)
	}
	_, err = s.SignIn(s.ctx, host, "", c.Username, c.Secret)
	return err
}

// Get returns a name and a secret that are good for a short time.
func (s *session) Get(serverURL string) (user, secret string, err error) {
	host, err := client.ParseHost(serverURL)
	if err != nil {
		return "", "", credentials.NewErrCredentialsNotFound() // clients ask for all sorts of keys
	}
	now, err := s.current(s.ctx, host)
	if errors.Is(err, keyring.ErrNotFound) {
		return "", "", credentials.NewErrCredentialsNotFound()
	}
	if err != nil {
		return "", "", err
	}
	return now.User, now.Secret, nil
}

// Delete forgets a registry. That there is nothing to forget is no error: clients
// try several names.
func (s *session) Delete(serverURL string) error {
	host, err := client.ParseHost(serverURL)
	if err != nil {
		return err
	}
	if err := s.SignOut(s.ctx, host); !errors.Is(err, keyring.ErrNotFound) {
		return err
	}
	return nil
}

// List returns the registries and their users. It asks no server. A login that cannot
// be read says so aside and leaves the others alone.
func (s *session) List() (map[string]string, error) {
	hosts, err := s.Keyring.Hosts()
	if err != nil {
		return nil, err
	}
	users := map[string]string{}
	for _, host := range hosts {
		c, err := s.Keyring.Read(host)
		switch {
		case errors.Is(err, keyring.ErrNotFound): // removed just now
		case err != nil:
			fmt.Fprintf(s.Aside, "%s: the login to %s is not listed: %v\n", Name, host, err)
		default:
			users[host] = c.User
		}
	}
	return users, nil
}

// bounded is a reader that fails where there is too much.
type bounded struct {
	in   io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.in.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, fmt.Errorf("the input is longer than %d bytes", maxInput)
	}
	return n, err
}
