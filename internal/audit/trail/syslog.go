package trail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sysLog sends lines to a syslog server: over a network in the form of RFC 5424,
// counted where it is a stream (RFC 6587, section 3.4.1), over TLS as RFC 5425 says;
// to a Unix socket in the form that all local servers know (RFC 3164, without a
// host).
type sysLog struct {
	to       endpoint
	facility int
	tag      string
	host     string // this machine
	pid      string
	roots    *x509.CertPool // nil: those of the machine
	now      func() time.Time

	conn   net.Conn      // nil: none
	dialed time.Time     // when conn was made
	stream bool          // of conn
	gone   chan struct{} // closed when the server has hung up; nil where there is no stream
}

// sendTimeout bounds connecting, and the sending of one message.
const sendTimeout = 5 * time.Second

// maxCA bounds the file of an authority, in bytes.
const maxCA = 1 << 20

func newSyslog(c Syslog) (*sysLog, error) {
	to, err := parseEndpoint(c.Address)
	if err != nil {
		return nil, err
	}
	s := &sysLog{to: to, facility: facilities[c.Facility], tag: c.Tag, host: hostname(), pid: strconv.Itoa(os.Getpid()), now: time.Now}
	if c.CA != "" {
		if s.roots, err = readCA(c.CA); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func readCA(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read audit.syslog.ca: %w", err)
	}
	pool := x509.NewCertPool()
	if len(text) > maxCA || !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("audit.syslog.ca: %s has no certificate in PEM", file)
	}
	return pool, nil
}

// hostname is the name of this machine as RFC 5424, section 6.2.4, takes it.
func hostname() string {
	name, err := os.Hostname()
	hidden := func(r rune) bool { return r <= ' ' || r > '~' }
	if err != nil || name == "" || len(name) > 255 || strings.ContainsFunc(name, hidden) {
		return "-"
	}
	return name
}

// write sends a line. A connection that is no good any more is made anew.
func (s *sysLog) write(e entry) error {
	select {
	case <-s.gone:
		s.hangUp()
	default:
	}
	s.lookAgain()
	fresh := s.conn == nil
	err := s.send(e)
	if err != nil && !fresh && !errors.Is(err, errTooLong) {
		err = s.send(e)
	}
	return err
}

// lookEvery is how long a name counts where no connection ends: to a server that has
// moved, UDP sends for ever without an error.
const lookEvery = 5 * time.Minute

// lookAgain looks up the name of a server that is sent to by UDP, when it is time. If
// the name cannot be had now, the address that was good goes on.
func (s *sysLog) lookAgain() {
	if s.conn == nil || s.to.scheme != "udp" || s.now().Sub(s.dialed).Abs() < lookEvery {
		return
	}
	old := s.conn
	if err := s.dial(); err != nil {
		s.conn, s.dialed = old, s.now()
		return
	}
	_ = old.Close() // nothing is on the way
}

// send sends a line, and hangs up if that fails.
func (s *sysLog) send(e entry) error {
	if s.conn == nil {
		if err := s.dial(); err != nil {
			return err
		}
	}
	err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if err == nil {
		_, err = s.conn.Write(s.message(e))
	}
	if errors.Is(err, syscall.EMSGSIZE) {
		return errTooLong
	}
	if err != nil {
		s.hangUp()
	}
	return err //nolint:wrapcheck // it names the address
}

func (s *sysLog) hangUp() {
	_ = s.conn.Close() // nothing can be done about it
	s.conn, s.gone = nil, nil
}

// dial connects. A Unix socket may be one of either kind.
func (s *sysLog) dial() error {
	dialer := &net.Dialer{Timeout: sendTimeout}
	var err error
	switch s.to.scheme {
	case "unix":
		s.conn, err = dialer.Dial("unixgram", s.to.at)
		if s.stream = errors.Is(err, syscall.EPROTOTYPE); s.stream {
			s.conn, err = dialer.Dial("unix", s.to.at)
		}
	case "tls":
		s.stream = true
		s.conn, err = s.dialTLS(dialer)
	default:
		s.stream = s.to.scheme == "tcp"
		s.conn, err = dialer.Dial(s.to.scheme, s.to.at)
	}
	if err != nil {
		s.conn = nil
		return fmt.Errorf("cannot reach the syslog server: %w", err)
	}
	s.dialed = s.now()
	if s.stream {
		s.gone = make(chan struct{})
		go watch(s.conn, s.gone)
	}
	return nil
}

func (s *sysLog) dialTLS(dialer *net.Dialer) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.roots, ServerName: s.to.host}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", s.to.at) //nolint:wrapcheck // dial says what it is about
}

// watch notices that the server hangs up: writing alone notices it one line too
// late.
func watch(conn net.Conn, gone chan<- struct{}) {
	defer close(gone)
	_, _ = io.Copy(io.Discard, conn) // servers say nothing
}

// message is a line with what goes before it.
func (s *sysLog) message(e entry) []byte {
	priority := s.facility*8 + severityOf(e.outcome)
	if s.to.scheme == "unix" {
		end := ""
		if s.stream {
			end = "\n"
		}
		return fmt.Appendf(nil, "<%d>%s %s[%s]: %s%s", priority, e.at.Local().Format(time.Stamp), s.tag, s.pid, e.text, end)
	}
	text := fmt.Appendf(nil, "<%d>1 %s %s %s %s %s - %s", priority,
		e.at.UTC().Format("2006-01-02T15:04:05.000000Z"), s.host, s.tag, s.pid, e.outcome, e.text)
	if s.stream {
		return fmt.Appendf(nil, "%d %s", len(text), text)
	}
	return text
}

// goodbye bounds the waiting for others when all is written.
const goodbye = 2 * time.Second

// close says that no more comes, and waits for the server to hang up: it may drop
// what is on the way to it otherwise.
func (s *sysLog) close() error {
	if s.conn == nil {
		return nil
	}
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok && s.stream && half.CloseWrite() == nil {
		select {
		case <-s.gone:
		case <-time.After(goodbye):
		}
	}
	return s.conn.Close() //nolint:wrapcheck // it names the address
}

// probe connects, and sends nothing.
func (s *sysLog) probe() (string, error) {
	if err := s.dial(); err != nil {
		return "", err
	}
	defer s.hangUp()
	if s.to.scheme == "udp" {
		return "messages go to " + s.to.at + ", which never says whether it got them", nil
	}
	return "reached " + s.to.at, nil
}
