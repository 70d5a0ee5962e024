package conformance

import (
	"os"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
)

// TestMain looks, after all tests, for secrets in what the servers have written.
func TestMain(m *testing.M) { os.Exit(testserver.Main(m)) }
