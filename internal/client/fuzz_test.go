package client_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/client"
)

// FuzzParseHost looks for an address that leads out of the directory in which a file is
// named by its host, or that is read in another way the second time.
func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{"registry.example.com:5043", "https://a/v2/", "[::1]:5000", "../x", "a@b", "a:b@c", "A", "x\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		host, err := client.ParseHost(address)
		if err != nil {
			return
		}
		if again, err := client.ParseHost(string(host)); err != nil || again != host {
			t.Errorf("%q is %q, and then %q, %v", address, host, again, err)
		}
		if filepath.Base(string(host)) != string(host) || host == "." || host == ".." || strings.HasPrefix(string(host), "-") {
			t.Errorf("%q is %q, which is no name of a file", address, host)
		}
	})
}
