package app_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// What requests did that were cut off at the end is on record, before the end is.
func TestAuditOfRequestsThatAreCutOff(t *testing.T) {
	t.Parallel()
	const n = 20
	const password = "the password of alice"
	file := filepath.Join(t.TempDir(), "audit.log")
	s := start(t, audited(usersFile(t, password), "{file: {path: "+file+"}}")+"limits: {stop_timeout: 1s}\n")
	alice := newClient(t, s, nil).as("alice", password)
	for i := range n {
		session := alice.session(t, "team/app")
		conn, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // it is cut off
		_, err = fmt.Fprintf(conn, "PUT %s?digest=sha256:%064d HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Length: 1000000\r\n\r\nabc",
			strings.TrimPrefix(session, s.URL), i, s.Addr, base64.StdEncoding.EncodeToString([]byte("alice:"+password)))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	logged(t, s, "level=WARN", "cut off", fmt.Sprintf("requests=%d running=0", n))
	lines := auditLines(t, readFile(t, file))
	uploads := 0
	for _, r := range lines {
		if r.Operation == "upload-finish" && r.Outcome != "done" {
			uploads++
		}
	}
	if last := lines[len(lines)-1]; uploads != n || last.Operation != "server-stop" || last.Detail != "" {
		t.Errorf("%d records of %d uploads, the last is %+v", uploads, n, last)
	}
}
