package loopback_test

import (
	"testing"

	"github.com/moorgate/moorgate/internal/loopback"
)

func TestIs(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.9.8.7": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example.com": false, "LOCALHOST": false, "127.0.0.1.example.com": false, "0.0.0.0": false, "::": false,
		"192.0.2.1": false, "127.1": false, "2130706433": false, "[::1]": false, "localhost:80": false,
	} {
		if got := loopback.Is(host); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}
