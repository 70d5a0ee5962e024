package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// bench is one run of everything.
type bench struct {
	options
	progress *progress

	dir   string // for all that is only for now
	files string // the content as files, at the paths of the API

	pattern []byte
	image   *image
	medium  *blob // that comes from a file, not from a memory for small ones
	many    *blob // for many pulls at once
	large   *blob
	runs    int

	largeSize int64 // of a large layer, bytes
}

func newBench(o options, out io.Writer) *bench {
	return &bench{options: o, progress: &progress{out: out}, largeSize: 512 << 20}
}

// all measures everything, and writes the report after each scenario: a run that
// is cut off leaves what it has measured. out gets the tables too.
func (b *bench) all(ctx context.Context, out io.Writer) error {
	plan := b.plan(scenarios(), kinds())
	if len(plan) == 0 {
		return errors.New("no server and no scenario has such a name")
	}
	dir, err := os.MkdirTemp(b.under, "moorgate-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if b.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := b.prepare(plan); err != nil {
		return err
	}
	r := newReport(b)
	b.progress.begin(b.steps(plan))
	for _, t := range plan {
		b.progress.task(t, b.roundsOf(t))
		o := b.measureTask(ctx, t)
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), r.write(b.out, false)) // what it came to is worth nothing
		}
		r.add(o)
		fmt.Fprint(out, o.table())
		for _, f := range o.failures {
			b.progress.failed(t, f)
		}
		if err := r.write(b.out, false); err != nil {
			return err
		}
	}
	fmt.Fprint(out, r.summary())
	if err := r.write(b.out, true); err != nil {
		return err
	}
	return r.failure()
}

// prepare makes the content, and a copy of each program, so that a build during
// the run does no harm.
func (b *bench) prepare(plan []*task) error {
	b.pattern = newPattern(4<<20 + 8) // no multiple of common block sizes
	b.image = newImage(b.pattern, 3, 64<<10)
	b.medium = newBlob(b.pattern, 100<<10)
	b.many = newBlob(b.pattern, 32<<20)
	b.large = newBlob(b.pattern, b.largeSize)
	b.files = filepath.Join(b.dir, "files")
	return errors.Join(
		b.copyPrograms(plan),
		b.writeCertificate(),
		b.writeHtpasswd(guardsOf(plan)...),
		b.writeFiles(),
	)
}

// next numbers what must not be the same twice.
func (b *bench) next() int {
	b.runs++
	return b.runs
}

// measureTask measures all servers of a task, in turn, round by round. A server
// that fails is out, and does not keep the others from being measured.
func (b *bench) measureTask(ctx context.Context, t *task) *outcome {
	o := &outcome{task: t, measured: map[string][]result{}}
	var list []*server
	defer func() {
		for _, s := range list {
			s.end()
		}
	}()
	for _, k := range t.kinds {
		s := b.newServer(t, k)
		list = append(list, s)
		if err := b.ready(ctx, t, k, s); err != nil {
			o.fail(k.name, err)
		}
	}
	for round := range b.roundsOf(t) {
		b.progress.round(round)
		for _, s := range rotated(list, round) {
			if o.failed(s.name) || ctx.Err() != nil {
				continue
			}
			r, err := b.runTask(ctx, t, s)
			if err != nil {
				o.fail(s.name, err)
				continue
			}
			o.measured[s.name] = append(o.measured[s.name], r)
			b.progress.step()
		}
	}
	return o
}

// runTask runs a task once. What others have left unwritten is not its work.
func (b *bench) runTask(ctx context.Context, t *task, s *server) (result, error) {
	if t.writes {
		if err := b.sync(); err != nil {
			return result{}, err
		}
	}
	return t.run(b, ctx, s)
}

// sync writes out the file system that all servers write to, and no other one.
func (b *bench) sync() error {
	dir, err := os.Open(b.dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(dir.Fd())), dir.Close())
}

// rotated is the list, each round begun with the next one: none always comes
// behind the same other.
func rotated[T any](list []T, round int) []T {
	if len(list) == 0 {
		return nil
	}
	first := round % len(list)
	return append(append([]T{}, list[first:]...), list[:first]...)
}

// ready starts a server, and gives it what the scenario needs.
func (b *bench) ready(ctx context.Context, t *task, k kind, s *server) error {
	if t.large != nil {
		if err := b.fill(ctx, t.large, k, s); err != nil {
			return err
		}
	}
	if err := k.start(b, s); err != nil {
		return err
	}
	if err := s.signIn(ctx); err != nil {
		return err
	}
	if t.large != nil {
		return t.large.check(ctx, s)
	}
	if t.seed == nil || k.limit != "" {
		return nil
	}
	return t.seed(b, ctx, s)
}

// copyPrograms takes over the programs of this repository that the plan needs. One
// that is missing is found out by the scenarios that need it.
func (b *bench) copyPrograms(plan []*task) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(b.dir, "bin"), 0o755); err != nil { //nolint:gosec // no secret
		return err
	}
	from := map[string]string{ourProgram: filepath.Join(b.bin, ourProgram), theirProgram: filepath.Join(b.bin, theirProgram), thisProgram: self}
	for _, t := range plan {
		for _, k := range t.kinds {
			path, needed := from[k.program]
			if !needed {
				continue
			}
			delete(from, k.program)
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err := copyFile(b.program(k.program), path, 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

// program is our own copy of a program.
func (b *bench) program(name string) string { return filepath.Join(b.dir, "bin", name) }

// Programs of this repository.
const (
	ourProgram   = "moorgate"
	theirProgram = "distribution"
	thisProgram  = "bench"
)

func copyFile(to, from string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
