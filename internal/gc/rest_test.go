package gc

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
)

// idleMeta has nothing to do, and counts who asks.
type idleMeta struct {
	meta.Store
	looks int
}

func (m *idleMeta) View(context.Context, func(meta.Tx) error) error {
	m.looks++
	return nil
}

func TestWhoeverWakesItOverAndOverDoesNotKeepItBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		store := &idleMeta{}
		b := NewBlobs(nil, store, BlobsOptions{Log: slog.New(slog.DiscardHandler), Every: time.Hour, Now: time.Now, Rest: time.Second})
		go b.Run(ctx)
		synctest.Wait()
		b.Wake()
		synctest.Wait()
		if store.looks != 2 {
			t.Errorf("%d looks, want one at the start and one as it is woken", store.looks)
		}
		for range 10_000 { // ten seconds
			time.Sleep(time.Millisecond)
			b.Wake()
			synctest.Wait()
		}
		if store.looks != 12 {
			t.Errorf("%d looks, want one more each second", store.looks)
		}
	})
}
