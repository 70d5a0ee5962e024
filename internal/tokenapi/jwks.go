package tokenapi

import (
	"log/slog"
	"net/http"
	"strconv"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/wire"
)

// JWKS returns the handler that publishes the keys that tokens are verified with
// (RFC 7517, section 5), for whoever asks. set returns them as JSON; it may be
// called at once by many. Who fetches them may keep them for five minutes.
func JWKS(set func() []byte, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			wire.Error(w, r, log, oci.Errorf(oci.Unsupported, "the keys can only be read"))
			return
		}
		body := set()
		// Not application/jwk-set+json: some libraries only read what is named JSON.
		h.Set("Content-Type", "application/json")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "public, max-age=300")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(body) // the client may be gone; no body is sent for HEAD
	})
}
