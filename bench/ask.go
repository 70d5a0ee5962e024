package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// question is a request that is sent over and over.
type question struct {
	method, url string
	header      http.Header
	tls         *tls.Config // for https
}

// ask sends the same request over and over, on so many connections, until the time
// is over; what has begun is finished. It is for what wrk cannot do: wrk waits for
// the body that an answer to HEAD only announces, and forgets what is under way at
// its end.
func ask(ctx context.Context, q question, connections int, long time.Duration) (rate float64, p99 time.Duration, err error) {
	u, err := url.Parse(q.url)
	if err != nil {
		return 0, 0, err
	}
	request := q.method + " " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\n"
	for name, values := range q.header {
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
			took, err := q.onOne(ctx, u.Host, []byte(request+"\r\n"), begun.Add(long))
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if first == nil {
				first = err
			}
		})
	}
	wait.Wait()
	switch {
	case first != nil:
		return 0, 0, first
	case len(all) == 0:
		return 0, 0, errors.Join(ctx.Err(), errors.New("no request was sent"))
	}
	return float64(len(all)) / time.Since(begun).Seconds(), percentile99(all), nil
}

func percentile99(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)*99/100]
}

// onOne asks on one connection until the end, at least once, and returns how long
// each took.
func (q question) onOne(ctx context.Context, addr string, request []byte, end time.Time) ([]time.Duration, error) {
	conn, err := q.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	in := bufio.NewReader(conn)
	var took []time.Duration
	for now := time.Now(); len(took) == 0 || now.Before(end); {
		if _, err := conn.Write(request); err != nil {
			return took, err
		}
		if err := q.readAnswer(in); err != nil {
			return took, err
		}
		then := now
		now = time.Now()
		took = append(took, now.Sub(then))
	}
	return took, nil
}

func (q question) dial(ctx context.Context, addr string) (net.Conn, error) {
	if q.tls != nil {
		return (&tls.Dialer{Config: q.tls}).DialContext(ctx, "tcp", addr)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

// readAnswer reads a good answer. That to HEAD has no body, and needs no reader
// that costs more than the server.
func (q question) readAnswer(in *bufio.Reader) error {
	if q.method == http.MethodHead {
		return readHeaders(in)
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // as far as it comes
		return fmt.Errorf("%s %s: %s: %s", q.method, q.url, resp.Status, said)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
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
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
