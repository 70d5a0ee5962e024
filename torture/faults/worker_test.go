package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/moorgate/moorgate/internal/wire"
	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/faultfs"
	"github.com/moorgate/moorgate/torture/world"
)

// load chooses the next step of a worker.
type load func(*worker) world.Step

func anything(w *worker) world.Step { return w.Next() }

// mostlyBlobs pushes more blobs than a worker would, and cancels some.
func mostlyBlobs(w *worker) world.Step {
	switch n := w.random.IntN(5); {
	case n == 0:
		return cancel
	case n < 3 && len(w.World.Blobs) < 20:
		return w.PushBlob()
	default:
		return w.Next()
	}
}

var cancel = world.Step{
	Name: "cancel an upload",
	Ask: func(ctx context.Context, c *client.Client, repo string) error {
		a, err := c.Want(ctx, http.StatusAccepted, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil)
		if err == nil {
			a, err = c.Want(ctx, http.StatusAccepted, http.MethodPatch, a.Header.Get("Location"), strings.NewReader("not this one"))
		}
		if err == nil {
			_, err = c.Want(ctx, http.StatusNoContent, http.MethodDelete, a.Header.Get("Location"), nil)
		}
		return err
	},
	Apply: func(*world.World) {},
}

// bulky pushes large manifests while a failure is awaited, so that SQLite has to
// move its log into the database.
func bulky(w *worker) world.Step {
	if !w.breaker.awaited.Load() || len(w.World.Blobs) == 0 {
		return w.Next()
	}
	d := slices.Sorted(maps.Keys(w.World.Blobs))[0]
	body := client.ManifestWith(strings.Repeat(fmt.Sprintf("%016x", w.random.Uint64()), 60_000), w.World.Blobs[d])
	return world.Step{
		Name: "push a large manifest",
		Ask: func(ctx context.Context, c *client.Client, repo string) error {
			return c.PutManifest(ctx, repo, "large", body)
		},
		Apply: func(x *world.World) { x.AddManifest(body, "large", d) },
	}
}

// worker is a world.Worker that goes on after answers that say that the disk is
// broken.
type worker struct {
	*world.Worker
	load    load
	random  *rand.Rand
	breaker *breaker

	refused int
	// What the repository was before the last step, and that step, if it failed:
	// a restart may still decide about it.
	before *world.World
	doubt  *world.Step
}

// work does one step. An error is one of the server: an answer that it must not
// give, or a repository that is not what was acknowledged.
func (w *worker) work(ctx context.Context, c *client.Client) (done bool, err error) {
	step := w.load(w)
	before := w.World.Clone()
	err = w.Do(ctx, c, step)
	if err == nil {
		w.before, w.doubt = nil, nil
		return true, nil
	}
	w.before, w.doubt = before, &step
	if wrong := w.documented(err); wrong != nil {
		return false, wrong
	}
	w.refused++
	if wrong := w.Settle(ctx, c); wrong != nil {
		return false, fmt.Errorf("%w\nafter %w", wrong, err)
	}
	return false, nil
}

// documented returns an error unless err is an answer for a disk that is broken,
// with an error in the form of the specification.
func (w *worker) documented(err error) error {
	var status *client.StatusError
	if !errors.As(err, &status) {
		return fmt.Errorf("no answer: %w", err)
	}
	var list wire.ErrorList
	if bad := json.Unmarshal(status.Body, &list); bad != nil || len(list.Errors) != 1 || list.Errors[0].Message == "" {
		return fmt.Errorf("an answer without an error in it: %w", err)
	}
	got := fmt.Sprint(status.Status, " ", list.Errors[0].Code)
	if want := w.breaker.answers(); !slices.Contains(want, got) {
		return fmt.Errorf("an answer that is not one of %q: %w", want, err)
	}
	return nil
}

// answers returns status and code of what may be answered. Where a sync loses what
// was written, the session of an upload may be gone. Where nothing can be written in
// place, there may be no telling whether a commit was one.
func (b breaking) answers() []string {
	switch {
	case b.copies:
		return []string{"507 UNAVAILABLE", "500 UNKNOWN", "503 UNAVAILABLE"}
	case b.fault.Errno == syscall.ENOSPC:
		return []string{"507 UNAVAILABLE"}
	case b.fault.Outcome == faultfs.Lost:
		return []string{"500 UNKNOWN", "503 UNAVAILABLE", "404 BLOB_UPLOAD_UNKNOWN"}
	default:
		return []string{"500 UNKNOWN", "503 UNAVAILABLE"}
	}
}

// settle fails unless the repository is as it was acknowledged, now that the server
// was started again.
func (w *worker) settle(ctx context.Context, c *client.Client) error {
	if w.doubt != nil {
		w.World, w.Pending = w.before, w.doubt
		w.before, w.doubt = nil, nil
	}
	return w.Settle(ctx, c)
}
