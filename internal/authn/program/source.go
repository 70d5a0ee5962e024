package program

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// Limits bound what a program takes.
type Limits struct {
	Timeout time.Duration // for an answer; and for the wait until it may be asked
	AtOnce  int           // questions at the same time; 64 wait for each
}

// Source is the users of a program: an authn.Stamped, an authn.Directory and an
// authn.Prober.
type Source struct {
	name   string
	asker  Asker
	limits Limits
	turns  *authn.Limiter
	log    *slog.Logger
}

var (
	_ authn.Stamped   = (*Source)(nil)
	_ authn.Directory = (*Source)(nil)
	_ authn.Prober    = (*Source)(nil)
)

// New returns the users of the program behind asker. name is Identity.Source of its
// users.
func New(name string, asker Asker, l Limits, log *slog.Logger) *Source {
	return &Source{name: name, asker: asker, limits: l, turns: authn.NewLimiter(l.AtOnce, 0), log: log}
}

// Stamp is authn.Stamped. A program does not tell when a password changes, so what
// is remembered ends by its age alone.
func (s *Source) Stamp(user string) string {
	if !isName(user) {
		return ""
	}
	return s.name
}

// VerifyPassword is authn.Password. How long the program takes for a name that it
// does not know is its own affair.
func (s *Source) VerifyPassword(ctx context.Context, user, password string) (access.Identity, error) {
	if !isName(user) {
		return access.Identity{}, authn.ErrNoMatch
	}
	q := question{Operation: verify, User: user, Password: password}
	made := !isPassword(password)
	if made {
		q.Password = rand.Text() // which is wrong: whether the user is known is still to be asked
	}
	a, err := s.ask(ctx, q)
	if err != nil {
		return access.Identity{}, err
	}
	switch a.result {
	case resultOK:
		if made {
			return access.Identity{}, s.fault(errAnyPassword, q)
		}
		return s.identity(a, q)
	case resultWrong:
		return access.Identity{}, authn.ErrWrongPassword
	case resultUnknown:
		return access.Identity{}, authn.ErrNoMatch
	default:
		return access.Identity{}, s.fault(a.unfit(q), q)
	}
}

var errAnyPassword = errors.New(`it says "ok" to a password that was made up at random: it has to compare passwords`)

// Lookup is authn.Directory.
func (s *Source) Lookup(ctx context.Context, source, user string) (access.Identity, string, error) {
	if source != s.name {
		return access.Identity{}, "", authn.ErrCannotTell
	}
	if !isName(user) {
		return access.Identity{}, "", authn.ErrNoMatch
	}
	q := question{Operation: lookup, User: user}
	a, err := s.ask(ctx, q)
	if err != nil {
		return access.Identity{}, "", err
	}
	switch a.result {
	case resultOK:
		if a.stamp == "" {
			return access.Identity{}, "", s.fault(errNoStamp, q)
		}
		who, err := s.identity(a, q)
		if err != nil {
			return access.Identity{}, "", err
		}
		return who, a.stamp, nil
	case resultUnknown:
		return access.Identity{}, "", authn.ErrNoMatch
	case resultUnsupported:
		return access.Identity{}, "", authn.ErrCannotTell
	default:
		return access.Identity{}, "", s.fault(a.unfit(q), q)
	}
}

var errNoStamp = errors.New(`its answer to "lookup" has no "stamp", which must change with the password; without one it says "unsupported"`)

// identity returns who was let in. The program says how it writes the name: what
// was typed must be that, as to the rules Alice and alice are two.
func (s *Source) identity(a answer, q question) (access.Identity, error) {
	switch a.user {
	case q.User:
		return access.Identity{User: a.user, Groups: a.groups, Source: s.name, Claims: a.claims}, nil
	case "":
		return access.Identity{}, s.fault(errNoUser, q)
	default:
		return access.Identity{}, authn.ErrNoMatch
	}
}

var errNoUser = errors.New(`its answer "ok" has no "user": it is the name as the program has it`)

// ask asks the program when it is its turn. Whoever waits for longer than an answer
// may take is told to come again.
//
// Errors: authn.ErrBusy; that of ctx if it ends; others are faults.
func (s *Source) ask(ctx context.Context, q question) (a answer, err error) {
	q.Version, q.Source = Version, s.name
	line, err := q.encode()
	if err != nil {
		return answer{}, s.fault(err, q)
	}
	patience, stop := context.WithTimeout(ctx, s.limits.Timeout)
	defer stop()
	turn := s.turns.Do(patience, func() { a, err = s.askNow(ctx, line, q) })
	switch {
	case ctx.Err() != nil:
		return answer{}, fmt.Errorf("asking program %s: %w", s.name, ctx.Err())
	case turn != nil:
		return answer{}, authn.ErrBusy
	case err != nil:
		return answer{}, s.fault(err, q)
	}
	return a, nil
}

func (s *Source) askNow(ctx context.Context, line []byte, q question) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Timeout)
	defer cancel()
	reply, err := s.asker.Ask(ctx, line)
	if ctx.Err() != nil && err != nil {
		late := &Fault{What: fmt.Sprintf("it has not answered within %s (timeout)", s.limits.Timeout)}
		if f := (*Fault)(nil); errors.As(err, &f) {
			late.Said = f.What + "\n" + f.Said
		}
		return answer{}, late
	}
	if err != nil {
		return answer{}, err
	}
	if notes := presentable(reply.Notes, q.User, q.Password); notes != "" {
		s.log.WarnContext(ctx, "a login program has said something", "source", s.name, "said", notes)
	}
	return parseAnswer(reply.Answer)
}

// unfit is why an answer is none to a question.
func (a answer) unfit(q question) error {
	if a.result == resultError {
		return &Fault{What: "it says that it cannot tell", Said: a.message}
	}
	return &Fault{What: fmt.Sprintf("its result is none of those for %q", q.Operation), Said: string(a.result)}
}

// fault says of which source an error is. It is a text alone: a timeout in it is
// not that of a request.
func (s *Source) fault(err error, q question) error {
	text := err.Error()
	if f := (*Fault)(nil); errors.As(err, &f) {
		if said := presentable(f.Said, q.User, q.Password); said != "" {
			text += ": " + said
		}
	}
	return fmt.Errorf("program %s: %s", s.name, text)
}

// Probe is authn.Prober: it asks whether the program can answer, and whether it
// keeps strangers out.
func (s *Source) Probe(ctx context.Context) (string, error) {
	q := question{Operation: probe}
	a, err := s.ask(ctx, q)
	if err != nil {
		return "", err
	}
	if a.result != resultOK && a.result != resultUnsupported {
		return "", s.fault(a.unfit(q), q)
	}
	var found []string
	if message := presentable(a.message, "", ""); message != "" {
		found = append(found, message)
	}
	stranger := "nobody-" + strings.ToLower(rand.Text())
	switch _, err := s.VerifyPassword(ctx, stranger, rand.Text()); {
	case err == nil:
		return "", s.fault(errAnyPassword, q)
	case errors.Is(err, authn.ErrWrongPassword):
		found = append(found, `it says "wrong" of users whom it does not know, so no source behind it is asked`)
	case !errors.Is(err, authn.ErrNoMatch):
		return "", err
	}
	return s.probeLookup(ctx, stranger, found)
}

// probeLookup finds out whether there can be refresh tokens.
func (s *Source) probeLookup(ctx context.Context, stranger string, found []string) (string, error) {
	q := question{Operation: lookup, User: stranger}
	a, err := s.ask(ctx, q)
	if err != nil {
		return "", err
	}
	switch a.result {
	case resultUnknown:
	case resultUnsupported:
		found = append(found, `without "lookup" there are no refresh tokens and no personal keys, and sessions do not end with their users`)
	case resultOK:
		return "", s.fault(errors.New(`it says that a user with a name made up at random is there ("lookup")`), q)
	default:
		return "", s.fault(a.unfit(q), q)
	}
	if len(found) == 0 {
		found = append(found, "it answers")
	}
	return strings.Join(found, "; "), nil
}
