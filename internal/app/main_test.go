package app_test

import (
	"os"
	"testing"

	"github.com/moorgate/moorgate/internal/authn/ldaptest"
	"github.com/moorgate/moorgate/internal/testserver"
)

// TestMain looks, after all tests, for secrets in what the servers have written. Of those
// that servers themselves sign in with, two are always the same.
func TestMain(m *testing.M) {
	testserver.Secret(frontSecret, ldaptest.SearcherPassword)
	os.Exit(testserver.Main(m))
}
