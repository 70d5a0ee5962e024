package authn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/moorgate/moorgate/internal/access"
)

// Defaults of a Cache.
const (
	DefaultCacheTTL     = 5 * time.Minute
	DefaultCacheEntries = 10_000
)

// Cache remembers for a short time which passwords were verified, so that a
// slow hash costs once and not on each request. It holds no passwords and no
// stored hashes: an entry is found by an HMAC of them under a random key that
// lives and dies with the process. Wrong passwords are never remembered.
// It may be used at once by many, and shared by several sources.
type Cache struct {
	verified *otter.Cache[cacheKey, access.Identity]
	flights  singleflight.Group
	hits     atomic.Uint64
	macs     sync.Pool // of *keyed
}

// cacheKey is HMAC-SHA256 of (source, stamp, user, password).
type cacheKey [sha256.Size]byte

// NewCache returns a cache of at most entries passwords, each forgotten ttl
// after it was verified. Zero or less means the default.
func NewCache(ttl time.Duration, entries int) *Cache { return newCache(ttl, entries, nil) }

// newCache is NewCache with a clock; nil is the clock of the machine.
func newCache(ttl time.Duration, entries int, clock otter.Clock) *Cache {
	if ttl <= 0 {
		ttl = DefaultCacheTTL
	}
	if entries <= 0 {
		entries = DefaultCacheEntries
	}
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret) // never fails: it ends the process instead
	return &Cache{
		verified: otter.Must(&otter.Options[cacheKey, access.Identity]{
			MaximumSize:      entries,
			ExpiryCalculator: otter.ExpiryWriting[cacheKey, access.Identity](ttl),
			Clock:            clock,
		}),
		macs: sync.Pool{New: func() any { return &keyed{mac: hmac.New(sha256.New, secret)} }},
	}
}

// Hits returns how many passwords were right by what was remembered.
func (c *Cache) Hits() uint64 { return c.hits.Load() }

// find returns who was verified with a key.
func (c *Cache) find(key cacheKey) (access.Identity, bool) {
	who, ok := c.verified.GetIfPresent(key)
	if ok {
		c.hits.Add(1)
	}
	return who, ok
}

// keyed is an HMAC with its buffer, to be used again.
type keyed struct {
	mac hash.Hash
	buf []byte
	sum cacheKey
}

// key returns where the fields are remembered. Each field goes in with its
// length, so that no two lists of fields are the same bytes.
func (c *Cache) key(fields ...string) cacheKey {
	k := c.macs.Get().(*keyed)
	defer c.macs.Put(k)
	size := 0
	for _, f := range fields {
		size += binary.MaxVarintLen64 + len(f)
	}
	if cap(k.buf) < size {
		k.buf = make([]byte, 0, size)
	}
	buf := k.buf[:0]
	for _, f := range fields {
		buf = binary.AppendUvarint(buf, uint64(len(f)))
		buf = append(buf, f...)
	}
	k.mac.Write(buf)
	k.mac.Sum(k.sum[:0])
	k.mac.Reset()
	clear(buf) // a password was in it
	return k.sum
}
