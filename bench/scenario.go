package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// scenario is one thing that clients do.
type scenario struct {
	name   string
	unit   string // of the rate
	guards []guard
	plain  bool // servers of files can do it too
	ours   bool // only we can do it
	store  bool // only "moorgate serve" can

	// content makes a folder for registries of others, which serve it instead of
	// being seeded: they would take hours. "" for no content.
	content func(b *bench) (string, error)
	seed    func(*bench, context.Context, *server) error
	run     func(*bench, context.Context, *server) (result, error)
}

// Where the content is.
const (
	repo = "bench/app"
	tag  = "latest"
)

// workers is how many things happen at once, as far as nothing else is said.
const workers = 8

// scenarios are all that is measured.
func scenarios() []scenario {
	image := (*bench).seedImage
	get := func(path func(*bench) string) func(*bench, context.Context, *server) (result, error) {
		return func(b *bench, ctx context.Context, s *server) (result, error) {
			return b.requests(ctx, s, path(b))
		}
	}
	manifest := func(reference string) func(*bench) string {
		return func(*bench) string { return "/v2/" + repo + "/manifests/" + reference }
	}
	byDigest := func(b *bench) string { return manifest(b.image.digest().String())(b) }
	smallBlob := func(b *bench) string { return "/v2/" + repo + "/blobs/" + b.image.blobs[0].digest.String() }
	return []scenario{
		{name: "manifest GET by tag", unit: "requests/s", guards: []guard{0, 5, 10, 12, bearer}, plain: true, seed: image, run: get(manifest(tag))},
		{name: "manifest GET by digest", unit: "requests/s", guards: []guard{0, 10}, plain: true, seed: image, run: get(byDigest)},
		{name: "manifest HEAD by tag", unit: "requests/s", guards: []guard{0, 10}, plain: true, seed: image, run: (*bench).heads},
		{name: "64 KiB blob GET", unit: "requests/s", guards: []guard{0, 10}, plain: true, seed: image, run: get(smallBlob)},
		{name: "512 MiB blob GET", unit: "MiB/s", guards: []guard{0}, plain: true, seed: (*bench).seedLarge, run: (*bench).pullLarge},
		{name: "1 MiB of a 512 MiB blob GET", unit: "requests/s", guards: []guard{0}, plain: true, seed: (*bench).seedLarge, run: (*bench).pullParts},
		{name: "512 MiB push, one piece", unit: "MiB/s", guards: []guard{0}, run: func(b *bench, ctx context.Context, s *server) (result, error) { return b.pushLarge(ctx, s, 0) }},
		{name: "512 MiB push, 16 MiB chunks", unit: "MiB/s", guards: []guard{0}, run: func(b *bench, ctx context.Context, s *server) (result, error) { return b.pushLarge(ctx, s, 16<<20) }},
		{name: "small images pushed, 8 at once", unit: "images/s", guards: []guard{0}, run: (*bench).pushSmall},
		{name: "the same layers pushed again", unit: "images/s", guards: []guard{0}, seed: image, run: (*bench).pushAgain},
		{name: "100 tags among 100,000", unit: "requests/s", guards: []guard{0}, content: (*bench).tagFolders, seed: (*bench).seedTags, run: get(middleOf("/v2/" + repo + "/tags/list"))},
		{name: "100 repositories among 100,000", unit: "requests/s", guards: []guard{0}, content: (*bench).repositoryFolders, seed: (*bench).seedRepositories, run: get(middleOf("/v2/_catalog"))},
		{name: "referrers among 10,000", unit: "requests/s", guards: []guard{0}, store: true, seed: (*bench).seedReferrers, run: get(referrers)},
		{name: "token issued", unit: "tokens/s", guards: []guard{5, 10}, ours: true, run: get(func(*bench) string { return tokenPath })},
		{name: "start with 100,000 repositories", unit: "starts/s", guards: []guard{0}, store: true, seed: (*bench).seedRepositories, run: (*bench).starts},
		{name: "mount from another repository", unit: "requests/s", guards: []guard{0}, seed: image, run: (*bench).mounts},
	}
}

// seedImage pushes the image of all reading scenarios.
func (b *bench) seedImage(ctx context.Context, s *server) error {
	return s.client().pushImage(ctx, repo, tag, b.image)
}

func (b *bench) seedLarge(ctx context.Context, s *server) error {
	return s.client().pushBlob(ctx, repo, b.large, 0)
}

// connections are those of the scenarios with many small requests.
const connections = 16

// requests asks for one path with wrk.
func (b *bench) requests(ctx context.Context, s *server, path string) (result, error) {
	return measure(s, func() (float64, time.Duration, error) {
		return wrk(ctx, s.base+path, s.accepting(), connections, b.long)
	}, 1)
}

func (b *bench) heads(ctx context.Context, s *server) (result, error) {
	return measure(s, func() (float64, time.Duration, error) {
		return heads(ctx, s.base+"/v2/"+repo+"/manifests/"+tag, s.accepting(), connections, b.long)
	}, 1)
}

// accepting is what a client sends that wants a manifest: without it some
// registries have none.
func (s *server) accepting() http.Header {
	header := http.Header{"Accept": {v1.MediaTypeImageManifest}}
	for name, values := range s.header() {
		header[name] = values
	}
	return header
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

// pushLarge pushes new content each time. To make it is no part of what is
// measured.
func (b *bench) pushLarge(ctx context.Context, s *server, chunk int64) (result, error) {
	c, fresh := s.client(), newBlob(b.pattern, b.large.size)
	mib := float64(fresh.size) / (1 << 20)
	return measure(s, func() (float64, time.Duration, error) {
		begun := time.Now()
		err := c.pushBlob(ctx, repo, fresh, chunk)
		return 1 / time.Since(begun).Seconds(), 0, err
	}, mib)
}

// pushSmall pushes images of three layers of 64 KiB.
func (b *bench) pushSmall(ctx context.Context, s *server) (result, error) {
	c := s.client()
	return b.repeated(ctx, s, workers, 1, func(ctx context.Context, w, i int) error {
		return c.pushImage(ctx, fmt.Sprintf("bench/small%d", w), fmt.Sprintf("v%d", i), newImage(b.pattern, 3, 64<<10))
	})
}

func (b *bench) pushAgain(ctx context.Context, s *server) (result, error) {
	c := s.client()
	return b.repeated(ctx, s, workers, 1, func(ctx context.Context, w, i int) error {
		return c.pushImage(ctx, repo, fmt.Sprintf("again%d-%d", w, i), b.image)
	})
}

func (b *bench) mounts(ctx context.Context, s *server) (result, error) {
	c, run := s.client(), b.next()
	return b.repeated(ctx, s, workers, 1, func(ctx context.Context, w, i int) error {
		return c.mount(ctx, fmt.Sprintf("bench/mount%d-%d-%d", run, w, i), repo, b.image.blobs[0])
	})
}

// repeated measures a function that workers repeat.
func (b *bench) repeated(ctx context.Context, s *server, workers int, perSecond float64, do func(ctx context.Context, worker, i int) error) (result, error) {
	return measure(s, func() (float64, time.Duration, error) {
		rate, err := repeat(ctx, workers, b.long, do)
		return rate, 0, err
	}, perSecond)
}

// fits reports whether a server can take part in a scenario.
func (sc *scenario) fits(k kind, g guard) bool {
	return (k.ours || !sc.ours && g != bearer) && (k.store || !sc.store) && (!k.plain || sc.plain && g == 0)
}
