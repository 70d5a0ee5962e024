package audit_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
)

// damped is a damper with a clock that stands still, and what it has passed on.
type damped struct {
	*audit.Damper
	now    time.Time
	passed []audit.Record
}

func newDamped() *damped {
	d := &damped{now: when}
	d.Damper = audit.NewDamper(func(_ context.Context, r audit.Record) { d.passed = append(d.passed, r) }, func() time.Time { return d.now })
	return d
}

// guess records failed logins from an address.
func (d *damped) guess(t *testing.T, n int, from string) {
	t.Helper()
	client, _ := netip.ParseAddr(from) // "": not known
	for range n {
		d.Record(t.Context(), audit.Record{Outcome: audit.LoginFailed, Operation: "login", Client: client})
	}
}

// floods returns what was said about refusals that were not passed on, and how many
// were.
func (d *damped) floods() (said []string, lines int) {
	for _, r := range d.passed {
		if r.Operation != "login-flood" {
			lines++
			continue
		}
		said = append(said, fmt.Sprintf("%s %s: %s", r.Outcome, r.Client, r.Detail))
	}
	return said, lines
}

// Mallory knocks without end. That is so many lines and one more, and nobody else's
// is missing.
func TestFloodOfFailedLogins(t *testing.T) {
	t.Parallel()
	d := newDamped()
	d.guess(t, 10_000, "192.0.2.7")
	d.guess(t, 1, "192.0.2.8")
	if said, lines := d.floods(); lines != 61 || len(said) != 0 {
		t.Errorf("%d lines, %q", lines, said)
	}
	d.now = d.now.Add(59 * time.Second)
	d.Tell(t.Context())
	if said, _ := d.floods(); len(said) != 0 {
		t.Errorf("before the minute is over: %q", said)
	}
	d.now = d.now.Add(time.Second)
	d.guess(t, 1, "192.0.2.7")
	said, lines := d.floods()
	want := []string{"login-failed 192.0.2.7: 9940 more refusals of 192.0.2.7 since 2026-11-27T17:00:01Z have no lines of their own"}
	if diff := cmp.Diff(want, said); diff != "" || lines != 62 {
		t.Errorf("%d lines (-want +got):\n%s", lines, diff)
	}
	d.now = d.now.Add(time.Hour)
	d.Tell(t.Context())
	d.TellAll(t.Context())
	if again, _ := d.floods(); len(again) != 1 {
		t.Errorf("%q", again)
	}
}

func TestFloodThatIsToldOfAtTheEnd(t *testing.T) {
	t.Parallel()
	d := newDamped()
	d.guess(t, 61, "192.0.2.7")
	d.guess(t, 62, "")
	d.TellAll(t.Context())
	said, lines := d.floods()
	if lines != 120 || len(said) != 2 || !strings.Contains(said[0], "2 more refusals of many other addresses") || !strings.Contains(said[1], "1 more refusals of 192.0.2.7") {
		t.Errorf("%d lines, %q", lines, said)
	}
}

// A client of IPv6 has as many addresses as it likes; and what many clients write
// together is bounded as well.
func TestFloodFromManyAddresses(t *testing.T) {
	t.Parallel()
	d := newDamped()
	for i := range 500 {
		d.guess(t, 1, fmt.Sprintf("2001:db8::%x", i+1))
	}
	if _, lines := d.floods(); lines != 60 {
		t.Errorf("%d lines of one network", lines)
	}
	for i := range 100_000 {
		d.guess(t, 2, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String())
	}
	d.TellAll(t.Context())
	said, lines := d.floods()
	if lines != 1000 || len(said) > 1001 {
		t.Errorf("%d lines, and %d about more", lines, len(said))
	}
	if last := said[len(said)-1]; !strings.Contains(last, "of many other addresses") {
		t.Errorf("the last is %q", last)
	}
	sum := lines
	for _, text := range said {
		var n int
		if _, err := fmt.Sscan(text[strings.Index(text, ": ")+2:], &n); err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum != 200_500 {
		t.Errorf("%d are accounted for", sum)
	}
}

// What somebody does who has signed in, and what has happened, is passed on always.
func TestWhatIsNotDamped(t *testing.T) {
	t.Parallel()
	alice := access.Identity{User: "alice"}
	for name, test := range map[string]struct {
		record audit.Record
		want   int
	}{
		"a change by anybody":  {audit.Record{Outcome: audit.Done}, 200},
		"a pull by anybody":    {audit.Record{Outcome: audit.Allowed}, 200},
		"a denial of somebody": {audit.Record{Outcome: audit.Denied, Who: alice}, 200},
		"a denial of nobody":   {audit.Record{Outcome: audit.Denied}, 60},
		"the name of somebody": {audit.Record{Outcome: audit.LoginFailed, Who: alice}, 60},
	} {
		d := newDamped()
		for range 200 {
			d.Record(t.Context(), test.record)
		}
		if len(d.passed) != test.want {
			t.Errorf("%s: %d of 200, want %d", name, len(d.passed), test.want)
		}
	}
}

// A clock that is set back does not keep a damper shut.
func TestFloodAndAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	d := newDamped()
	d.guess(t, 100, "192.0.2.7")
	d.now = d.now.Add(-time.Hour)
	d.guess(t, 1, "192.0.2.7")
	if said, lines := d.floods(); lines != 61 || len(said) != 1 {
		t.Errorf("%d lines, %q", lines, said)
	}
}
