package token

import (
	"crypto/sha256"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/moorgate/moorgate/internal/authn"
)

const (
	// maxRemembered is how many verified tokens are remembered, if none is
	// longer than one unit. Longer ones count for more.
	maxRemembered = 10_000
	unit          = 1 << 10 // bytes
)

// tokenSum is the SHA-256 of a token: the memory holds no tokens that could be
// used.
type tokenSum [sha256.Size]byte

func sumOf(token string) tokenSum { return sha256.Sum256([]byte(token)) }

// memorized is a token that was verified, and the key that it was verified with.
type memorized struct {
	token authn.Token
	key   Key
	size  int // bytes of its text
}

// memory remembers verified tokens until they expire.
type memory struct {
	tokens *otter.Cache[tokenSum, memorized]
}

func newMemory(now func() time.Time) *memory {
	return &memory{tokens: otter.Must(&otter.Options[tokenSum, memorized]{
		MaximumWeight: maxRemembered,
		Weigher: func(_ tokenSum, m memorized) uint32 {
			return uint32(1 + m.size/unit) //nolint:gosec // a token is at most maxToken long
		},
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[tokenSum, memorized]) time.Duration {
			return max(e.Value.token.Expires.Sub(now()), 1)
		}),
	})}
}

func (m *memory) get(sum tokenSum) (memorized, bool) { return m.tokens.GetIfPresent(sum) }

func (m *memory) put(sum tokenSum, t memorized) { m.tokens.Set(sum, t) }
