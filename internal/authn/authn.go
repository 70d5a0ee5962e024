// Package authn is the contract of identity sources: they answer who is asking.
package authn

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"time"

	"github.com/moorgate/moorgate/internal/access"
)

// Errors of identity sources, to compare with by errors.Is. Any other error is
// a fault of the source and means that it cannot answer now.
var (
	// ErrNoMatch says "not mine, ask the next source": the user is unknown here.
	ErrNoMatch = errors.New("user not known to this source")

	// ErrWrongPassword says that the user is known here and the password is not
	// theirs. No other source is asked.
	ErrWrongPassword = errors.New("wrong password")

	// ErrExpired says that a token is genuine and its time is over.
	ErrExpired = errors.New("the token has expired")

	// ErrCannotTell says of a Directory that it is not the one to ask: the source is
	// another, or never tells whether its users are still there. It says nothing about
	// the user, and will not say more later.
	ErrCannotTell = errors.New("it cannot be told later whether the user is still there")

	// ErrBusy says that too many passwords are being checked; try again soon.
	ErrBusy = errors.New("too many passwords are being checked")
)

// Password verifies a user name and a password.
type Password interface {
	// VerifyPassword returns the identity of user if password is theirs.
	// It may be called at once by many. It does as much work for unknown users as
	// for known ones, and never keeps or prints the password. How long a server
	// of others takes for that is not ours to promise.
	//
	// Errors: ErrNoMatch, ErrWrongPassword, ErrBusy.
	VerifyPassword(ctx context.Context, user, password string) (access.Identity, error)
}

// Recognizer is a source that knows its own credentials by their form, such as
// tokens and keys. They are shown to it, and to no source that does not recognize
// them: neither is somebody else told a secret, nor is a slow hash computed in vain.
type Recognizer interface {
	Password

	// Recognizes reports whether these may be credentials of this source. It is
	// fast, may be called at once by many, and says nothing about whether they are
	// genuine.
	Recognizes(user, password string) bool
}

// Arrival is how a request came, besides the credentials in it.
type Arrival struct {
	Peer   netip.Addr           // the other end of the connection; the zero value if it is not known
	TLS    *tls.ConnectionState // of the connection; nil without TLS
	Header map[string][]string  // as net/http.Header has it; not to be changed
}

// Presence vouches for whoever sends a request without credentials: by the
// certificate of the client, or by the word of a proxy in front of us.
type Presence interface {
	// VerifyArrival returns who has come so. It may be called at once by many.
	//
	// Errors: the bare ErrNoMatch if nothing was shown that this source is about;
	// ErrNoMatch wrapped with the reason if it knows nobody who comes so.
	VerifyArrival(ctx context.Context, a Arrival) (access.Identity, error)
}

// Token is what a verified token says.
type Token struct {
	Who     access.Identity
	Ceiling access.Ceiling // nil: it says who somebody is, and limits nothing
	Expires time.Time
	Bound   string // of a session: what must not have changed since it began; "": nothing
	Foreign bool   // a token server of others made it for whoever trusts that server: they may see it
}

// Bearer verifies a token.
type Bearer interface {
	// VerifyToken returns what token says. It may be called at once by many, and
	// never keeps or prints the token.
	//
	// Errors: ErrNoMatch: not issued by those whom this source trusts, or not for
	// us; ErrExpired, together with the Token: it was good once.
	VerifyToken(ctx context.Context, token string) (Token, error)
}

// Prober is a source that can be tried without a user.
type Prober interface {
	// Probe tries all that the source needs, such as its servers, and returns what
	// it found: a line for the operator. The error says all that is wrong, and what
	// to do.
	Probe(ctx context.Context) (string, error)
}

// Directory tells about users without their password: whether somebody who
// signed in some time ago may still be taken for signed in.
type Directory interface {
	// Lookup returns the present identity of a user of the named source, and a
	// stamp that changes when their password does.
	//
	// Errors: ErrNoMatch if there is no such user any more; ErrCannotTell if it cannot
	// be asked about users of that source, now or later.
	Lookup(ctx context.Context, source, user string) (access.Identity, string, error)
}
