// Package postgrestest runs a real PostgreSQL for the tests of a package.
package postgrestest

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared is the server of this test process, if a test has asked for it. There
// is one for all tests: a start takes seconds.
var shared struct {
	sync.Mutex
	server *Server
	err    error
}

// Main runs the tests of a package and ends the server that they have started. It
// returns what to exit with: a package that calls Start has
//
//	func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "PostgreSQL did not stop well:", err)
			return 1
		}
	}
	return code
}

// Start returns the server of the test process, which the first caller starts. It
// also ends when the process is killed, though its files stay then.
func Start(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = newServer()
	}
	if shared.err != nil {
		t.Fatalf("cannot start PostgreSQL: %v", shared.err)
	}
	return shared.server
}
