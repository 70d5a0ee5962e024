package ldap

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/ldaptest"
)

// behind returns the address of a server in front of the directory at addr: what
// clients send goes on to it, and answer makes what they get of its answers.
func behind(t *testing.T, addr string, answer func(client io.Writer, directory io.Reader)) string {
	t.Helper()
	return listen(t, func(client net.Conn) {
		directory, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		var asked sync.WaitGroup
		defer asked.Wait()
		asked.Go(func() { _, _ = io.Copy(directory, client); _ = directory.Close() })
		answer(client, directory)
		_ = directory.Close() // and the client, so that nobody asks on
		_ = client.Close()
	})
}

// openBehind returns the source of a directory behind another server.
func openBehind(t *testing.T, timeout time.Duration, answer func(io.Writer, io.Reader)) *Source {
	t.Helper()
	s := ldaptest.Start(t)
	s.AddPerson(t, ldaptest.People, "alice", "secret")
	c := configOf(s)
	c.URLs, c.CA, c.Timeout = []string{behind(t, strings.TrimPrefix(s.URL, "ldap://"), answer)}, "", timeout
	source := openSource(t, c)
	return source
}

// A directory that answers, but a byte at a time, is given up after the timeout.
func TestAnswersByteByByte(t *testing.T) {
	t.Parallel()
	source := openBehind(t, 300*time.Millisecond, func(client io.Writer, directory io.Reader) {
		one := make([]byte, 1)
		for {
			if _, err := directory.Read(one); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
			if _, err := client.Write(one); err != nil {
				return
			}
		}
	})
	begin := time.Now()
	if _, err := source.VerifyPassword(t.Context(), "alice", "secret"); err == nil || isAnswer(err) {
		t.Errorf("error %v; want a fault", err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A directory that sends without end is cut off before it has filled the memory.
func TestAnswersWithoutEnd(t *testing.T) {
	source := openBehind(t, time.Minute, func(client io.Writer, directory io.Reader) {
		if _, err := directory.Read(make([]byte, 1)); err != nil { // a question was asked
			return
		}
		// The answer is an octet string of 1 GiB (X.690, section 8.1).
		_, _ = client.Write([]byte{0x04, 0x84, 0x40, 0, 0, 0})
		for chunk := make([]byte, 1<<20); ; {
			if _, err := client.Write(chunk); err != nil {
				return
			}
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := source.VerifyPassword(t.Context(), "alice", "secret")
	runtime.ReadMemStats(&after)
	if err == nil || isAnswer(err) || errors.Is(err, t.Context().Err()) {
		t.Errorf("error %v; want a fault", err)
	}
	// What a growing buffer has used on its way is several times what it holds.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 512<<20 {
		t.Errorf("%d MiB of memory were used", grown>>20)
	}
}
