package authn

import (
	"context"
	"errors"

	"github.com/moorgate/moorgate/internal/access"
)

// Chain asks sources in order. ErrNoMatch asks the next one. So does a source that
// cannot answer now: it must not stop the users of others. When nobody else knows
// the user then, its fault is the answer, as it may be the one who does. Any other
// answer is the answer. A user whom no source knows, and a chain without sources,
// is ErrNoMatch, with the reasons of those sources that gave one.
//
// Credentials that a Recognizer recognizes are shown to those sources only that do.
// The chain recognizes what any of them does.
func Chain(sources ...Password) Recognizer { return chain(sources) }

type chain []Password

func (c chain) VerifyPassword(ctx context.Context, user, password string) (access.Identity, error) {
	if own := c.recognizing(user, password); len(own) > 0 {
		return own.ask(ctx, user, password)
	}
	return c.ask(ctx, user, password)
}

// Recognizes is Recognizer.
func (c chain) Recognizes(user, password string) bool {
	return len(c.recognizing(user, password)) > 0
}

// recognizing returns the sources that know these credentials by their form.
func (c chain) recognizing(user, password string) (own chain) {
	for _, source := range c {
		if r, ok := source.(Recognizer); ok && r.Recognizes(user, password) {
			own = append(own, source)
		}
	}
	return own
}

func (c chain) ask(ctx context.Context, user, password string) (access.Identity, error) {
	var fault error
	var reasons []error
	for _, source := range c {
		who, err := source.VerifyPassword(ctx, user, password)
		switch {
		case err == ErrNoMatch: //nolint:errorlint // the bare one has no reason
		case errors.Is(err, ErrNoMatch):
			reasons = append(reasons, err)
		case err == nil, errors.Is(err, ErrWrongPassword), errors.Is(err, ErrBusy), ctx.Err() != nil:
			return who, err
		case fault == nil: // the first one
			fault = err
		}
	}
	switch {
	case fault != nil:
		return access.Identity{}, fault
	case len(reasons) > 0:
		return access.Identity{}, errors.Join(reasons...)
	}
	return access.Identity{}, ErrNoMatch
}
