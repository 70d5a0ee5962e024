package authn

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
)

// slowDirectory counts how often it is asked, and holds answers back on request.
type slowDirectory struct {
	mu     sync.Mutex
	asked  int
	groups []string
	err    error
	hold   chan struct{} // nil: no waiting
}

func (d *slowDirectory) Lookup(ctx context.Context, source, user string) (access.Identity, string, error) {
	d.mu.Lock()
	d.asked++
	hold, groups, err := d.hold, d.groups, d.err
	d.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if ctx.Err() != nil {
		return access.Identity{}, "", ctx.Err()
	}
	if err != nil {
		return access.Identity{}, "", err
	}
	return access.Identity{User: user, Source: source, Groups: groups}, "stamp", nil
}

func (d *slowDirectory) set(groups []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.groups, d.err = groups, err
}

func (d *slowDirectory) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func TestRememberedUsers(t *testing.T) {
	t.Parallel()
	clock, d := &handClock{}, &slowDirectory{groups: []string{"dev"}}
	m := remembered(d, time.Minute, clock)
	look := func(user string, asked int, groups []string, want error) {
		t.Helper()
		who, stamp, err := m.Lookup(t.Context(), "ldap", user)
		if !errors.Is(err, want) || want == nil && (stamp != "stamp" || who.User != user || cmp.Diff(groups, who.Groups) != "") {
			t.Errorf("%s: %+v, %q, %v", user, who, stamp, err)
		}
		if got := d.count(); got != asked {
			t.Errorf("%s: the directory was asked %d times, want %d", user, got, asked)
		}
	}
	look("alice", 1, []string{"dev"}, nil)
	d.set(nil, ErrNoMatch)
	look("alice", 1, []string{"dev"}, nil)
	clock.advance(59 * time.Second)
	look("alice", 1, []string{"dev"}, nil)
	look("bob", 2, nil, ErrNoMatch)
	look("bob", 3, nil, ErrNoMatch) // who comes back is there at once
	clock.advance(2 * time.Second)
	look("alice", 4, nil, ErrNoMatch)
	broken := errors.New("it does not answer")
	d.set(nil, broken)
	look("alice", 5, nil, broken)
	d.set([]string{"ops"}, nil)
	look("alice", 6, []string{"ops"}, nil)
	if who, _, err := m.Lookup(t.Context(), "ldap alice", ""); err != nil || who.Source != "ldap alice" || d.count() != 7 {
		t.Errorf("another source of which the name could be a source and a user: %+v, %v", who, err)
	}
}

func TestWithoutATimeNothingIsRemembered(t *testing.T) {
	t.Parallel()
	d := &slowDirectory{}
	if got := Remembered(d, 0); got != Directory(d) {
		t.Errorf("%T", got)
	}
}

// TestManyAskOnce: and who goes away keeps nobody else from an answer.
func TestManyAskOnce(t *testing.T) {
	t.Parallel()
	d := &slowDirectory{hold: make(chan struct{})}
	m := Remembered(d, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, _, err := m.Lookup(ctx, "ldap", "alice")
		gone <- err
	}()
	for d.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if who, _, err := m.Lookup(t.Context(), "ldap", "alice"); err != nil || who.User != "alice" {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who went away: %v", err)
	}
	close(d.hold)
	all.Wait()
	if got := d.count(); got != 1 {
		t.Errorf("asked %d times, want 1", got)
	}
}

// entries is a directory that tells entries apart, by what they are called.
type entries struct{ slowDirectory }

func (d *entries) LookupEntry(ctx context.Context, source, user string) (Entry, error) {
	who, stamp, err := d.Lookup(ctx, source, user)
	return Entry{Who: who, Stamp: stamp, ID: "entry of " + user}, err
}

// TestEntriesPassThrough: what a directory tells of an entry arrives, remembered or
// not, and one that tells nothing has entries without an ID.
func TestEntriesPassThrough(t *testing.T) {
	t.Parallel()
	for id, next := range map[string]Directory{"entry of alice": &entries{}, "": &slowDirectory{}} {
		d := Directories(Remembered(next, time.Minute))
		for range 2 {
			e, err := LookupEntry(t.Context(), d, "ldap", "alice")
			if err != nil || e.ID != id || e.Stamp != "stamp" || e.Who.User != "alice" {
				t.Errorf("%+v, %v; want the ID %q", e, err, id)
			}
		}
	}
	broken := errors.New("it does not answer")
	failing := &entries{slowDirectory{err: broken}}
	if e, err := LookupEntry(t.Context(), Directories(Remembered(failing, time.Minute)), "ldap", "alice"); !errors.Is(err, broken) || e.ID != "" || e.Who.User != "" {
		t.Errorf("%+v, %v; want the fault alone", e, err)
	}
}
