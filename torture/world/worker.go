package world

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/moorgate/moorgate/torture/client"
)

// Step is one change of a repository: what a client asks for, and what the world
// is when it was done.
type Step struct {
	Name  string // one of Kinds for the steps of this package
	Ask   func(ctx context.Context, c *client.Client, repo string) error
	Apply func(*World)
}

// Base is a repository that others mount from, and that nobody changes.
type Base struct {
	Repo  string
	Blobs [][]byte
}

// PushBase pushes ten blobs into repo.
func PushBase(ctx context.Context, c *client.Client, repo string) (Base, error) {
	b := Base{Repo: repo}
	for range 10 {
		content := client.Random(10_000)
		if err := c.PushBlobAtOnce(ctx, repo, content); err != nil {
			return b, err
		}
		b.Blobs = append(b.Blobs, content)
	}
	return b, nil
}

// Worker changes one repository, one step after the other. It is for one
// goroutine, and nobody else may change its repository.
type Worker struct {
	Repo    string
	World   *World         // acknowledged
	Pending *Step          // asked for, and nobody knows whether it was done; nil if there is none
	Done    map[string]int // how often each step was acknowledged, by name

	base   Base
	random *rand.Rand
}

// NewWorker returns a worker on a repository that is not there yet. The same seed
// makes the same choices as long as the registry gives the same answers.
func NewWorker(repo string, base Base, seed uint64) *Worker {
	return &Worker{Repo: repo, World: New(), Done: map[string]int{}, base: base, random: rand.New(rand.NewPCG(seed, 0))}
}

// Do asks for a step and notes that it was done. After an error it is Pending,
// whatever the error is: Settle finds out more. A worker with a pending step must
// be settled first.
func (w *Worker) Do(ctx context.Context, c *client.Client, s Step) error {
	if w.Pending != nil {
		return fmt.Errorf("%s: %s: the outcome of %q is not known yet", w.Repo, s.Name, w.Pending.Name)
	}
	if err := s.Ask(ctx, c, w.Repo); err != nil {
		w.Pending = &s
		return fmt.Errorf("%s: %s: %w", w.Repo, s.Name, err)
	}
	s.Apply(w.World)
	w.Done[s.Name]++
	return nil
}

// Run changes the repository until no whole answer comes: the server is gone. It
// returns a *client.StatusError if a step was refused. After each step that was
// acknowledged it calls each of then.
func (w *Worker) Run(ctx context.Context, c *client.Client, then ...func()) error {
	for {
		err := w.Do(ctx, c, w.Next())
		var status *client.StatusError
		if errors.As(err, &status) {
			return err
		}
		if err != nil {
			return nil
		}
		for _, f := range then {
			f()
		}
	}
}

// Settle finds out whether the pending step was done, and fails unless all is as
// it was acknowledged, with that step or without. Without a pending step it is a
// check of the world.
func (w *Worker) Settle(ctx context.Context, c *client.Client) error {
	without := w.World.Check(ctx, c, w.Repo)
	if w.Pending == nil || without == nil {
		w.Pending = nil
		return without
	}
	after := w.World.Clone()
	w.Pending.Apply(after)
	if with := after.Check(ctx, c, w.Repo); with != nil {
		return fmt.Errorf("in the middle of %q: without it %w; with it %w", w.Pending.Name, without, with)
	}
	w.World, w.Pending = after, nil
	return nil
}
