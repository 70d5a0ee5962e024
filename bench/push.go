package main

import (
	"context"
	"fmt"
	"time"
)

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
