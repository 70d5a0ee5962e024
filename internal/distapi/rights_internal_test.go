package distapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/registry"
)

// behindGate is the handler of a test.
type behindGate func(*gate.Call)

func (h behindGate) ServeOCI(_ http.ResponseWriter, _ *http.Request, c *gate.Call) error {
	h(c)
	return nil
}

// call runs do with a call of anybody to target, and returns what was audited
// after the gate.
func call(t *testing.T, target string, rules access.Rules, do func(*gate.Call)) []string {
	t.Helper()
	policy, mistakes := access.Compile(rules)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	var audited []string
	inside := false
	note := func(_ context.Context, r audit.Record) {
		if inside {
			audited = append(audited, string(r.Outcome)+" "+string(r.Scope.Action)+" "+r.Scope.Repo+":"+r.Scope.Tag)
		}
	}
	g := &gate.Gate{
		Next:  behindGate(func(c *gate.Call) { inside = true; do(c) }),
		Login: &login.Desk{Audit: note}, Policy: func() *access.Policy { return policy },
		Audit: note, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, http.NoBody))
	if !inside {
		t.Fatal("the gate is closed")
	}
	return audited
}

// The registry asks inside its transaction: nothing is recorded there, and each
// thing once behind it.
func TestRightsAreRecordedBehindTheTransaction(t *testing.T) {
	t.Parallel()
	rules := access.Rules{Rules: []access.Rule{
		{Who: []string{"anonymous"}, May: []string{"pull", "push"}, Repos: []string{"a"}},
		{Who: []string{"anonymous"}, Deny: []string{"overwrite"}, Repos: []string{"a"}, Tags: []string{"v*"}},
	}}
	before := -1
	var audited []string
	audited = call(t, "/v2/a/blobs/uploads/", rules, func(c *gate.Call) {
		rights := &rights{call: c}
		for range 2 { // a transaction may be run again
			for _, e := range []struct {
				effect registry.Effect
				want   bool
			}{
				{registry.Effect{Action: registry.MoveTag, Repo: "a", Tag: "latest"}, true},
				{registry.Effect{Action: registry.MoveTag, Repo: "a", Tag: "v1"}, false},
				{registry.Effect{Action: registry.DeleteTag, Repo: "a", Tag: "latest"}, false},
				{registry.Effect{Action: registry.ReadBlob, Repo: "b"}, false},
				{registry.Effect{Action: registry.ReadBlob, Repo: "a"}, true},
				{registry.Effect{Action: 99, Repo: "a", Tag: "latest"}, false},
			} {
				if err := rights.guard(e.effect); (err == nil) != e.want {
					t.Errorf("%v: %v", e.effect, err)
				}
			}
		}
		before = len(audited)
		rights.note()
	})
	want := []string{
		"allowed overwrite a:latest", "denied overwrite a:v1", "denied delete a:latest", "allowed pull a:", "denied admin :",
	}
	if diff := cmp.Diff(want, audited); diff != "" || before != 0 {
		t.Errorf("%d before the end; then (-want +got):\n%s", before, diff)
	}
}

// A source that the client itself names is recorded; one that the registry passes
// over is not (above).
func TestTheSourceOfAMountIsRecorded(t *testing.T) {
	t.Parallel()
	rules := access.Rules{Rules: []access.Rule{
		{Who: []string{"anonymous"}, May: []string{"pull", "push"}, Repos: []string{"a"}},
	}}
	target := "/v2/a/blobs/uploads/?mount=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855&from=b"
	audited := call(t, target, rules, func(c *gate.Call) {
		rights := &rights{call: c}
		if rights.guard(registry.Effect{Action: registry.ReadBlob, Repo: "b"}) == nil {
			t.Error("it may be read")
		}
		rights.note()
	})
	if diff := cmp.Diff([]string{"denied pull b:"}, audited); diff != "" {
		t.Error(diff)
	}
}
