package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// bench is one run of everything.
type bench struct {
	dir   string // for all that is only for now
	files string // the content as files, at the paths of the API
	bin   string // where the programs are that this repository builds

	rounds  int
	long    time.Duration // of one measurement
	only    *regexp.Regexp
	pattern []byte
	image   *image
	large   *blob
	runs    int
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&b.rounds, "rounds", 5, "how often each is measured")
	flags.DurationVar(&b.long, "time", 3*time.Second, "how long one measurement takes, in whole seconds")
	flags.StringVar(&b.bin, "bin", ".cache/bin", "where moorgate and distribution are")
	only := flags.String("run", "", "a regular expression: only scenarios whose name it matches")
	out := flags.String("out", "", "write the results to this file, too")
	bare := flags.String("bare", "", "be the bare handler, on this address")
	flags.StringVar(&b.files, "files", "", "with -bare: the content")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *bare != "" {
		return serveBare(ctx, *bare, b.files)
	}
	var err error
	if b.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	return b.all(ctx, *out)
}

// all measures everything, and reports.
func (b *bench) all(ctx context.Context, out string) error {
	dir, err := os.MkdirTemp("", "moorgate-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b.dir = dir
	if err := b.prepare(); err != nil {
		return err
	}
	r := newReport(b)
	for _, sc := range scenarios() {
		if !b.only.MatchString(sc.name) {
			continue
		}
		for _, g := range sc.guards {
			measured, err := b.scenario(ctx, sc, g)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", sc.name, g, err)
			}
			r.add(os.Stdout, sc, g, measured)
		}
	}
	if out == "" {
		return nil
	}
	return r.write(out)
}

// prepare makes the content.
func (b *bench) prepare() error {
	const large = 512 << 20
	b.pattern = newPattern(4<<20 + 8) // no multiple of common block sizes
	b.image = newImage(b.pattern, 3, 64<<10)
	b.large = newBlob(b.pattern, large)
	b.files = filepath.Join(b.dir, "files")
	return errors.Join(
		b.writeHtpasswd(5, 10, 12),
		b.writeFiles(),
	)
}

func (b *bench) program(name string) string { return filepath.Join(b.bin, name) }

// next numbers what must not be the same twice.
func (b *bench) next() int {
	b.runs++
	return b.runs
}

// scenario measures all servers, alternating, round by round.
func (b *bench) scenario(ctx context.Context, sc scenario, g guard) (map[string][]result, error) {
	var list []*server
	defer func() {
		for _, s := range list {
			s.stop()
		}
	}()
	content := ""
	if sc.content != nil {
		var err error
		if content, err = sc.content(b); err != nil {
			return nil, err
		}
	}
	for _, k := range kinds() {
		if !sc.fits(k, g) {
			continue
		}
		s := &server{name: k.name, guard: g, dir: filepath.Join(b.dir, fmt.Sprint("server", b.next())), content: content}
		list = append(list, s)
		if err := b.ready(ctx, sc, k, s); err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
	}
	measured := map[string][]result{}
	for range b.rounds {
		for _, s := range list {
			r, err := sc.run(b, ctx, s)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			measured[s.name] = append(measured[s.name], r)
		}
	}
	return measured, nil
}

// ready starts a server, and gives it what the scenario needs.
func (b *bench) ready(ctx context.Context, sc scenario, k kind, s *server) error {
	if err := k.start(b, s); err != nil {
		return err
	}
	if err := s.signIn(ctx); err != nil {
		return err
	}
	if sc.seed == nil || k.plain || sc.content != nil && !s.innermost().own() {
		return nil
	}
	return sc.seed(b, ctx, s)
}
