// Package audit is the record of decisions: who did what, or was kept from it.
package audit

import (
	"context"
	"net/netip"

	"github.com/moorgate/moorgate/internal/access"
)

// Outcome says how a decision ended.
type Outcome string

// The outcomes.
const (
	Allowed     Outcome = "allowed"
	Denied      Outcome = "denied"
	LoginFailed Outcome = "login-failed"
)

// Record is one decision. It never holds a secret.
type Record struct {
	RequestID string
	Client    netip.Addr
	Who       access.Identity // for LoginFailed: the user name that was tried
	Scope     access.Scope
	Operation string // the kind of request, such as "manifest-put"
	Outcome   Outcome
	Rule      string // the rule that decided, or why the login failed
}

// Func takes a record. It does not fail: what cannot be recorded is the
// recorder's to report.
type Func func(context.Context, Record)
