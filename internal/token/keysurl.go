package token

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// Defaults of KeysURLOptions.
const (
	DefaultRefresh  = 10 * time.Minute
	DefaultStaleFor = 24 * time.Hour
)

// retryAfter is how long after a fetch no other one is made for keys that are
// missing or after a failure, or Refresh if that is shorter.
const retryAfter = 30 * time.Second

// KeysURLOptions say how keys are fetched.
type KeysURLOptions struct {
	Refresh   time.Duration    // how old the keys may be; 0 is DefaultRefresh
	StaleFor  time.Duration    // how old they may be while the URL cannot be reached; 0 is DefaultStaleFor
	AllowHTTP bool             // from other hosts than this one, too
	CAFile    string           // PEM certificates of the authorities to trust for it; "" is those of the system
	TokenFile string           // holds a token that NewKeysURL's URL wants to see, read for each fetch; "" is none
	Timeout   time.Duration    // of a fetch; 0 is 10 seconds
	Now       func() time.Time // nil is time.Now
}

// KeysURL is the keys of a foreign token server: a JWK set behind a URL, which is
// given or found. It
// implements KeySet and may be used at once by many, who share one fetch.
//
// The set is fetched at first need, when it is older than Refresh, and for a key
// that is not in it. Keys that are not in the set any more end with the next
// fetch. If the fetch fails, they stay for StaleFor.
type KeysURL struct {
	locate  func(ctx context.Context) (location, error) // asked before each fetch
	options KeysURLOptions
	client  *http.Client

	flights singleflight.Group
	last    atomic.Pointer[fetched] // nil before the first fetch
}

// fetched is how the last fetch went and what is known after it. It does not change.
type fetched struct {
	keys  map[string]Key
	at    time.Time // keys are from then; the zero value if there are none
	tried time.Time // the fetch ended then
	err   error     // of the fetch
}

// NewKeysURL returns the keys behind rawURL. It fetches nothing yet.
func NewKeysURL(rawURL string, o KeysURLOptions) (*KeysURL, error) {
	u, err := checkURL(rawURL, o.AllowHTTP)
	if err != nil {
		return nil, err
	}
	k, err := newKeysURL(o)
	if err != nil {
		return nil, err
	}
	k.locate = func(context.Context) (location, error) { return location{url: u, tokenFile: o.TokenFile}, nil }
	return k, nil
}

// newKeysURL returns keys of which nobody knows yet where they are.
func newKeysURL(o KeysURLOptions) (*KeysURL, error) {
	client, err := newClient(o.CAFile)
	if err != nil {
		return nil, err
	}
	if o.Refresh <= 0 {
		o.Refresh = DefaultRefresh
	}
	if o.StaleFor <= 0 {
		o.StaleFor = DefaultStaleFor
	}
	if o.Timeout <= 0 {
		o.Timeout = fetchTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &KeysURL{options: o, client: client}, nil
}

// Key returns the key with that ID.
//
// Errors: ErrUnknownKey; that of the fetch if the keys cannot be had.
func (k *KeysURL) Key(ctx context.Context, id string) (Key, error) {
	last, now := k.last.Load(), k.options.Now()
	key, known := k.find(last, id)
	switch {
	case known && now.Sub(last.at) < k.options.Refresh:
		return key, nil
	case last != nil && now.Sub(last.tried) < min(retryAfter, k.options.Refresh):
		return k.answer(last, id)
	case known && (last.err != nil || now.Sub(last.at) < 2*k.options.Refresh):
		// The keys are good enough: nobody waits for a URL that may be slow or gone.
		k.fetch(ctx, last)
		return key, nil
	}
	select {
	case <-ctx.Done():
		return Key{}, ctx.Err()
	case <-k.fetch(ctx, last):
		return k.answer(k.last.Load(), id)
	}
}

// find returns the key if it is known and not too old.
func (k *KeysURL) find(last *fetched, id string) (Key, bool) {
	if last == nil || k.options.Now().Sub(last.at) >= k.options.StaleFor {
		return Key{}, false
	}
	key, ok := last.keys[id]
	return key, ok
}

// answer is the result of Key if there is nothing more to do for it.
func (k *KeysURL) answer(last *fetched, id string) (Key, error) {
	key, ok := k.find(last, id)
	switch {
	case ok:
		return key, nil
	case last.err != nil: // it may be there
		return Key{}, last.err
	}
	return Key{}, ErrUnknownKey
}

// fetch begins a fetch, unless one is running or somebody has fetched since last.
// It goes on if ctx ends: others may wait for it too.
func (k *KeysURL) fetch(ctx context.Context, last *fetched) <-chan singleflight.Result {
	ctx = context.WithoutCancel(ctx)
	return k.flights.DoChan("", func() (any, error) {
		if k.last.Load() != last {
			return nil, nil
		}
		next := &fetched{}
		if last != nil {
			next.keys, next.at = last.keys, last.at
		}
		keys, err := k.get(ctx)
		next.tried = k.options.Now()
		if err == nil {
			next.keys, next.at = keys, next.tried
		} else {
			next.err = fmt.Errorf("keys of a token server: %w", err)
		}
		k.last.Store(next)
		return nil, nil
	})
}
