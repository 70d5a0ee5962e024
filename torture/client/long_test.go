package client_test

import (
	"testing"
	"time"

	"github.com/moorgate/moorgate/torture/client"
)

func TestTimeSaysHowStrictATestIs(t *testing.T) {
	for _, c := range []struct {
		given string
		long  time.Duration
		full  bool
	}{
		{"", time.Second, false},
		{"59s", 59 * time.Second, false},
		{"1m", time.Minute, true},
		{"20m", 20 * time.Minute, true},
	} {
		t.Setenv("MOORGATE_TORTURE", c.given)
		if long, full := client.Long(t, time.Second), client.Full(t); long != c.long || full != c.full {
			t.Errorf("MOORGATE_TORTURE=%q: %s, %t; want %s, %t", c.given, long, full, c.long, c.full)
		}
	}
}

func TestSeedIsTheOneThatWasGiven(t *testing.T) {
	t.Setenv("MOORGATE_SEED", "-42")
	if seed := client.Seed(t); seed != -42 {
		t.Errorf("seed %d", seed)
	}
	t.Setenv("MOORGATE_SEED", "")
	if a, b := client.Seed(t), client.Seed(t); a == b {
		t.Errorf("twice the seed %d", a)
	}
}
