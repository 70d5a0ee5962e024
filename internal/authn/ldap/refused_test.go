package ldap

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/ldaptest"
)

// listen returns the URL of a server that runs serve on each connection, and then ends
// it.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer client.Close() //nolint:errcheck // whoever has asked may be gone
				serve(client)
			})
		}
	})
	return "ldap://" + l.Addr().String()
}

// fake is listen for a server that answers once something was asked.
func fake(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	return listen(t, func(client net.Conn) {
		if _, err := client.Read(make([]byte, 1024)); err == nil {
			answer(client)
		}
	})
}

// result answers the first question, to sign in, with a result and a text
// (RFC 4511, section 4.2.2), and waits for the end.
func result(code byte, text string) func(net.Conn) {
	return func(client net.Conn) {
		n := byte(len(text))
		head := []byte{0x30, 12 + n, 0x02, 1, 1, 0x61, 7 + n, 0x0a, 1, code, 0x04, 0, 0x04, n}
		_, _ = client.Write(append(head, text...)) // whoever has asked may be gone
		silence(client)
	}
}

// silence answers nothing until the client has gone.
func silence(client net.Conn) { _, _ = client.Read(make([]byte, 1)) }

// Only where the directory has refused the account that searches, nobody tries for
// long: what goes wrong on the way there is over soon.
func TestOnlyARefusalKeepsEverybodyOutForLong(t *testing.T) {
	t.Parallel()
	const refuses = "refuses bind_dn"
	tests := map[string]struct {
		answer  func(net.Conn)
		timeout time.Duration
		want    string
		pause   time.Duration
	}{
		"closes the connection": {func(net.Conn) {}, time.Minute, "closed the connection without an answer", pause},
		"is silent":             {silence, 300 * time.Millisecond, "timed out", pause},
		"is no directory": {
			func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
			time.Minute, "unable to read", pause,
		},
		"is busy":             {result(51, "come later"), time.Minute, `"Busy": come later`, pause},
		"is going down":       {result(52, "shutting down"), time.Minute, `"Unavailable": shutting down`, pause},
		"has another fault":   {result(80, "out of memory"), time.Minute, `"Other": out of memory`, pause},
		"wants TLS":           {result(13, ""), time.Minute, "the directory wants TLS", pause},
		"wrong password":      {result(49, ""), time.Minute, refuses, pauseRefused},
		"no such account":     {result(32, ""), time.Minute, refuses, pauseRefused},
		"account is locked":   {result(19, "locked"), time.Minute, refuses, pauseRefused},
		"account is inactive": {result(53, "inactivated"), time.Minute, refuses, pauseRefused},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, now := openFake(t, fake(t, tt.answer), tt.timeout), time.Now()
			source.dialer.now = func() time.Time { return now }
			_, err := source.VerifyPassword(t.Context(), "alice", "secret")
			if err == nil || isAnswer(err) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v; want a fault with %q", err, tt.want)
			}
			if tt.want != refuses && strings.Contains(err.Error(), "refuses") {
				t.Errorf("nobody has refused anything: %v", err)
			}
			if got := source.dialer.retryAt.Sub(now); got != tt.pause {
				t.Errorf("nobody tries for %v; want %v", got, tt.pause)
			}
		})
	}
}

// openFake returns the source of a fake server.
func openFake(t *testing.T, url string, timeout time.Duration) *Source {
	t.Helper()
	c := Default()
	c.URLs, c.Users.Base, c.Timeout = []string{url}, ldaptest.People, timeout
	c.BindDN, c.PasswordFile = ldaptest.Searcher, filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(c.PasswordFile, []byte(ldaptest.SearcherPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	return openSource(t, c)
}
