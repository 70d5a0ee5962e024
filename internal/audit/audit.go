// Package audit is the record of decisions: who did what, or was kept from it.
package audit

import (
	"context"
	"net/netip"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/oci"
)

// Outcome says how a decision ended.
type Outcome string

// The outcomes.
const (
	Allowed     Outcome = "allowed"      // it may be: something is read, or a token granted
	Denied      Outcome = "denied"       // it may not
	LoginFailed Outcome = "login-failed" // nobody was let in
	Done        Outcome = "done"         // it was allowed, and has happened
	Failed      Outcome = "failed"       // it was allowed, and has not happened
	Unknown     Outcome = "unknown"      // it was allowed, and an error hides whether it has happened
)

// Record is one decision. It never holds a secret.
type Record struct {
	Time      time.Time // zero: now
	RequestID string
	Client    netip.Addr
	Who       access.Identity // for LoginFailed: the user name that was tried
	Scope     access.Scope
	Digest    oci.Digest // of the content that was written or removed; "" if there is none, or it is not known
	From      string     // the repository that a blob was mounted from
	Operation string     // the kind of request, such as "manifest-put", or what the operator has done
	Outcome   Outcome
	Rule      string // the rule that decided, or why the login failed
	Status    int    // of the answer, for Failed and Unknown; 0 if there was none
	Code      string // of the error (distribution-spec, "Error Codes"), for Failed and Unknown
	Detail    string // what has changed, where there is no repository
}

// Func takes a record. It does not fail: what cannot be recorded is the
// recorder's to report.
type Func func(context.Context, Record)
