package gate_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
)

func TestWalksAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var walks gate.Walks
		enter := func() func() {
			leave, err := walks.Enter(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return leave
		}
		first := enter()
		for range 7 {
			enter()
		}
		begun := time.Now()
		var known *oci.Error
		if _, err := walks.Enter(t.Context()); !errors.As(err, &known) || known.Kind != oci.TooManyRequests || time.Since(begun) != 30*time.Second {
			t.Errorf("one too many: %v after %s", err, time.Since(begun))
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := walks.Enter(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("the client is gone: %v", err)
		}
		time.AfterFunc(10*time.Second, first)
		enter()
	})
}
