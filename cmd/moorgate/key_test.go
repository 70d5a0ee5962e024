package main

import (
	"testing"
	"time"
)

func TestLifeOfAKey(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"never": 0, "90d": 90 * day, "8w": 56 * day, "1w2d": 9 * day, "1w2d3h4m": 9*day + 3*time.Hour + 4*time.Minute,
		"12h": 12 * time.Hour, "1h30m": 90 * time.Minute, "45s": 45 * time.Second, "1.5h": 90 * time.Minute,
	} {
		if got, err := readLife(text); err != nil || got != want {
			t.Errorf("%q is %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "0d", "0s", "-1d", "-90d", "1d-1h", "d", "w", "90", "90 d", "1d2w", "1y", "soon", "Never", "99999w", "106751d", "123456d", "1d1d", "٣d", "1e3h",
	} {
		if got, err := readLife(text); err == nil {
			t.Errorf("%q is %s, want an error", text, got)
		}
	}
}
