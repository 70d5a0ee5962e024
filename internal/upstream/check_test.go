package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	answers := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for name, c := range map[string]struct {
		handler  http.HandlerFunc
		password string
		want     error
	}{
		"open":             {answers(http.StatusOK), "", nil},
		"asks for login":   {basicRegistry(nil), "", nil},
		"good credentials": {basicRegistry(nil), hidden, nil},
		"bad credentials":  {basicRegistry(nil), "wrong", ErrCredentials},
		"not a registry":   {answers(http.StatusNotFound), "", ErrUnreachable},
		"broken":           {answers(http.StatusInternalServerError), hidden, ErrUnreachable},
		"starting":         {answers(http.StatusServiceUnavailable), "", ErrUnreachable},
	} {
		s := serve(t, c.handler)
		config := Config{URL: s.URL, Password: c.password}
		if c.password != "" {
			config.Username = "gate"
		}
		if err := start(t, config).Check(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestCheckRemembersForAWhile(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	var down atomic.Bool
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if down.Load() {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	u := knows(start(t, Config{URL: s.URL}))
	begin := time.Now()
	u.health.now = func() time.Time { return begin }
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := u.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	down.Store(true)
	if err := u.Check(t.Context()); err != nil || asked.Load() != 1 {
		t.Errorf("%v after %d questions", err, asked.Load())
	}
	u.health.now = func() time.Time { return begin.Add(healthFresh) }
	for range 2 {
		if err := u.Check(t.Context()); !errors.Is(err, ErrUnreachable) || asked.Load() != 2 {
			t.Errorf("later: %v after %d questions", err, asked.Load())
		}
	}
}

func TestAProbeThatLeavesDoesNotSpoilTheAnswer(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	u := knows(start(t, Config{URL: s.URL}))
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { first <- u.Check(ctx) }()
	<-arrived
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left got %v", err)
	}
	close(release)
	if err := u.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
