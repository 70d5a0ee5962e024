package process_test

import (
	"os"
	"runtime"
	"testing"

	"github.com/moorgate/moorgate/internal/process"
)

// It does not run beside other tests: they would open files too.
func TestWhatIsUsedIsCounted(t *testing.T) {
	runtime.GC() // what an earlier run has left
	before := process.Read()
	ballast := make([]byte, 64<<20)
	for i := 0; i < len(ballast); i += 4096 { // a page that nobody writes takes no memory
		ballast[i] = 1
	}
	for range 20 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close() //nolint:errcheck // it was only opened
	}
	release, ready := make(chan struct{}), make(chan struct{})
	for range 10 {
		go func() { ready <- struct{}{}; <-release }()
		<-ready
	}
	runtime.GC()
	after := process.Read()
	close(release)
	for what, c := range map[string]struct{ before, after, least uint64 }{
		"heap":        {before.HeapBytes, after.HeapBytes, 60 << 20},
		"memory":      {0, after.RSSBytes, 60 << 20},
		"goroutines":  {before.Goroutines, after.Goroutines, 10},
		"open files":  {before.Files, after.Files, 20},
		"collections": {before.Collections, after.Collections, 1},
	} {
		if c.after < c.before+c.least {
			t.Errorf("%s: %d, then %d; want %d more", what, c.before, c.after, c.least)
		}
	}
	if after.PeakBytes < after.RSSBytes || after.FilesLimit < after.Files {
		t.Errorf("more is used than the most: %+v", after)
	}
	runtime.KeepAlive(ballast)
}

func TestVersionIsNeverEmpty(t *testing.T) {
	t.Parallel()
	if process.Version() == "" {
		t.Error("no version")
	}
}
