package credhelper_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Mallory takes over a registry of others that sent its clients to our token server, and
// sends them to herself. The helper goes on asking whom it has signed in at.
func TestARegistryThatSendsElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	var stolen atomic.Value
	stolen.Store("")
	mallory := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_ = req.ParseForm()
		stolen.Store(stolen.Load().(string) + req.Method + " " + req.URL.String() + " " + req.PostForm.Encode() + req.Header.Get("Authorization") + "\n")
		_, _ = w.Write([]byte(`{"token_path":"/token","revoke_path":"/token","session_service":"urn:moorgate:session","session_seconds":3600}`))
	}))
	t.Cleanup(mallory.Close)
	var realm atomic.Value
	realm.Store(r.server.URL)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/v2/" {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="other"`, realm.Load()))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(registry.Close)
	host := strings.TrimPrefix(registry.URL, "http://")
	if err := r.store(t, host, "alice", r.password); err != nil {
		t.Fatal(err)
	}
	realm.Store(mallory.URL)
	r.advance(time.Hour)
	c, err := r.get(t, host)
	if err != nil || r.status(t, c.Username, c.Secret) != http.StatusOK {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := r.serve(t, "erase", host); err != nil {
		t.Error(err)
	}
	if got := stolen.Load().(string); got != "" {
		t.Errorf("mallory was sent %s", got)
	}
}
