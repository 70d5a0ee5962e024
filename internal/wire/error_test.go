package wire_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
