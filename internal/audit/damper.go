package audit

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of what a Damper passes on in one minute.
const (
	minute         = time.Minute
	maxPerNetwork  = 60    // refusals of one client
	maxRefusals    = 1_000 // of all of them
	maxNetworks    = 1_000 // that are told apart; all others count as one
	networkBits    = 64    // of an IPv6 address: the rest is the client's to choose (RFC 4291, section 2.5.1)
	floodOperation = "login-flood"
)

// Damper passes records on. Of refusals that cost a client nothing but a request, which
// are failed logins and what is denied to nobody, it passes only some in a minute, and
// then one record for each client that says how many more there were: else anybody
// could write until the records that matter have made room.
type Damper struct {
	next Func
	now  func() time.Time

	mu     sync.Mutex
	begun  time.Time // the minute that is counted
	passed int       // refusals in it
	by     map[netip.Addr]*refusals
	others refusals // of those for whom there was no room
}

// refusals are those of one client in one minute.
type refusals struct {
	client       netip.Addr // as it came first; not valid for several
	passed, more int
}

// NewDamper returns a damper before next, with a clock.
func NewDamper(next Func, now func() time.Time) *Damper {
	return &Damper{next: next, now: now, by: map[netip.Addr]*refusals{}}
}

// Record takes a record. It is a Func.
func (d *Damper) Record(ctx context.Context, r Record) {
	if !costsNothing(r) {
		d.next(ctx, r)
		return
	}
	d.Tell(ctx)
	if d.let(r.Client) {
		d.next(ctx, r)
	}
}

// Tell passes on what there was more in a minute that is over. It is called again and
// again, so that a flood that has ended is told of too.
func (d *Damper) Tell(ctx context.Context) { d.tell(ctx, minute) }

// TellAll passes on what there was more until now: nothing comes any more.
func (d *Damper) TellAll(ctx context.Context) { d.tell(ctx, 0) }

// costsNothing reports whether anybody can cause a record as often as they like.
func costsNothing(r Record) bool {
	return r.Outcome == LoginFailed || r.Outcome == Denied && r.Who.IsAnonymous()
}

// let counts a refusal, and reports whether it is passed on.
func (d *Damper) let(client netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.begun.IsZero() {
		d.begun = d.now()
	}
	c := d.of(client)
	if c.passed >= maxPerNetwork || d.passed >= maxRefusals {
		c.more++
		return false
	}
	c.passed++
	d.passed++
	return true
}

// of returns the refusals of a client.
func (d *Damper) of(client netip.Addr) *refusals {
	key := client.Unmap().WithZone("")
	if p, err := key.Prefix(networkBits); err == nil && key.Is6() {
		key = p.Addr()
	}
	c, ok := d.by[key]
	switch {
	case ok:
		return c
	case len(d.by) >= maxNetworks:
		return &d.others
	}
	c = &refusals{client: client}
	d.by[key] = c
	return c
}

// tell ends the minute that is counted, if it has gone on for some time.
func (d *Damper) tell(ctx context.Context, atLeast time.Duration) {
	for _, r := range d.end(atLeast) {
		d.next(ctx, r)
	}
}

// end returns a record for each client with more refusals than were passed on.
func (d *Damper) end(atLeast time.Duration) []Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if age := now.Sub(d.begun); d.begun.IsZero() || age >= 0 && age < atLeast { // a clock that was set back ends it too
		return nil
	}
	var list []Record
	for _, c := range d.by {
		list = append(list, c.flood(d.begun, now)...)
	}
	slices.SortFunc(list, func(a, b Record) int { return a.Client.Compare(b.Client) })
	list = append(list, d.others.flood(d.begun, now)...)
	d.begun, d.passed, d.others = time.Time{}, 0, refusals{}
	clear(d.by)
	return list
}

// flood is the record of those that were not passed on; none if all were.
func (c *refusals) flood(since, now time.Time) []Record {
	if c.more == 0 {
		return nil
	}
	from := "many other addresses"
	if c.client.IsValid() {
		from = c.client.String()
	}
	return []Record{{
		Time: now, Client: c.client, Operation: floodOperation, Outcome: LoginFailed,
		Detail: fmt.Sprintf("%d more refusals of %s since %s have no lines of their own", c.more, from, since.UTC().Format(time.RFC3339)),
	}}
}
