package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// seedImage pushes the image of all reading scenarios.
func (b *bench) seedImage(ctx context.Context, s *server) error {
	return s.client().pushImage(ctx, repo, tag, b.image)
}

func (b *bench) seedMedium(ctx context.Context, s *server) error {
	return s.client().pushBlob(ctx, repo, b.medium, 0)
}

func (b *bench) seedLarge(ctx context.Context, s *server) error {
	return s.client().pushBlob(ctx, repo, b.large, 0)
}

// How many connections many small requests come on.
const (
	connections     = 16
	slowConnections = 8 // if an answer takes longer than slow
	lastConnections = 2 // if it takes longer than slowest
)

// What takes that long is not for wrk: it forgets the requests that are under way
// at its end, and the server goes on with them while the next one is measured.
const (
	slow    = 20 * time.Millisecond
	slowest = 500 * time.Millisecond
)

// requests asks for one path over and over: GET with wrk, all else and what is slow
// by itself.
func (b *bench) requests(ctx context.Context, s *server, method, path string) (result, error) {
	q := s.question(method, path)
	if s.took == 0 {
		var err error
		if s.took, err = b.probe(ctx, q); err != nil {
			return result{}, err
		}
	}
	return measure(s, func() (float64, time.Duration, error) {
		n := connectionsFor(s.took)
		if method == http.MethodGet && b.wrk != "" && n == connections {
			return wrk(ctx, b.wrk, q, n, b.long)
		}
		return ask(ctx, q, n, b.long)
	}, 1)
}

func connectionsFor(took time.Duration) int {
	switch {
	case took > slowest:
		return lastConnections
	case took > slow:
		return slowConnections
	default:
		return connections
	}
}

// probe returns how long an answer takes. The first one does not count: it may be
// the one that all others remember.
func (b *bench) probe(ctx context.Context, q question) (time.Duration, error) {
	var took time.Duration
	for range 2 {
		begun := time.Now()
		if _, _, err := ask(ctx, q, 1, 1); err != nil {
			return 0, err
		}
		took = time.Since(begun)
	}
	return took, nil
}

// clientItself is a scenario of wrk, done by ask: the difference is what our client
// costs, and its rate beside the limits the most that it can do.
func (b *bench) clientItself(ctx context.Context, s *server) (result, error) {
	q := s.question(http.MethodGet, "/v2/"+repo+"/manifests/"+tag)
	return measure(s, func() (float64, time.Duration, error) { return ask(ctx, q, connections, b.long) }, 1)
}

// question is a request to a server. It accepts a manifest: without that some
// registries have none.
func (s *server) question(method, path string) question {
	q := question{method: method, url: s.base + path, header: http.Header{"Accept": {v1.MediaTypeImageManifest}}, tls: s.tls}
	for name, values := range s.header() {
		q.header[name] = values
	}
	return q
}

func (b *bench) pullLarge(ctx context.Context, s *server) (result, error) {
	c := s.client()
	return b.repeated(ctx, s, 1, float64(b.large.size)/(1<<20), func(ctx context.Context, _, _ int) error {
		return c.pullBlob(ctx, repo, b.large, "")
	})
}

func (b *bench) pullParts(ctx context.Context, s *server) (result, error) {
	c := s.client()
	return b.repeated(ctx, s, workers, 1, func(ctx context.Context, w, i int) error {
		const part = 1 << 20
		at := (int64(w)*7919 + int64(i)*104729) % (b.large.size/part - 1) * part
		return c.pullBlob(ctx, repo, b.large, fmt.Sprintf("bytes=%d-%d", at, at+part-1))
	})
}

// repeated measures a function that workers repeat.
func (b *bench) repeated(ctx context.Context, s *server, workers int, perSecond float64, do func(ctx context.Context, worker, i int) error) (result, error) {
	return measure(s, func() (float64, time.Duration, error) { return repeat(ctx, workers, b.long, do) }, perSecond)
}
