package metatest

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
)

// Benchmark measures what a registry asks for most. open is that of Run.
func Benchmark(b *testing.B, open func(t testing.TB) meta.Store) {
	b.Run("ManifestByTag", func(b *testing.B) { benchView(b, filled(b, open(b), 1), byTag) })
	b.Run("BlobSize", func(b *testing.B) { benchView(b, filled(b, open(b), 1), size) })
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("TagNames/100of%d", n), func(b *testing.B) { benchView(b, filled(b, open(b), n), tagPage) })
	}
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("SetTag/%dwriters", n), func(b *testing.B) {
			s := filled(b, open(b), 1)
			benchUpdate(b, n, s.Update, setTag)
		})
		b.Run(fmt.Sprintf("PushImage/%dwriters", n), func(b *testing.B) {
			benchUpdate(b, n, open(b).Update, pushImage)
		})
		b.Run(fmt.Sprintf("SaveUploadRelaxed/%dwriters", n), func(b *testing.B) {
			benchUpdate(b, n, open(b).UpdateRelaxed, saveUpload)
		})
	}
}

// filled returns s with a repository "team/app" that has n tags.
func filled(b *testing.B, s meta.Store, n int) meta.Store {
	b.Helper()
	m := manifest("bench")
	m.Annotations = map[string]string{"org.opencontainers.image.created": "2026-02-03T04:05:06Z"}
	update(b, s, func(tx meta.Tx) error {
		if err := tx.LinkBlob("team/app", digest(1), 1, now()); err != nil {
			return err
		}
		if err := push(tx, "team/app", m, "latest"); err != nil {
			return err
		}
		for i := range n - 1 {
			if err := tx.SetTag("team/app", meta.Tag{Name: tagName(i), Digest: m.Digest, SetAt: now()}); err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

func tagName(i int) string { return fmt.Sprintf("v%06d", i) }

func byTag(tx meta.Tx) error {
	_, err := tx.ManifestByTag("team/app", "latest")
	return err
}

func size(tx meta.Tx) error {
	_, err := tx.BlobSize("team/app", digest(1))
	return err
}

func tagPage(tx meta.Tx) error {
	names, err := tx.TagNames("team/app", tagName(20), 100)
	if err == nil && len(names) == 0 {
		err = meta.ErrNotFound
	}
	return err
}

func benchView(b *testing.B, s meta.Store, fn func(meta.Tx) error) {
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.View(b.Context(), fn); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := s.View(b.Context(), fn); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// benchUpdate runs about n writers at once.
func benchUpdate(b *testing.B, n int, run func(context.Context, func(meta.Tx) error) error, change func(tx meta.Tx, i int64) error) {
	procs := runtime.GOMAXPROCS(0)
	if n < procs {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
		procs = n
	}
	b.SetParallelism(n / procs)
	var count atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := count.Add(1)
			if err := run(b.Context(), func(tx meta.Tx) error { return change(tx, i) }); err != nil {
				b.Error(err)
			}
		}
	})
}

func setTag(tx meta.Tx, i int64) error {
	return tx.SetTag("team/app", meta.Tag{Name: fmt.Sprint("tag", i%1000), Digest: manifest("bench").Digest, SetAt: now()})
}

func pushImage(tx meta.Tx, i int64) error {
	repo := fmt.Sprint("team/app", i%100)
	var refs []meta.Reference
	for layer := range 4 {
		d := digest(fmt.Sprint(i, "-", layer))
		if err := tx.LinkBlob(repo, d, 65536, now()); err != nil {
			return err
		}
		refs = append(refs, meta.Reference{Digest: d})
	}
	m := manifest(i)
	if err := tx.PutManifest(repo, m, refs); err != nil {
		return err
	}
	return tx.SetTag(repo, meta.Tag{Name: "latest", Digest: m.Digest, SetAt: now()})
}

func saveUpload(tx meta.Tx, i int64) error {
	u := upload(fmt.Sprint("upload", i%64))
	u.State.Offset, u.State.Hash = i, make([]byte, 120)
	return tx.SaveUpload(u)
}
