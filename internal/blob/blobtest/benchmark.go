package blobtest

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/oci"
)

// Benchmark measures a store beside plain sha256 of the same bytes, which is
// the limit for what comes in.
func Benchmark(b *testing.B, open Open) {
	b.Helper()
	for _, bm := range []struct {
		name string
		size int
		run  func(b *testing.B, s blob.Store, content []byte)
	}{
		{"sha256/64KiB", 64 << 10, benchmarkHash},
		{"append/64KiB", 64 << 10, benchmarkAppend},
		{"push/64KiB", 64 << 10, benchmarkPush},
		{"push8/64KiB", 64 << 10, benchmarkPushAtOnce},
		{"pull/64KiB", 64 << 10, benchmarkPull},
		{"sha256/64MiB", 64 << 20, benchmarkHash},
		{"append/64MiB", 64 << 20, benchmarkAppend},
		{"push/64MiB", 64 << 20, benchmarkPush},
		{"pull/64MiB", 64 << 20, benchmarkPull},
	} {
		b.Run(bm.name, func(b *testing.B) {
			s, content := open(b), Content(1, bm.size)
			b.SetBytes(int64(bm.size))
			b.ReportAllocs()
			bm.run(b, s, content)
		})
	}
}

func benchmarkHash(b *testing.B, _ blob.Store, content []byte) {
	for b.Loop() {
		sha256.Sum256(content)
	}
}

// benchmarkAppend takes bytes without promising that they stay.
func benchmarkAppend(b *testing.B, s blob.Store, content []byte) {
	for b.Loop() {
		u, err := s.Upload(b.Context(), NewState(oci.SHA256))
		if err == nil {
			_, err = u.Append(b.Context(), bytes.NewReader(content))
		}
		if err == nil {
			err = u.Cancel(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkPush(b *testing.B, s blob.Store, content []byte) {
	for b.Loop() {
		if err := put(b.Context(), s, content); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkPushAtOnce pushes from eight goroutines, each its own content.
func benchmarkPushAtOnce(b *testing.B, s blob.Store, content []byte) {
	next := make(chan []byte, 8)
	for i := range cap(next) {
		own := bytes.Clone(content)
		own[0] = byte(i)
		next <- own
	}
	b.SetParallelism(cap(next))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			own := <-next
			own[1]++
			if err := put(b.Context(), s, own); err != nil {
				b.Error(err)
			}
			next <- own
		}
	})
}

func benchmarkPull(b *testing.B, s blob.Store, content []byte) {
	d := Put(b, s, content)
	for b.Loop() {
		r, _, err := s.Open(b.Context(), d)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		if err != nil || n != int64(len(content)) {
			b.Fatalf("read %d bytes, %v", n, err)
		}
		_ = r.Close()
	}
}
