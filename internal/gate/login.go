package gate

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
)

// Bounds of what a client may send as a name and a password.
const (
	maxUser     = 255
	maxPassword = 4096
)

// errReadable is for those who could only sign in by sending a password for
// others to read.
var errReadable = oci.Errorf(oci.Denied, "this connection can be read by others, so no password is taken over it: use https")

// authenticate returns who is asking. A request without credentials is the
// anonymous identity's; one with wrong ones is nobody's.
func (g *Gate) authenticate(r *http.Request) (access.Identity, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return access.Anonymous(), nil
	}
	user, password, ok := r.BasicAuth()
	if len(values) > 1 || !ok {
		return access.Identity{}, oci.Errorf(oci.Unauthorized, "the credentials of the request cannot be read: sign in with a user name and a password")
	}
	if g.Login == nil { // an open registry: whoever one claims to be, one may do the same
		return access.Anonymous(), nil
	}
	if !reqctx.ClientOf(r.Context()).Private {
		return access.Identity{}, oci.Errorf(oci.Denied, "a password came over a connection that others can read: use https, and change that password")
	}
	if user == "" || len(user) > maxUser || len(password) > maxPassword || strings.ContainsAny(user, "\x00\r\n:") {
		return access.Identity{}, g.loginFailed(r, "", "malformed user name or password")
	}
	who, err := g.Login.VerifyPassword(r.Context(), user, password)
	switch {
	case err == nil:
		return who, nil
	case errors.Is(err, authn.ErrNoMatch), errors.Is(err, authn.ErrWrongPassword):
		return access.Identity{}, g.loginFailed(r, user, err.Error())
	case errors.Is(err, authn.ErrBusy):
		return access.Identity{}, oci.Errorf(oci.TooManyRequests, "too many passwords are being checked: try again in a moment").Because(err)
	default:
		return access.Identity{}, oci.Errorf(oci.Unavailable, "the login service cannot answer now: try again later").Because(fmt.Errorf("verify password of %q: %w", user, err))
	}
}

func (g *Gate) loginFailed(r *http.Request, user, why string) error {
	g.Audit(r.Context(), audit.Record{
		RequestID: reqctx.ID(r.Context()), Client: reqctx.ClientOf(r.Context()).Addr,
		Who: access.Identity{User: user}, Outcome: audit.LoginFailed, Rule: why,
	})
	return oci.Errorf(oci.Unauthorized, "user name or password is wrong")
}

// challenge tells a client how to sign in (RFC 7617).
func (g *Gate) challenge() string {
	return fmt.Sprintf(`Basic realm=%q, charset="UTF-8"`, g.Realm)
}
