package login_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/lockout"
	"github.com/moorgate/moorgate/internal/login"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
)

// slow is a source that takes its time. The password of all its users is "right";
// keys begin with "key_".
type slow struct {
	users map[string]time.Duration // how long it takes for them
	other time.Duration            // and for others
	err   error                    // if it cannot answer
	panic bool
	asked atomic.Int32
}

func (s *slow) Recognizes(_, password string) bool { return strings.HasPrefix(password, "key_") }

func (s *slow) VerifyPassword(_ context.Context, user, password string) (access.Identity, error) {
	s.asked.Add(1)
	if s.panic {
		panic("a mistake of ours")
	}
	takes, known := s.users[user]
	if !known {
		takes = s.other
	}
	time.Sleep(takes) // of a bubble: it costs nothing
	switch {
	case s.err != nil:
		return access.Identity{}, s.err
	case !known:
		return access.Identity{}, authn.ErrNoMatch
	case password != "right" && password != "key_right":
		return access.Identity{}, authn.ErrWrongPassword
	}
	return access.Identity{User: user, Source: "slow"}, nil
}

// desk is a desk in front of s, with all its defences and a trail.
type desk struct {
	login.Desk
	mu    sync.Mutex
	trail []audit.Record
}

func newDesk(sources ...authn.Password) *desk {
	d := &desk{}
	d.Passwords = authn.Chain(sources...)
	d.Delay = 250 * time.Millisecond
	d.Lockout = lockout.New(lockout.Options{Failures: 5, First: time.Second, Longest: 15 * time.Minute, Forget: 2 * time.Hour, Now: time.Now})
	d.Audit = func(_ context.Context, r audit.Record) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.trail = append(d.trail, r)
	}
	return d
}

// from signs in and returns how long the answer took.
func (d *desk) from(ctx context.Context, address, user, password string) (time.Duration, error) {
	client := reqctx.Client{Private: true}
	client.Addr, _ = netip.ParseAddr(address) // or it is not known
	r := httptest.NewRequestWithContext(reqctx.WithClient(ctx, client), http.MethodGet, "/", nil)
	r.SetBasicAuth(user, password)
	begun := time.Now()
	_, err := d.Basic(r)
	return time.Since(begun), err
}

func kind(err error) oci.Kind {
	var known *oci.Error
	if !errors.As(err, &known) {
		return oci.Internal
	}
	return known.Kind
}

// Whoever looks at the clock learns nothing: neither whether there is such a user,
// nor in which source.
func TestFailuresTakeTheSameTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := &slow{users: map[string]time.Duration{"alice": 80 * time.Millisecond}, other: 81 * time.Millisecond}
		directory := &slow{users: map[string]time.Duration{"bob": 45 * time.Millisecond}, other: 15 * time.Millisecond}
		broken := &slow{err: errors.New("the directory does not answer"), other: 149 * time.Millisecond}
		for name, tt := range map[string]struct {
			d    *desk
			user string
			want time.Duration
			kind oci.Kind
		}{
			"known to the first":           {newDesk(file, directory), "alice", 250, oci.Unauthorized},
			"known to the second":          {newDesk(file, directory), "bob", 250, oci.Unauthorized},
			"unknown":                      {newDesk(file, directory), "jabberwock", 250, oci.Unauthorized},
			"unknown to nobody":            {newDesk(), "jabberwock", 250, oci.Unauthorized},
			"malformed":                    {newDesk(file), "", 250, oci.Unauthorized},
			"one cannot answer":            {newDesk(file, broken), "jabberwock", 250, oci.Unavailable},
			"longer than that, one more":   {newDesk(file, broken, directory, broken), "jabberwock", 500, oci.Unavailable},
			"longer than that, by an user": {newDesk(&slow{users: map[string]time.Duration{"carol": 251 * time.Millisecond}}), "carol", 500, oci.Unauthorized},
		} {
			took, err := tt.d.from(t.Context(), "192.0.2.1", tt.user, "wrong")
			if took != tt.want*time.Millisecond || kind(err) != tt.kind {
				t.Errorf("%s: answered after %s: %v, want after %d ms", name, took, err, tt.want)
			}
		}
		d := newDesk(file, directory)
		if took, err := d.from(t.Context(), "192.0.2.1", "alice", "right"); err != nil || took != 80*time.Millisecond {
			t.Errorf("the right password: after %s: %v", took, err)
		}
		d.Delay = 0
		if took, err := d.from(t.Context(), "192.0.2.1", "alice", "wrong"); kind(err) != oci.Unauthorized || took != 80*time.Millisecond {
			t.Errorf("without a delay: after %s: %v", took, err)
		}
	})
}

// after returns when the client should come back.
func after(err error) time.Duration {
	var known *oci.Error
	if !errors.As(err, &known) {
		return 0
	}
	return known.RetryAfter
}

// toldOnce fails the test unless the trail has five failures of a user and then the
// lock, and no password.
func (d *desk) toldOnce(t *testing.T, user string) {
	t.Helper()
	if n := len(d.trail); n != 6 || d.trail[5].Outcome != audit.LoginFailed || d.trail[5].Who.User != user ||
		!strings.Contains(d.trail[5].Rule, "5 wrong passwords") || !strings.Contains(d.trail[5].Rule, "192.0.2.1") {
		t.Errorf("the trail is %+v", d.trail)
	}
	if strings.Contains(fmt.Sprint(d.trail), "secret") {
		t.Errorf("the trail has a password: %+v", d.trail)
	}
}

// TestLocked: from the fifth wrong password on nobody is asked, known or not, and the
// answers are the same to the letter.
func TestLocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		for _, user := range []string{"alice", "nobody"} {
			s := &slow{users: map[string]time.Duration{"alice": 0}}
			d := newDesk(s)
			for i := range 5 {
				if _, err := d.from(t.Context(), "192.0.2.1", user, fmt.Sprint("secret ", i)); kind(err) != oci.Unauthorized {
					t.Fatalf("%s, %d: %v", user, i, err)
				}
			}
			took, err := d.from(t.Context(), "192.0.2.1", user, "right")
			if kind(err) != oci.TooManyRequests || after(err) != 750*time.Millisecond || took != 0 {
				t.Errorf("%s, locked: after %s: %v, come back after %s", user, took, err, after(err))
			}
			if s.asked.Load() != 5 {
				t.Errorf("%s: the source was asked %d times", user, s.asked.Load())
			}
			told = append(told, err.Error())
			d.toldOnce(t, user)
			time.Sleep(time.Second)
			if _, err := d.from(t.Context(), "192.0.2.1", user, "right"); (err == nil) != (user == "alice") {
				t.Errorf("%s, after the lock: %v", user, err)
			}
		}
		if told[0] != told[1] || told[0] != "too many wrong passwords: try again in 1s" {
			t.Errorf("they are told %q", told)
		}
	})
}

// Keys cannot be guessed: they are not locked by those who guess passwords, and do
// not lock.
func TestKeysAreNotLocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(&slow{users: map[string]time.Duration{"alice": 0}})
		for i := range 100 {
			if _, err := d.from(t.Context(), "192.0.2.1", "alice", fmt.Sprint("key_", i)); kind(err) != oci.Unauthorized {
				t.Fatalf("key %d: %v", i, err)
			}
		}
		if _, err := d.from(t.Context(), "192.0.2.1", "alice", "right"); err != nil {
			t.Errorf("after many wrong keys: %v", err)
		}
		for i := range 6 {
			_, _ = d.from(t.Context(), "192.0.2.1", "alice", fmt.Sprint(i))
		}
		if _, err := d.from(t.Context(), "192.0.2.1", "alice", "right"); kind(err) != oci.TooManyRequests {
			t.Fatalf("nothing is locked: %v", err)
		}
		before := d.Lockout.Refused()
		if _, err := d.from(t.Context(), "192.0.2.1", "alice", "key_right"); err != nil {
			t.Errorf("a key, while passwords are locked: %v", err)
		}
		if after := d.Lockout.Refused(); before != 2 || after != before {
			t.Errorf("%d were refused, and %d with a key that was not", before, after)
		}
	})
}

// What was not checked, for whatever reason, does not count.
func TestFaultsDoNotLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{users: map[string]time.Duration{"alice": 0}}
		d := newDesk(s)
		for i := range 300 {
			s.err, s.panic = errors.New("no answer"), i%3 == 2
			if i%3 == 1 {
				s.err = authn.ErrBusy
			}
			func() {
				defer func() { _ = recover() }()
				_, _ = d.from(t.Context(), "192.0.2.1", "alice", fmt.Sprint(i))
			}()
		}
		s.err, s.panic = nil, false
		for range 2 {
			if _, err := d.from(t.Context(), "192.0.2.1", "alice", "right"); err != nil {
				t.Errorf("after 300 faults: %v", err)
			}
		}
		for i := range 300 {
			_, _ = d.from(t.Context(), "192.0.2.1", strings.Repeat("x", 256+i), fmt.Sprint(i)) // nobody is asked about such a name
		}
		if n := d.Lockout.ClearAll(); n != 0 {
			t.Errorf("%d counts are left", n)
		}
	})
}

// Only so many failures wait; and one whose client has gone does not.
func TestWaitingFailuresAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		const many = 1500
		var late, refused atomic.Int32
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() {
				took, err := d.from(t.Context(), fmt.Sprintf("10.0.%d.%d", i/250, i%250), fmt.Sprint("user ", i), "x")
				switch {
				case kind(err) == oci.Unauthorized && took == 250*time.Millisecond:
					late.Add(1)
				case kind(err) == oci.TooManyRequests && took == 0:
					refused.Add(1)
				default:
					t.Errorf("after %s: %v", took, err)
				}
			})
		}
		all.Wait()
		if late.Load() != 1024 || refused.Load() != many-1024 {
			t.Errorf("%d waited and %d were refused", late.Load(), refused.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if took, err := d.from(ctx, "10.1.1.1", "somebody", "x"); took != 10*time.Millisecond || kind(err) != oci.Unauthorized {
			t.Errorf("whose client has gone: after %s: %v", took, err)
		}
		if took, _ := d.from(t.Context(), "10.1.1.2", "somebody else", "x"); took != 250*time.Millisecond {
			t.Errorf("the next one is answered after %s", took)
		}
	})
}

// Mallory guesses a hundred at once: five are looked at.
func TestMalloryGuessesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{users: map[string]time.Duration{"alice": 100 * time.Millisecond}}
		d := newDesk(s)
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() { _, _ = d.from(t.Context(), "192.0.2.66", "alice", fmt.Sprint(i)) })
		}
		// Alice, elsewhere, with many connections, has never been here.
		var in atomic.Int32
		for range 50 {
			all.Go(func() {
				if _, err := d.from(t.Context(), "192.0.2.1", "alice", "right"); err == nil {
					in.Add(1)
				}
			})
		}
		all.Wait()
		if n := s.asked.Load(); n != 5+50 {
			t.Errorf("%d passwords were checked, want 5 of mallory and 50 of alice", n)
		}
		if in.Load() != 50 {
			t.Errorf("alice got in %d times of 50", in.Load())
		}
	})
}
