package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	rounds  int
	long    time.Duration  // of one measurement
	bin     string         // where the programs are that this repository builds
	under   string         // where a directory for the data is made; "" for that of temporary files
	out     string         // the file of the report; "" for none
	wrk     string         // the program wrk; "" sends all load from here
	only    *regexp.Regexp // scenarios
	servers *regexp.Regexp
}

// defaultOut gets the results of runs of everything.
const defaultOut = "bench/RESULTS.md"

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.IntVar(&o.rounds, "rounds", 5, "how often each server is measured")
	flags.DurationVar(&o.long, "time", 2*time.Second, "how long one measurement takes, in whole seconds")
	flags.StringVar(&o.bin, "bin", ".cache/bin", "the directory where moorgate and distribution are")
	flags.StringVar(&o.under, "dir", "", "keep the data of all servers in this directory, such as one on another file system")
	flags.StringVar(&o.wrk, "wrk", "wrk", "the program wrk; without one the bench sends all requests itself")
	only := flags.String("run", "", "a regular expression: only scenarios whose titles it matches")
	servers := flags.String("servers", "", "a regular expression: only servers whose names it matches")
	flags.StringVar(&o.out, "out", "", "write the results to this file; "+defaultOut+" if everything is measured")
	bare := flags.Bool("bare", false, "be the bare handler")
	var b bareOptions
	flags.StringVar(&b.files, "files", "", "with -bare: the content")
	flags.StringVar(&b.cert, "cert", "", "with -bare: speak TLS with this certificate")
	flags.StringVar(&b.key, "key", "", "with -bare: the key of the certificate")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *bare {
		return serveBare(ctx, b, out)
	}
	if o.out == "" && *only == "" && *servers == "" {
		o.out = defaultOut
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if o.servers, err = regexp.Compile(*servers); err != nil {
		return fmt.Errorf("-servers: %w", err)
	}
	if o.rounds < 1 || o.long < time.Second || o.long%time.Second != 0 {
		return fmt.Errorf("%d rounds of %s: use at least one, of whole seconds", o.rounds, o.long)
	}
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	return newBench(o, progress).all(ctx, out)
}
