package main

import (
	"context"
	"net/http"
	"strings"
)

// scenario is one thing that clients do.
type scenario struct {
	name   string
	unit   string // of the value
	guards []guard
	takes  func(kind) bool

	less   bool // the smaller the value, the better
	once   bool // another round would come to the same
	tls    bool
	writes bool

	large *large // what is there before the server starts
	seed  func(*bench, context.Context, *server) error
	run   func(*bench, context.Context, *server) (result, error)
}

// Who takes part.
func everybody(kind) bool       { return true }
func registries(k kind) bool    { return k.limit == "" }
func acceptors(k kind) bool     { return k.limit != limitFiles }
func oursAndLimits(k kind) bool { return k.name == moorgate || k.limit != "" }
func ourGates(k kind) bool      { return k.ours }

// pagers answer long lists in pages. Registry 2.8 does not: it lists all tags,
// whatever n says, and no repositories behind a last in the middle.
func pagers(k kind) bool { return registries(k) && !strings.Contains(k.name, registry2) }

// Where the content is.
const (
	repo = "bench/app"
	tag  = "latest"
)

// workers is how many things happen at once, as far as nothing else is said.
const workers = 8

// scenarios are all that is measured.
func scenarios() []scenario {
	all := reading()
	all = append(all, pushing()...)
	all = append(all, lists()...)
	return append(all, resources()...)
}

// Units.
const (
	requestsPerSecond = "requests/s"
	imagesPerSecond   = "images/s"
	mibPerSecond      = "MiB/s"
)

// Titles that the summary looks for.
const (
	getByTag        = "manifest GET by tag"
	getSmall        = "64 KiB blob GET"
	getLarge        = "512 MiB blob GET"
	pushPiece       = "512 MiB push, one piece"
	pushChunks      = "512 MiB push, 16 MiB chunks"
	pushImages      = "small images pushed, 8 at once"
	tagsAmongFew    = "100 tags among 100"
	tagsAmongMany   = "100 tags among 100,000"
	startTime       = "start with 100,000 repositories"
	memoryIdle      = "memory, idle"
	memoryBusy      = "memory, 32 pushes and 32 pulls at once"
	syncsOfBlob     = "syncs for a blob pushed by POST, PATCH, PUT"
	syncsOfManifest = "syncs for a manifest with a tag"
)

func reading() []scenario {
	all := []guard{0, 5, 10, 12, bearer}
	some := []guard{0, 10}
	none := []guard{0}
	byTag := func(*bench) string { return "/v2/" + repo + "/manifests/" + tag }
	byDigest := func(b *bench) string { return "/v2/" + repo + "/manifests/" + b.image.digest().String() }
	small := func(b *bench) string { return blobPath(repo, b.image.blobs[0]) }
	medium := func(b *bench) string { return blobPath(repo, b.medium) }
	return []scenario{
		{name: getByTag, unit: requestsPerSecond, guards: all, takes: everybody, seed: (*bench).seedImage, run: get(byTag)},
		{name: "manifest GET by digest", unit: requestsPerSecond, guards: all, takes: everybody, seed: (*bench).seedImage, run: get(byDigest)},
		{name: "manifest HEAD by tag", unit: requestsPerSecond, guards: all, takes: everybody, seed: (*bench).seedImage, run: head(byTag)},
		{name: "manifest HEAD by digest", unit: requestsPerSecond, guards: all, takes: everybody, seed: (*bench).seedImage, run: head(byDigest)},
		{name: "manifest GET by tag, TLS", unit: requestsPerSecond, guards: some, takes: everybody, tls: true, seed: (*bench).seedImage, run: get(byTag)},
		{name: "manifest GET by tag, by the client of the bench", unit: requestsPerSecond, guards: none, takes: oursAndLimits, seed: (*bench).seedImage, run: (*bench).clientItself},
		{name: getSmall, unit: requestsPerSecond, guards: some, takes: everybody, seed: (*bench).seedImage, run: get(small)},
		{name: "100 KiB blob GET", unit: requestsPerSecond, guards: none, takes: everybody, seed: (*bench).seedMedium, run: get(medium)},
		{name: getLarge, unit: mibPerSecond, guards: none, takes: everybody, seed: (*bench).seedLarge, run: (*bench).pullLarge},
		{name: "512 MiB blob GET, TLS", unit: mibPerSecond, guards: none, takes: everybody, tls: true, seed: (*bench).seedLarge, run: (*bench).pullLarge},
		{name: "1 MiB of a 512 MiB blob GET", unit: requestsPerSecond, guards: none, takes: everybody, seed: (*bench).seedLarge, run: (*bench).pullParts},
	}
}

func pushing() []scenario {
	none := []guard{0}
	pushLarge := func(chunk int64) func(*bench, context.Context, *server) (result, error) {
		return func(b *bench, ctx context.Context, s *server) (result, error) { return b.pushLarge(ctx, s, chunk) }
	}
	return []scenario{
		{name: pushPiece, unit: mibPerSecond, guards: none, takes: acceptors, writes: true, run: pushLarge(0)},
		{name: pushChunks, unit: mibPerSecond, guards: none, takes: acceptors, writes: true, run: pushLarge(16 << 20)},
		{name: "512 MiB push, one piece, TLS", unit: mibPerSecond, guards: none, takes: acceptors, tls: true, writes: true, run: pushLarge(0)},
		{name: pushImages, unit: imagesPerSecond, guards: none, takes: acceptors, writes: true, run: (*bench).pushSmall},
		{name: "the same layers pushed again", unit: imagesPerSecond, guards: none, takes: acceptors, writes: true, seed: (*bench).seedImage, run: (*bench).pushAgain},
		{name: "mount from another repository", unit: requestsPerSecond, guards: none, takes: acceptors, writes: true, seed: (*bench).seedImage, run: (*bench).mounts},
		{name: "token issued", unit: "tokens/s", guards: []guard{5, 10}, takes: ourGates, run: get(func(*bench) string { return tokenPath })},
	}
}

func lists() []scenario {
	none := []guard{0}
	few, tags, repositories, referrers := manyTags(100), manyTags(100_000), manyRepositories(), manyReferrers()
	page := func(l *large) func(*bench, context.Context, *server) (result, error) {
		return get(func(*bench) string { return l.page() })
	}
	return []scenario{
		{name: tagsAmongFew, unit: requestsPerSecond, guards: none, takes: registries, large: few, run: page(few)},
		{name: tagsAmongMany, unit: requestsPerSecond, guards: none, takes: pagers, large: tags, run: page(tags)},
		{name: "100 repositories among 100,000", unit: requestsPerSecond, guards: none, takes: pagers, large: repositories, run: page(repositories)},
		{name: "100 referrers among 10,000", unit: requestsPerSecond, guards: none, takes: registries, large: referrers, run: page(referrers)},
		{name: "10,000 referrers, all pages", unit: "lists/s", guards: none, takes: registries, large: referrers, run: referrers.walk},
	}
}

func resources() []scenario {
	none := []guard{0}
	return []scenario{
		{name: startTime, unit: "s", guards: none, takes: pagers, less: true, large: manyRepositories(), run: (*bench).starts},
		{name: memoryIdle, unit: "MiB", guards: none, takes: registries, less: true, once: true, run: (*bench).idle},
		{name: memoryBusy, unit: "MiB", guards: none, takes: registries, less: true, writes: true, seed: (*bench).seedForMany, run: (*bench).busy},
		{name: syncsOfBlob, unit: "syncs", guards: none, takes: registries, less: true, once: true, writes: true, run: (*bench).syncsOfBlob},
		{name: syncsOfBlob + ", into a new folder", unit: "syncs", guards: none, takes: registries, less: true, once: true, writes: true, run: (*bench).syncsOfFirstBlobs},
		{name: syncsOfManifest, unit: "syncs", guards: none, takes: registries, less: true, once: true, writes: true, seed: (*bench).seedImage, run: (*bench).syncsOfManifest},
	}
}

// get asks for one path over and over.
func get(path func(*bench) string) func(*bench, context.Context, *server) (result, error) {
	return func(b *bench, ctx context.Context, s *server) (result, error) {
		return b.requests(ctx, s, http.MethodGet, path(b))
	}
}

func head(path func(*bench) string) func(*bench, context.Context, *server) (result, error) {
	return func(b *bench, ctx context.Context, s *server) (result, error) {
		return b.requests(ctx, s, http.MethodHead, path(b))
	}
}

func blobPath(repo string, b *blob) string { return "/v2/" + repo + "/blobs/" + b.digest.String() }
