package limits

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorgate/moorgate/torture/client"
)

// TestSmallPullsDoNotWaitForLargePushes pulls a manifest and its small blob again and
// again, while others push large blobs without a pause.
func TestSmallPullsDoNotWaitForLargePushes(t *testing.T) {
	pushers, size, lasts, bound := 8, 4<<20, 2*time.Second, 10*time.Second
	if client.Full(t) { // the machine is ours: now it is about time
		pushers, size, lasts, bound = 16, 64<<20, time.Minute, 50*time.Millisecond
	}
	s := start(t, "")
	c, blobs := client.New(t, s.URL), newContents(t, size)
	content, err := image(t.Context(), c, "small/app")
	if err != nil {
		t.Fatal(err)
	}
	quiet := pulls(t, c, content, 500*time.Millisecond)
	var group sync.WaitGroup
	var pushed, next atomic.Int64
	var enough atomic.Bool
	for range pushers {
		pusher := client.New(t, s.URL)
		group.Go(func() {
			for !enough.Load() {
				i := int(next.Add(1)) % (4 * pushers) // not without end: the disk is only so large
				if err := blobs.push(t.Context(), t, pusher, i); err != nil {
					t.Error(err)
					return
				}
				pushed.Add(1)
			}
		})
	}
	loaded := pulls(t, c, content, lasts)
	enough.Store(true)
	group.Wait()
	for name, times := range map[string][]time.Duration{"alone": quiet, "beside the pushes": loaded} {
		t.Logf("%s: %d pulls; p50 %s, p99 %s, at most %s", name, len(times), quantile(times, 0.5), quantile(times, 0.99), quantile(times, 1))
	}
	t.Logf("%d pushes of %d MiB, %d at once", pushed.Load(), size>>20, pushers)
	if p99 := quantile(loaded, 0.99); p99 > bound {
		t.Errorf("small pulls take up to %s (p99), more than %s", p99, bound)
	}
	if pushed.Load() == 0 {
		t.Error("nothing was pushed meanwhile: the test tests nothing")
	}
}

// pulls pulls a manifest by tag, and its blob, for a while, at least ten times. It
// returns how long each took.
func pulls(t *testing.T, c *client.Client, content []byte, lasts time.Duration) []time.Duration {
	t.Helper()
	var times []time.Duration
	d := client.Digest(content)
	for end := time.Now().Add(lasts); len(times) < 20 || time.Now().Before(end); {
		for _, pull := range []func() ([]byte, error){
			func() ([]byte, error) { return c.Manifest(t.Context(), "small/app", "v1") },
			func() ([]byte, error) { return c.Blob(t.Context(), "small/app", d) },
		} {
			begin := time.Now()
			if _, err := pull(); err != nil {
				t.Fatal(err)
			}
			times = append(times, time.Since(begin))
		}
	}
	return times
}
