package credhelper_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// Another process holds the lock of a login, and does not end. Who does not want to
// wait for that any longer need not.
func TestTheWaitForAnotherProcessEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	if err := r.store(t, r.server.Addr, "alice", r.password); err != nil {
		t.Fatal(err)
	}
	r.advance(40 * time.Minute)
	unlock, err := r.Keyring.Lock(t.Context(), r.server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"get", "erase"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		ctrlC := errors.New("interrupt")
		time.AfterFunc(100*time.Millisecond, func() { cancel(ctrlC) })
		var out bytes.Buffer
		err := r.Serve(ctx, []string{action}, strings.NewReader(r.server.Addr), &out)
		if !errors.Is(err, ctrlC) || !strings.Contains(err.Error(), "another process") || out.Len() > 0 {
			t.Errorf("%s: %v, %q", action, err, &out)
		}
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	r.mustGet(t)
}

// Ten pulls at once must not find one after the other, for half a minute each, that a
// server does not answer.
func TestThatAServerIsAwayIsFoundOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	if err := r.store(t, r.server.Addr, "alice", r.password); err != nil {
		t.Fatal(err)
	}
	first := r.mustGet(t)
	r.advance(40 * time.Minute)
	note := func(when time.Time) {
		kept, err := r.Keyring.Read(r.server.Addr)
		if err != nil {
			t.Fatal(err)
		}
		kept.Unreachable = when
		if err := r.Keyring.Write(r.server.Addr, kept); err != nil {
			t.Fatal(err)
		}
	}
	note(r.now().Add(10 * time.Minute)) // after this one has begun to wait
	if c := r.mustGet(t); c != first {
		t.Error("a server was asked that another process has just found to be away")
	}
	note(r.now().Add(-time.Second)) // before that
	second := r.mustGet(t)
	if second == first {
		t.Error("a server that was away is not asked again")
	}
	if kept, err := r.Keyring.Read(r.server.Addr); err != nil || !kept.Unreachable.IsZero() {
		t.Errorf("it has answered, and counts as away since %v, %v", kept.Unreachable, err)
	}
	note(r.now().Add(2 * time.Hour))
	r.advance(time.Hour)
	if c := r.mustGet(t); c == second {
		t.Error("a session that has ended is handed out")
	}
}
