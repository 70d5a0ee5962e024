package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// result is what one run of a scenario on a server came to.
type result struct {
	value  float64       // in the unit of the scenario
	cpu    time.Duration // of the server, for one operation
	memory int64         // of the server at its end, bytes
	p99    time.Duration // of an operation; 0 if it was not measured
}

// wrk sends the same request over and over, on so many connections, for so long.
func wrk(ctx context.Context, program string, q question, connections int, long time.Duration) (rate float64, p99 time.Duration, err error) {
	args := []string{
		"--latency", "--threads", "1", "--timeout", "60s",
		"--connections", strconv.Itoa(connections), "--duration", fmt.Sprintf("%ds", int(long.Seconds())),
	}
	for name, values := range q.header {
		args = append(args, "--header", name+": "+values[0])
	}
	out, err := exec.CommandContext(ctx, program, append(args, q.url)...).CombinedOutput() //nolint:gosec // wrk, at an address of ours
	if err != nil {
		return 0, 0, fmt.Errorf("wrk: %w: %s", err, out)
	}
	return readWrk(string(out))
}

// What wrk prints.
var (
	wrkRate   = regexp.MustCompile(`(?m)^Requests/sec: +([0-9.]+)$`)
	wrk99     = regexp.MustCompile(`(?m)^ +99% +([0-9.]+(?:us|ms|s|m))$`)
	wrkFailed = regexp.MustCompile(`(?m)^ *(Non-2xx or 3xx responses: .*|Socket errors: .*)$`)
)

func readWrk(out string) (rate float64, p99 time.Duration, err error) {
	if m := wrkFailed.FindStringSubmatch(out); m != nil {
		return 0, 0, fmt.Errorf("wrk: %s", m[1])
	}
	m := wrkRate.FindStringSubmatch(out)
	if m == nil {
		return 0, 0, fmt.Errorf("wrk says no rate: %s", out)
	}
	if rate, err = strconv.ParseFloat(m[1], 64); err != nil {
		return 0, 0, err
	}
	if m := wrk99.FindStringSubmatch(out); m != nil {
		p99, err = time.ParseDuration(m[1])
	}
	return rate, p99, err
}

// repeat does something on so many workers until the time is over, each at least
// once, and returns how often it was done in a second. What has begun is finished.
func repeat(ctx context.Context, workers int, long time.Duration, do func(ctx context.Context, worker, i int) error) (rate float64, p99 time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		mu   sync.Mutex
		took []time.Duration
		wait sync.WaitGroup
	)
	begun := time.Now()
	for w := range workers {
		wait.Go(func() {
			for i := 0; (i == 0 || time.Since(begun) < long) && ctx.Err() == nil; i++ {
				began := time.Now()
				if err := do(ctx, w, i); err != nil {
					cancel(err) // the first one counts
					return
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return 0, 0, context.Cause(ctx)
	}
	return float64(len(took)) / time.Since(begun).Seconds(), percentile99(took), nil
}

// measure runs a load on a server and adds what that used up. The value is the
// rate of the load, times the units in one operation.
func measure(s *server, load func() (rate float64, p99 time.Duration, err error), units float64) (result, error) {
	before, err := usageOf(s.processes)
	if err != nil {
		return result{}, err
	}
	begun := time.Now()
	rate, p99, err := load()
	if err != nil {
		return result{}, err
	}
	took := time.Since(begun).Seconds()
	after, err := usageOf(s.processes)
	if err != nil {
		return result{}, err
	}
	if rate <= 0 {
		return result{}, errors.New("nothing was done in the time there was")
	}
	return result{
		value: rate * units, p99: p99, memory: after.memory,
		cpu: time.Duration(float64(after.cpu-before.cpu) / (rate * took)),
	}, nil
}
