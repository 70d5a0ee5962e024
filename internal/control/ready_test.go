package control_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/keys"
	"github.com/moorgate/moorgate/internal/control"
)

// What cannot be recorded is not done. To look is no change.
func TestNoChangeWithoutARecord(t *testing.T) {
	t.Parallel()
	var what []string
	tokens := held{"one": "alice"}
	client, seen := serve(t, &control.Handler{
		AccessKeys: asked{what: &what}, RefreshTokens: tokens, Keys: ring{},
		Ready: func() error { return errors.New("no space left on device") },
	})
	_, create := client.CreateAccessKey(t.Context(), keys.Request{Name: "ci"})
	_, rotate := client.RotateAccessKey(t.Context(), keys.Ref{Key: "ci"}, 0, nil)
	_, revoke := client.RevokeAccessKey(t.Context(), keys.Ref{Key: "ci"})
	_, clear := client.ClearAll(t.Context())
	for name, err := range map[string]error{"create": create, "rotate": rotate, "revoke": revoke, "clear": clear} {
		if err == nil || !strings.Contains(err.Error(), "cannot be recorded now, so it is not done (audit.required)") || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.AccessKeys(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if len(seen.list()) > 0 || len(what) != 1 || len(tokens) != 1 {
		t.Errorf("done %q, recorded %+v", what, seen.list())
	}
}
