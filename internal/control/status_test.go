package control_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/process"
)

func TestStatusComesAsItWasGiven(t *testing.T) {
	t.Parallel()
	want := control.Status{
		Version: "v1", Role: "proxy", PID: 7, Started: time.Unix(1000, 0).UTC(), Uptime: 90,
		Usage: process.Usage{HeapBytes: 1, RSSBytes: 2, PeakBytes: 1 << 60, Goroutines: 4, Files: 5, FilesLimit: 1<<64 - 1, Collections: 7},
	}
	client, seen := serve(t, &control.Handler{Status: func() control.Status { return want }})
	got, err := client.Status(t.Context())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if records := seen.list(); len(records) > 0 {
		t.Errorf("looking was recorded: %+v", records)
	}
	silent, _ := serve(t, &control.Handler{})
	if _, err := silent.Status(t.Context()); err == nil || err.Error() != "not on this server: it tells nothing about itself" {
		t.Errorf("no status: %v", err)
	}
}
