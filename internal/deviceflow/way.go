package deviceflow

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxAnswer bounds an answer of a provider, in bytes.
const maxAnswer = 1 << 20

// isAway reports whether a status says that a server cannot answer now.
func isAway(status int) bool {
	return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests
}

// through returns hc with another way to the server, which is made of its own.
func through(hc *http.Client, way func(http.RoundTripper) http.RoundTripper) *http.Client {
	next := hc.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	changed := *hc
	changed.Transport = way(next)
	return &changed
}

// reading returns hc with answers that are read to their end at once: one that breaks
// off is a fault of the network like any other.
func reading(hc *http.Client) *http.Client {
	return through(hc, func(next http.RoundTripper) http.RoundTripper { return whole{next} })
}

type whole struct{ next http.RoundTripper }

func (w whole) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// patiently returns hc for somebody who waits for a code to be typed, until ctx ends.
func patiently(ctx context.Context, hc *http.Client) (*http.Client, *patient) {
	p := &patient{over: func() bool {
		end, bounded := ctx.Deadline() // which a request may notice before ctx does
		return ctx.Err() != nil || bounded && !time.Now().Before(end)
	}}
	return through(hc, func(next http.RoundTripper) http.RoundTripper {
		p.next = next
		return p
	}), p
}

// patient makes "slow_down" of a server that is away, so that it is asked again after
// five seconds more: RFC 8628, section 3.5, wants clients to go on less often.
type patient struct {
	next  http.RoundTripper
	over  func() bool // the wait is
	fault error       // the last one before; nil after an answer
}

func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.next.RoundTrip(r)
	if err == nil && isAway(resp.StatusCode) {
		err = fmt.Errorf("status %d", resp.StatusCode)
		_ = resp.Body.Close()
	}
	if !p.over() {
		p.fault = err
	}
	if err == nil {
		return resp, nil
	}
	return &http.Response{
		Status: "400 Bad Request", StatusCode: http.StatusBadRequest, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"error":"slow_down"}`)),
	}, nil
}
