package authn

import (
	"context"
	"errors"

	"github.com/moorgate/moorgate/internal/access"
)

// SourceError is ErrWrongPassword with the name of the source that said so: the one
// that knows the user.
type SourceError struct {
	Source string
	Err    error
}

func (e *SourceError) Error() string { return e.Err.Error() }

func (e *SourceError) Unwrap() error { return e.Err }

// Named returns next, whose wrong passwords are a SourceError with its name. It
// recognizes what next does.
func Named(source string, next Password) Password {
	if r, ok := next.(Recognizer); ok {
		return &namedRecognizer{named{source, next}, r}
	}
	return &named{source, next}
}

type named struct {
	source string
	next   Password
}

func (n *named) VerifyPassword(ctx context.Context, user, password string) (access.Identity, error) {
	who, err := n.next.VerifyPassword(ctx, user, password)
	if errors.Is(err, ErrWrongPassword) {
		err = &SourceError{n.source, err}
	}
	return who, err
}

type namedRecognizer struct {
	named
	form Recognizer
}

func (n *namedRecognizer) Recognizes(user, password string) bool {
	return n.form.Recognizes(user, password)
}
