package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestAskSendsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, status := range []int{http.StatusOK, http.StatusServiceUnavailable} {
			t.Run(method+" "+http.StatusText(status), func(t *testing.T) {
				t.Parallel()
				var wrong, asked atomic.Int64
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method != method || r.RequestURI != "/a?n=1" || r.Header.Get("Accept") != "b" {
						wrong.Add(1)
					}
					asked.Add(1)
					w.WriteHeader(status)
					_, _ = w.Write(make([]byte, 10_000)) // more than is buffered
				}))
				t.Cleanup(s.Close)
				q := question{method: method, url: s.URL + "/a?n=1", header: http.Header{"Accept": {"b"}}}
				rate, p99, err := ask(t.Context(), q, 3, time.Millisecond)
				if status == http.StatusOK && (err != nil || rate <= 0 || p99 <= 0 || asked.Load() < 3) {
					t.Errorf("got %v, %v, %v after %d requests", rate, p99, err, asked.Load())
				}
				if status != http.StatusOK && err == nil {
					t.Error("a refusal is taken for an answer")
				}
				if wrong.Load() > 0 {
					t.Errorf("%d requests were not what was asked for", wrong.Load())
				}
			})
		}
	}
}

func TestRepeatDoesEachAtLeastOnceAndEndsWithAnError(t *testing.T) {
	t.Parallel()
	var done atomic.Int64
	rate, _, err := repeat(t.Context(), 4, 0, func(context.Context, int, int) error { done.Add(1); return nil })
	if err != nil || rate <= 0 || done.Load() != 4 {
		t.Errorf("got %v, %v after %d; want each of 4 workers once", rate, err, done.Load())
	}
	failed := errors.New("no")
	_, _, err = repeat(t.Context(), 4, time.Hour, func(_ context.Context, w, _ int) error {
		if w == 2 {
			return failed
		}
		return nil
	})
	if !errors.Is(err, failed) {
		t.Errorf("got %v, want %v", err, failed)
	}
}
