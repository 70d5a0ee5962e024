package client

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// Long returns how long a test may torture: what MOORGATE_TORTURE says ("20m"),
// which is what "make torture" sets, else short.
func Long(t testing.TB, short time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("MOORGATE_TORTURE")
	if text == "" {
		return short
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("MOORGATE_TORTURE: %v; give a duration such as 20m", err)
	}
	return long
}

// full is from when on a test is given time enough to be strict and large.
const full = time.Minute

// Full reports whether MOORGATE_TORTURE gives a minute or more: then a test may
// work with large data, and may say how fast something has to be. Without it a test
// has to pass on a small machine that does other things too.
func Full(t testing.TB) bool {
	t.Helper()
	return Long(t, 0) >= full
}

// Seed returns what the random choices of a test begin with: what MOORGATE_SEED
// says, a number, else another one each time. It is printed, so that a failure can be
// looked for again.
func Seed(t testing.TB) int64 {
	t.Helper()
	seed := rand.Int64()
	if text := os.Getenv("MOORGATE_SEED"); text != "" {
		given, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatalf("MOORGATE_SEED: %v", err)
		}
		seed = given
	}
	t.Logf("seed %d; MOORGATE_SEED=%d makes the same choices", seed, seed)
	return seed
}
