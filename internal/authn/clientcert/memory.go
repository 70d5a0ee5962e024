package clientcert

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"

	"github.com/moorgate/moorgate/internal/access"
)

// verdict is what has come of some certificates.
type verdict struct {
	who   access.Identity
	err   error
	until time.Time // it is not true for longer
}

// patience is how long a refusal is remembered: a certificate that begins soon, or
// a list that comes, should count soon.
const patience = 5 * time.Second

// maxVerdicts bounds the memory. More certificates are verified again and again,
// and no worse.
const maxVerdicts = 4096

// memory is the verdicts on the certificates that were shown, since the files were
// read: clients show the same with each request.
type memory struct {
	mu       sync.RWMutex
	verdicts map[verdictKey]verdict
}

// verdictKey is the SHA-256 of all the certificates that somebody shows.
type verdictKey [sha256.Size]byte

func keyOf(shown []*x509.Certificate) (key verdictKey) {
	h := sha256.New()
	for _, cert := range shown { // DER says itself where it ends
		h.Write(cert.Raw)
	}
	h.Sum(key[:0])
	return key
}

func (m *memory) get(key verdictKey, now time.Time) (verdict, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	v, ok := m.verdicts[key]
	return v, ok && now.Before(v.until)
}

// put remembers a verdict. A memory that is full begins anew.
func (m *memory) put(key verdictKey, v verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.verdicts == nil || len(m.verdicts) >= maxVerdicts {
		m.verdicts = map[verdictKey]verdict{}
	}
	m.verdicts[key] = v
}
