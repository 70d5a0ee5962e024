package login

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/lockout"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
)

// begin asks whether a password may be tried now. Keys and tokens may always: they
// cannot be guessed, and their owners are not locked out by those who guess passwords.
//
// Errors: TooManyRequests, in the same way whether there is such a user or not.
func (d *Desk) begin(r *http.Request, user, password string) (lockout.Attempt, error) {
	if d.Lockout == nil {
		return lockout.Attempt{}, nil
	}
	attempt, wait := d.Lockout.Begin(user, reqctx.ClientOf(r.Context()).Addr, password)
	if wait > 0 && !d.Recognizes(user, password) {
		d.Lockout.Refuse()
		return attempt, oci.Errorf(oci.TooManyRequests, "too many wrong passwords: try again in %s", (wait + time.Second - 1).Truncate(time.Second)).After(wait)
	}
	return attempt, nil
}

// count counts a wrong password, and records the locks that begin with it.
func (d *Desk) count(r *http.Request, attempt *lockout.Attempt, user, password string) {
	if d.Recognizes(user, password) {
		return
	}
	for _, lock := range attempt.Wrong() {
		d.note(r, access.Identity{User: user}, lock.String())
	}
}

// Recognizes reports whether a source knows these credentials by their form, as keys and
// tokens. Then they are shown to no other.
func (d *Desk) Recognizes(user, password string) bool {
	source, ok := d.Passwords.(authn.Recognizer)
	return ok && source.Recognizes(user, password)
}

// maxWaiting is how many failures wait for their time at once.
const maxWaiting = 1024

// later returns the error of a login that began at begun when its time has come. One
// that was put off is told at once: nobody was asked about it.
func (d *Desk) later(ctx context.Context, begun time.Time, err error) error {
	var known *oci.Error
	if d.Delay <= 0 || errors.As(err, &known) && known.Kind == oci.TooManyRequests {
		return err
	}
	defer d.waiting.Add(-1)
	if d.waiting.Add(1) > maxWaiting {
		return oci.Errorf(oci.TooManyRequests, "too many logins have failed just now: try again in a moment").Because(err)
	}
	timer := time.NewTimer(d.Delay - time.Since(begun)%d.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done(): // nobody waits for the answer
	}
	return err
}
