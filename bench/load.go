package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// result is what one run of a scenario on a server came to.
type result struct {
	rate   float64       // in the unit of the scenario, such as requests or MiB per second
	cpu    time.Duration // of the server, for one operation
	memory int64         // of the server at its end, bytes
	p99    time.Duration // of an operation; 0 if it was not measured
}

// wrk sends the same request over and over, on so many connections, for so long.
func wrk(ctx context.Context, url string, header http.Header, connections int, long time.Duration) (rate float64, p99 time.Duration, err error) {
	args := []string{"--latency", "--threads", "1", "--connections", strconv.Itoa(connections), "--duration", fmt.Sprintf("%ds", int(long.Seconds()))}
	for name, values := range header {
		args = append(args, "--header", name+": "+values[0])
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, url)...).CombinedOutput() //nolint:gosec // wrk, at an address of ours
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

// repeat does something on so many workers until the time is over, and returns how
// often it was done in a second. What has begun is finished.
func repeat(ctx context.Context, workers int, long time.Duration, do func(ctx context.Context, worker, i int) error) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		mu    sync.Mutex
		first error
		done  int
		all   sync.WaitGroup
	)
	begun := time.Now()
	for w := range workers {
		all.Go(func() {
			for i := 0; time.Since(begun) < long && ctx.Err() == nil; i++ {
				err := do(ctx, w, i)
				mu.Lock()
				if err != nil && first == nil {
					first = err
					cancel()
				}
				done++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return float64(done) / time.Since(begun).Seconds(), first
}

// measure runs a load on a server and adds what that used up. operations tells
// how many operations a rate is, for a run of that time.
func measure(s *server, load func() (rate float64, p99 time.Duration, err error), perSecond float64) (result, error) {
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
	r := result{rate: rate * perSecond, p99: p99, memory: after.memory}
	if operations := rate * took; operations > 0 {
		r.cpu = time.Duration(float64(after.cpu-before.cpu) / operations)
	}
	return r, nil
}
