package gc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

func TestContentGoesAGraceAfterItsLastHolder(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, w *world) {
		d := w.push(t, "layer", "a", "b")
		w.remove(t, d, "a")
		w.pass(grace)
		w.wantFreed(t) // b holds it
		if n := w.queue(t); n != 0 {
			t.Errorf("%d reviews of a blob that is held", n)
		}
		w.remove(t, d, "b")
		w.pass(grace - time.Second)
		w.wantFreed(t)
		w.pass(time.Second)
		w.wantFreed(t, "layer")
		w.wantFreed(t)
		if n := w.queue(t) + w.files(t); n != 0 {
			t.Errorf("%d reviews and files are left", n)
		}
		w.push(t, "layer", "a")
		w.wantRead(t, "a", "layer")
	})
}

func TestContentThatIsPushedAgainStays(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, w *world) {
		d := w.push(t, "layer", "a")
		w.remove(t, d, "a")
		w.push(t, "layer", "b")
		w.pass(grace)
		w.wantFreed(t)
		w.wantRead(t, "b", "layer")
	})
}

func TestTheLastDeleteBeginsTheGrace(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, w *world) {
		w.remove(t, w.push(t, "layer", "a"), "a")
		w.pass(grace / 2)
		w.remove(t, w.push(t, "layer", "a"), "a")
		w.pass(grace / 2)
		w.wantFreed(t)
		w.pass(grace / 2)
		w.wantFreed(t, "layer")
	})
}

// What a look has found to be due may have changed when its turn comes.
func TestALookHeedsWhatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, w *world) {
		d := w.push(t, "layer", "a")
		w.remove(t, d, "a")
		w.pass(grace)
		w.meta.beforeLock = func() { w.push(t, "layer", "b") }
		w.wantFreed(t)
		w.wantRead(t, "b", "layer")

		w.remove(t, d, "b")
		w.pass(grace)
		w.meta.beforeLock = func() {
			w.push(t, "layer", "b")
			w.remove(t, d, "b")
		}
		w.wantFreed(t)
		w.pass(grace)
		w.wantFreed(t, "layer")
	})
}

// The last holder lets go while the look drops the review, as it has seen it hold.
func TestADeleteDuringALookIsNotForgotten(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, w *world) {
		d := w.push(t, "layer", "a", "b")
		w.remove(t, d, "a")
		w.pass(grace)
		w.pass(grace)
		w.meta.afterUpdate = func() { w.remove(t, d, "b") }
		w.wantFreed(t)
		if n := w.queue(t); n != 1 {
			t.Errorf("%d reviews of a blob that nobody holds, want one", n)
		}
		w.pass(grace)
		w.wantFreed(t, "layer")
	})
}

// On a full disk the metadata cannot be written; nor can it after a crash.
func TestSpaceIsFreedBeforeTheReviewGoes(t *testing.T) {
	t.Parallel()
	overStores(t, func(t *testing.T, w *world) {
		var want Freed
		for i := range 3 {
			text := fmt.Sprint("layer ", i)
			w.remove(t, w.push(t, text, "a"), "a")
			want.Blobs, want.Bytes = want.Blobs+1, want.Bytes+int64(len(text))
		}
		w.pass(grace)
		w.meta.full = true
		freed, err := w.Once(t.Context())
		if !errors.Is(err, meta.ErrNoSpace) || freed != want {
			t.Errorf("freed %+v, want %+v; error %v, want %v", freed, want, err, meta.ErrNoSpace)
		}
		if files, queue := w.files(t), w.queue(t); files != 0 || queue != 3 {
			t.Errorf("%d files and %d reviews are left, want 0 and 3", files, queue)
		}
		w.push(t, "layer 1", "a")
		w.meta.full = false
		w.wantFreed(t)
		w.wantRead(t, "a", "layer 1")
		if n := w.queue(t); n != 0 {
			t.Errorf("%d reviews are left", n)
		}
	})
}

// A link may be there that no view shows, until the log is in order or the process
// starts again.
func TestNothingIsRemovedWhileItIsNotKnownWhoHoldsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openSQLite(t))
	w.lose(t, "lost")
	w.pass(2 * grace)
	w.remove(t, w.push(t, "layer", "a"), "a")
	w.pass(grace)
	w.meta.doubt = errStuck
	if freed, err := w.Once(t.Context()); !errors.Is(err, errStuck) || freed != (Freed{}) {
		t.Errorf("freed %+v, error %v; want nothing, and %v", freed, err, errStuck)
	}
	if freed, err := w.Sweep(t.Context()); !errors.Is(err, errStuck) || freed != (Freed{}) {
		t.Errorf("a sweep freed %+v, error %v; want nothing, and %v", freed, err, errStuck)
	}
	w.meta.doubt = nil
	w.wantFreed(t, "layer")
	w.wantSwept(t, "lost")
}

func TestWhatCannotBeDeletedIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openSQLite(t))
	for i := range 2*batch + 1 {
		w.remove(t, w.push(t, fmt.Sprint("layer ", i), "a"), "a")
	}
	w.pass(grace)
	w.disk.stuck = oci.SHA256.FromString("layer 0")
	if freed, err := w.Once(t.Context()); !errors.Is(err, errStuck) || freed.Blobs != 2*batch {
		t.Errorf("freed %+v, want %d blobs; error %v, want %v", freed, 2*batch, err, errStuck)
	}
	if files, queue := w.files(t), w.queue(t); files != 1 || queue != 1 {
		t.Errorf("%d files and %d reviews are left, want one", files, queue)
	}
	w.disk.stuck = ""
	w.wantFreed(t, "layer 0")
}

func TestTheLogSaysWhatWasFreed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openSQLite(t))
	w.remove(t, w.push(t, "layer", "a"), "a")
	w.pass(grace)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	awaitGone(t, w)
	w.remove(t, w.push(t, "another", "a"), "a")
	w.pass(grace)
	w.Wake() // the next look by itself is in an hour
	awaitGone(t, w)
	stop()
	<-ended
	if log := w.log.String(); strings.Count(log, "blobs=1 bytes=5") != 1 || strings.Count(log, "blobs=1 bytes=7") != 1 {
		t.Errorf("the log is\n%s", log)
	}
}

// awaitGone waits until nothing is on the disk, nor on the queue.
func awaitGone(t *testing.T, w *world) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for w.files(t)+w.queue(t) > 0 {
		select {
		case <-deadline.C:
			t.Fatal("the content is still there")
		case <-tick.C:
		}
	}
}

func TestATroubleThatStaysIsLoggedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openSQLite(t))
	for _, err := range []error{errStuck, errStuck, nil, nil, errStuck} {
		w.report(t.Context(), Freed{}, err)
	}
	if log := w.log.String(); strings.Count(log, "level=ERROR") != 2 || strings.Count(log, "\n") != 2 {
		t.Errorf("the log is\n%s", log)
	}
}

// A reader has seen the link when the blob is deleted and its content removed.
func TestAReadOfWhatGoesMeanwhileFindsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openSQLite(t))
	d := w.push(t, "layer", "a")
	w.disk.beforeOpen = func() {
		w.remove(t, d, "a")
		w.pass(grace)
		w.wantFreed(t, "layer")
	}
	if _, err := w.read(t.Context(), "a", d); !errors.Is(err, oci.ErrBlobUnknown) {
		t.Errorf("error %v, want %v", err, oci.ErrBlobUnknown)
	}
}
