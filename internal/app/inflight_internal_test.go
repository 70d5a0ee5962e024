package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/testserver"
)

// A request that does not end keeps the server for some seconds, and is counted in its
// last record.
func TestRequestThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := newServer(config.Serve, Source{Config: config.Default()}, slog.New(slog.NewTextHandler(&log, nil)))
	file := filepath.Join(t.TempDir(), "audit.log")
	s.cfg.Audit.File.Path = file
	if err := s.openAudit(nil); err != nil {
		t.Fatal(err)
	}
	begun, end := make(chan struct{}), make(chan struct{})
	defer close(end)
	s.answerWith(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(begun); <-end }))
	go s.http.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	<-begun
	s.auditor.started(t.Context(), s)
	before := time.Now()
	if err := s.cutOff(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(before); took < lastWords {
		t.Errorf("it waited %s", took)
	}
	if err := s.auditor.Close(); err != nil {
		t.Error(err)
	}
	testserver.Printed([]byte(log.String()))
	if !strings.Contains(log.String(), "requests=1 running=1") {
		t.Errorf("%s", log.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"operation":"server-stop","user":"operator","source":"file","detail":"1 requests were cut off`) {
		t.Errorf("%s", text)
	}
}
