package config

import (
	"net/netip"
	"time"
)

// Lockout says how slow it is to guess passwords.
type Lockout struct {
	Failures int           `yaml:"failures"` // the wrong password of a user at one address that locks, and each one more; 0: one may guess
	First    time.Duration `yaml:"first"`    // how long the first lock lasts; each is twice as long as the one before
	Longest  time.Duration `yaml:"longest"`  // and any
	Forget   time.Duration `yaml:"forget"`   // wrong passwords are forgotten after so long without one
	Delay    time.Duration `yaml:"delay"`    // a failed login is answered at a multiple of it; 0: at once
	Trusted  []Prefix      `yaml:"trusted"`  // where only what happened at the same address matters to a user
}

func defaultLockout() Lockout {
	return Lockout{Failures: 5, First: time.Second, Longest: 15 * time.Minute, Forget: 2 * time.Hour, Delay: 250 * time.Millisecond}
}

// Networks returns the trusted ones as address ranges.
func (l Lockout) Networks() []netip.Prefix { return prefixes(l.Trusted) }

// Bounds of what can be configured. Beyond them it protects nobody.
const (
	maxFailures = 100
	maxLongest  = 24 * time.Hour
	maxForget   = 7 * 24 * time.Hour
	maxDelay    = 10 * time.Second
)

func (v *validator) lockout(l Lockout) {
	v.check(l.Failures >= 0 && l.Failures <= maxFailures, "lockout.failures", "%d is not between 1 and %d, or 0 to let everybody guess", l.Failures, maxFailures)
	v.warn(l.Failures != 0, "lockout.failures", "whoever can reach the server may guess passwords for as long as they like")
	v.atLeast("lockout.first", l.First, time.Second)
	v.check(l.First > maxLongest || l.Longest >= l.First, "lockout.longest", "%s is too short, at least as long as lockout.first, %s", l.Longest, l.First)
	v.check(l.First <= maxLongest, "lockout.first", "%s is too long, at most %s", l.First, maxLongest)
	v.check(l.Longest <= maxLongest, "lockout.longest", "%s is too long, at most %s: who is locked out has nobody to ask but you", l.Longest, maxLongest)
	v.check(l.Longest > maxLongest || l.Forget >= l.Longest, "lockout.forget", "%s is too short: at least as long as lockout.longest, %s, or whoever waits for a lock to end begins anew", l.Forget, l.Longest)
	v.check(l.Forget <= maxForget, "lockout.forget", "%s is too long, at most %s", l.Forget, maxForget)
	v.atLeast("lockout.delay", l.Delay, 0)
	v.check(l.Delay <= maxDelay, "lockout.delay", "%s is too long, at most %s: clients do not wait for ever", l.Delay, maxDelay)
	for _, p := range l.Networks() {
		v.warn(p.Bits() > 0, "lockout.trusted", "%s is the whole world: one who guesses from many addresses is never slowed down", p)
	}
}
