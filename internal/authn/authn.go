// Package authn is the contract of identity sources: they answer who is asking.
package authn

import (
	"context"
	"errors"

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

	// ErrBusy says that too many passwords are being checked; try again soon.
	ErrBusy = errors.New("too many passwords are being checked")
)

// Password verifies a user name and a password.
type Password interface {
	// VerifyPassword returns the identity of user if password is theirs.
	// It may be called at once by many. It takes as long for unknown users as
	// for known ones, and never keeps or prints the password.
	//
	// Errors: ErrNoMatch, ErrWrongPassword, ErrBusy.
	VerifyPassword(ctx context.Context, user, password string) (access.Identity, error)
}

// Bearer verifies a token.
type Bearer interface {
	// VerifyToken returns the identity that token stands for.
	// It may be called at once by many, and never keeps or prints the token.
	//
	// Errors: ErrNoMatch.
	VerifyToken(ctx context.Context, token string) (access.Identity, error)
}
