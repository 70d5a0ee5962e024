package disk

import (
	"testing"

	"github.com/moorgate/moorgate/internal/blob"
	"github.com/moorgate/moorgate/internal/blob/blobtest"
)

// newStore returns an empty store in a directory of its own.
func newStore(t testing.TB) *Store {
	t.Helper()
	return openStore(t, t.TempDir())
}

func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t testing.TB) blob.Store { return newStore(t) })
}

func BenchmarkStore(b *testing.B) {
	blobtest.Benchmark(b, func(t testing.TB) blob.Store { return newStore(t) })
}
