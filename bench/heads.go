package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// heads sends the same HEAD request over and over, on so many connections, as wrk
// does with GET: wrk waits for the body that an answer to HEAD only announces.
func heads(ctx context.Context, target string, header http.Header, connections int, long time.Duration) (rate float64, p99 time.Duration, err error) {
	u, err := url.Parse(target)
	if err != nil {
		return 0, 0, err
	}
	request := "HEAD " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\n"
	for name, values := range header {
		request += name + ": " + values[0] + "\r\n"
	}
	var (
		mu    sync.Mutex
		all   []time.Duration
		first error
		wait  sync.WaitGroup
	)
	begun := time.Now()
	for range connections {
		wait.Go(func() {
			took, err := headsOnOne(ctx, u.Host, []byte(request+"\r\n"), begun.Add(long))
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if first == nil {
				first = err
			}
		})
	}
	wait.Wait()
	if first != nil || len(all) == 0 {
		return 0, 0, first
	}
	rate = float64(len(all)) / time.Since(begun).Seconds()
	slices.Sort(all)
	return rate, all[len(all)*99/100], nil
}

// headsOnOne asks on one connection until the end, and returns how long each took.
func headsOnOne(ctx context.Context, addr string, request []byte, end time.Time) ([]time.Duration, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	var took []time.Duration
	for now := time.Now(); now.Before(end) && ctx.Err() == nil; {
		if _, err := conn.Write(request); err != nil {
			return took, err
		}
		if err := readHeaders(in); err != nil {
			return took, err
		}
		then := now
		now = time.Now()
		took = append(took, now.Sub(then))
	}
	return took, nil
}

// readHeaders reads the headers of a good answer.
func readHeaders(in *bufio.Reader) error {
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("%w in an answer", noEOF(err))
		}
		const status = len("HTTP/1.1 ")
		switch {
		case first && (len(line) <= status || line[status] != '2'):
			return fmt.Errorf("the answer is %q", line)
		case len(line) <= len("\r\n"):
			return nil
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // of a bufio.Reader
		return io.ErrUnexpectedEOF
	}
	return err
}
