// Package login takes the passwords that requests bring: it bounds them, takes
// none over a connection that others can read, records failures, and lets nobody
// guess.
package login

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/lockout"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
)

// Bounds of what a client may send as a name and a password.
const (
	maxUser     = 255
	maxPassword = 16 << 10 // tokens come as passwords too
)

// operation is what failures are recorded under.
const operation = "login"

// ErrReadable is for those who could only sign in by sending a secret for others
// to read.
var ErrReadable = oci.Errorf(oci.Denied, "this connection can be read by others, so no password is taken over it: use https")

// Desk is where people sign in. Its fields are set before its first use.
type Desk struct {
	Passwords authn.Password // nil: no passwords are taken, everybody is anonymous
	Fresh     authn.Password // Passwords without what they remember; nil: they remember nothing
	Presence  authn.Presence // nil: nobody is known without credentials
	Audit     audit.Func
	Lockout   *lockout.Guard // nil: one may guess

	// Delay is what a failure takes, or a multiple of it: so nobody can tell by the
	// time which sources were asked, and whether they know the user. 0: no longer
	// than it takes.
	Delay time.Duration

	waiting atomic.Int32 // failures that are not answered yet
}

// Present returns who sent a request that has no Authorization header: whom a
// certificate or a proxy vouches for, else the anonymous identity.
//
// Errors: Unavailable.
func (d *Desk) Present(r *http.Request) (access.Identity, error) {
	if d.Presence == nil {
		return access.Anonymous(), nil
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // where this fails, nobody is there
	address := peer.Addr().Unmap().WithZone("")  // networks of a configuration have no zones
	who, err := d.Presence.VerifyArrival(r.Context(), authn.Arrival{Peer: address, TLS: r.TLS, Header: r.Header})
	switch {
	case err == nil:
		return who, nil
	case err == authn.ErrNoMatch: //nolint:errorlint // the bare one: nothing was shown
		return access.Anonymous(), nil
	case errors.Is(err, authn.ErrNoMatch): // what was shown may be meant for somebody else
		d.note(r, access.Identity{}, err.Error())
		return access.Anonymous(), nil
	default:
		return access.Identity{}, oci.Errorf(oci.Unavailable, "the login service cannot answer now: try again later").Because(err)
	}
}

// Basic returns who signed the request with a user name and a password
// (RFC 7617). It is for requests with exactly one Authorization header.
//
// Errors: Unauthorized; Denied on a connection that others can read;
// TooManyRequests; Unavailable.
func (d *Desk) Basic(r *http.Request) (access.Identity, error) {
	user, password, err := Credentials(r)
	if err != nil {
		return access.Identity{}, err
	}
	return d.Check(r, user, password)
}

// Credentials returns the user name and the password of a request that has exactly one
// Authorization header.
//
// Errors: Unauthorized.
func Credentials(r *http.Request) (user, password string, err error) {
	user, password, ok := r.BasicAuth()
	if len(r.Header.Values("Authorization")) != 1 || !ok {
		return "", "", oci.Errorf(oci.Unauthorized, "the credentials of the request cannot be read: sign in with a user name and a password")
	}
	return user, password, nil
}

// Check is Basic for a name and a password that came in another way.
func (d *Desk) Check(r *http.Request, user, password string) (access.Identity, error) {
	return d.check(r, d.Passwords, user, password)
}

// CheckAfresh is Check, and asks the sources themselves: it takes no password that was
// right some time ago.
func (d *Desk) CheckAfresh(r *http.Request, user, password string) (access.Identity, error) {
	if d.Fresh == nil {
		return d.Check(r, user, password)
	}
	return d.check(r, d.Fresh, user, password)
}

func (d *Desk) check(r *http.Request, by authn.Password, user, password string) (access.Identity, error) {
	if d.Passwords == nil { // an open registry: whoever one claims to be, one may do the same
		return access.Anonymous(), nil
	}
	if !reqctx.ClientOf(r.Context()).Private {
		return access.Identity{}, oci.Errorf(oci.Denied, "a password came over a connection that others can read: use https, and change that password")
	}
	begun := time.Now()
	who, err := d.verify(r, by, user, password)
	if err != nil {
		return access.Identity{}, d.later(r.Context(), begun, err)
	}
	return who, nil
}

// verify asks the identity sources, if a password may be tried now.
func (d *Desk) verify(r *http.Request, by authn.Password, user, password string) (access.Identity, error) {
	if err := d.checkForm(r, user, password); err != nil {
		return access.Identity{}, err
	}
	attempt, err := d.begin(r, user, password)
	if err != nil {
		return access.Identity{}, err
	}
	defer attempt.Drop()
	who, err := by.VerifyPassword(r.Context(), user, password)
	switch {
	case err == nil:
		attempt.Right()
		return who, nil
	case errors.Is(err, authn.ErrNoMatch), errors.Is(err, authn.ErrWrongPassword):
		err = d.failed(r, tried(user, err), err.Error())
		d.count(r, &attempt, user, password)
		return access.Identity{}, err
	case errors.Is(err, authn.ErrBusy):
		return access.Identity{}, oci.Errorf(oci.TooManyRequests, "too many passwords are being checked: try again in a moment").Because(err)
	default:
		return access.Identity{}, oci.Errorf(oci.Unavailable, "the login service cannot answer now: try again later").Because(fmt.Errorf("verify password of %q: %w", user, err))
	}
}

// checkForm refuses what nobody can sign in with. No source is asked about it: they may
// have logs of their own.
func (d *Desk) checkForm(r *http.Request, user, password string) error {
	if user == "" || len(user) > maxUser || len(password) > maxPassword || strings.ContainsAny(user, "\x00\r\n:") {
		return d.failed(r, access.Identity{}, "malformed user name or password")
	}
	if shown, secret := withoutSecrets(user); secret {
		d.note(r, access.Identity{User: shown}, "a key or a token stands where the user name belongs")
		return oci.Errorf(oci.Unauthorized, "a key or a token stands where the user name belongs: send it as the password")
	}
	return nil
}

// tried is who somebody wanted to be, at the source that knows them if one does.
func tried(user string, err error) access.Identity {
	var known *authn.SourceError
	if errors.As(err, &known) {
		return access.Identity{User: user, Source: known.Source}
	}
	return access.Identity{User: user}
}

func (d *Desk) failed(r *http.Request, who access.Identity, why string) error {
	d.note(r, who, why)
	return oci.Errorf(oci.Unauthorized, "user name or password is wrong")
}

// note records that nobody was let in for what was shown.
func (d *Desk) note(r *http.Request, who access.Identity, why string) {
	d.Audit(r.Context(), audit.Record{
		RequestID: reqctx.ID(r.Context()), Client: reqctx.ClientOf(r.Context()).Addr,
		Who: who, Operation: operation, Outcome: audit.LoginFailed, Rule: why,
	})
}
