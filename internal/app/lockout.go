package app

import (
	"time"

	"github.com/moorgate/moorgate/internal/lockout"
	"github.com/moorgate/moorgate/internal/login"
)

// openLockout makes a desk slow to those who guess.
func (s *Server) openLockout(desk *login.Desk) {
	c := s.cfg.Lockout
	desk.Delay = c.Delay
	if c.Failures == 0 {
		return
	}
	desk.Lockout = lockout.New(lockout.Options{
		Failures: c.Failures, First: c.First, Longest: c.Longest, Forget: c.Forget, Trusted: c.Networks(), Now: time.Now,
	})
	s.metrics.Lockouts(desk.Lockout)
}

// countLogins shows what checking passwords costs.
func (s *Server) countLogins(ss *sources) {
	s.metrics.Total("moorgate_password_hashes_total", "Password hashes that were computed.", ss.limiter.Total)
	s.metrics.Total("moorgate_passwords_remembered_total", "Passwords that were right by what was remembered: no source did any work.", ss.caches.hits)
}
