package wire_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/wire"
)

// net/http waits for the body of a request before it answers, unless the
// connection ends.
func TestAnErrorDoesNotWaitForABody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body  string
		size  int64
		major int
		want  string
	}{
		"no body":           {"", 0, 1, ""},
		"a body":            {"x", 1, 1, "close"},
		"one in chunks":     {"x", -1, 1, "close"},
		"a body, on HTTP/2": {"x", 1, 2, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/", strings.NewReader(c.body))
		r.ContentLength, r.ProtoMajor = c.size, c.major
		w := httptest.NewRecorder()
		wire.Error(w, r, slog.New(slog.DiscardHandler), oci.ErrNameUnknown)
		if got := w.Header().Get("Connection"); got != c.want || w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d, Connection %q, want %q", name, w.Code, got, c.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	busy := oci.Errorf(oci.TooManyRequests, "slow down")
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"usual":                    {busy, "5"},
		"told":                     {busy.After(time.Minute), "60"},
		"never too early":          {busy.After(1001 * time.Millisecond), "2"},
		"not now":                  {busy.After(time.Nanosecond), "1"},
		"wrapped":                  {fmt.Errorf("login: %w", busy.After(7*time.Second)), "7"},
		"of no use":                {oci.Errorf(oci.Denied, "no").After(time.Minute), ""},
		"kept beside other things": {busy.After(8 * time.Second).Because(errors.New("x")).WithDetail("y"), "8"},
	} {
		w := httptest.NewRecorder()
		wire.SetRetryAfter(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), c.err)
		if got := w.Header().Get("Retry-After"); got != c.want {
			t.Errorf("%s: Retry-After %q, want %q", name, got, c.want)
		}
	}
}
