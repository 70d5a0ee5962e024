// Package command is the identity source of a program of the operator that is run
// for each question.
package command

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/moorgate/moorgate/internal/authn/program"
)

// Source is the users of a program.
type Source struct {
	*program.Source
	cfg    Config
	runner *runner
}

// Open looks whether the program can be run, and does not run it. name is
// Identity.Source of its users. c has passed Check.
func Open(name string, c Config, log *slog.Logger) (*Source, error) {
	if err := c.look(); err != nil {
		return nil, err
	}
	env, err := c.environment()
	if err != nil {
		return nil, err
	}
	r := &runner{command: slices.Clone(c.Command), env: env, directory: c.Directory, closed: make(chan struct{})}
	limits := program.Limits{Timeout: c.Timeout, AtOnce: c.MaxRunning}
	return &Source{Source: program.New(name, r, limits, log), cfg: c, runner: r}, nil
}

// Close ends the programs that run.
func (s *Source) Close() error {
	s.runner.close()
	return nil
}

// Probe is authn.Prober: it runs the program.
func (s *Source) Probe(ctx context.Context) (string, error) {
	if err := s.cfg.look(); err != nil {
		return "", err
	}
	found, err := s.Source.Probe(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %s", s.cfg.Command[0], found), nil
}
