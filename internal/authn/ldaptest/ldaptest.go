// Package ldaptest runs a real OpenLDAP server for tests, with certificates of its
// own and a small tree.
package ldaptest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/moorgate/moorgate/internal/certs"
)

// The tree of every server: people and groups below Suffix, and two accounts. The
// one that searches sees everything but passwords, users see their own entry and
// the groups, and nobody else sees anything.
const (
	Suffix           = "dc=example,dc=org"
	People           = "ou=people," + Suffix
	Groups           = "ou=groups," + Suffix
	Searcher         = "cn=moorgate," + Suffix
	SearcherPassword = "searches for everybody"
	adminDN          = "cn=admin," + Suffix
	adminPassword    = "changes everything"
)

// Server is a running slapd.
type Server struct {
	URL, TLSURL  string // ldap:// and ldaps://, both on the loopback
	CA           string // file of the authority of its certificate
	PasswordFile string // holds SearcherPassword

	dir      string
	settings Settings
	stop     func()
}

// Settings are what may be unusual about a server.
type Settings struct {
	Host     string    // the one name of its certificate, instead of its address and localhost
	Issued   time.Time // when its certificate was, instead of now
	Security string    // directive of slapd.conf(5) of that name: "tls=1" is to want TLS
}

//go:embed slapd.conf
var configuration string

// startTimeout bounds the wait for a server that starts, and answerTimeout that for
// the answer to a question whether it has.
const (
	startTimeout  = 60 * time.Second
	answerTimeout = 5 * time.Second
)

// Start runs a server until the end of the test.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWith(t, Settings{})
}

// StartWith runs an unusual server until the end of the test.
func StartWith(t testing.TB, settings Settings) *Server {
	t.Helper()
	s := &Server{dir: t.TempDir(), settings: settings}
	if settings.Issued.IsZero() {
		s.settings.Issued = time.Now()
	}
	s.PasswordFile = filepath.Join(s.dir, "searcher.password")
	if err := errors.Join(s.writeFiles(), os.Mkdir(filepath.Join(s.dir, "db"), 0o700)); err != nil {
		t.Fatalf("slapd: %v", err)
	}
	s.tryUntilItRuns(t, func() {
		s.URL, s.TLSURL = "ldap://"+freeAddress(t), "ldaps://"+freeAddress(t) // others may take them meanwhile
	})
	s.Add(t, Suffix, "objectClass", "dcObject", "objectClass", "organization", "dc", "example", "o", "Example")
	s.Add(t, People, "objectClass", "organizationalUnit", "ou", "people")
	s.Add(t, Groups, "objectClass", "organizationalUnit", "ou", "groups")
	s.Add(t, Searcher, "objectClass", "organizationalRole", "objectClass", "simpleSecurityObject", "cn", "moorgate", "userPassword", SearcherPassword)
	return s
}

func (s *Server) writeFiles() error {
	names := []string{"localhost", "127.0.0.1"}
	if s.settings.Host != "" {
		names = []string{s.settings.Host}
	}
	hosts, err := certs.ParseHosts(names)
	if err != nil {
		return err
	}
	made, err := certs.SelfSigned(filepath.Join(s.dir, "tls"), hosts, s.settings.Issued)
	if err != nil {
		return err
	}
	s.CA = made.CACert
	var text bytes.Buffer
	err = template.Must(template.New("slapd.conf").Parse(configuration)).Execute(&text, map[string]string{
		"Dir": s.dir, "CA": made.CACert, "Cert": made.Cert, "Key": made.Key,
		"Suffix": Suffix, "Searcher": Searcher, "Admin": adminDN, "Password": adminPassword,
		"Security": s.settings.Security,
	})
	return errors.Join(err,
		os.WriteFile(filepath.Join(s.dir, "slapd.conf"), text.Bytes(), 0o600),
		os.WriteFile(s.PasswordFile, []byte(SearcherPassword+"\n"), 0o600))
}

// Stop ends the server, as a machine that goes away does.
func (s *Server) Stop() { s.stop() }

// Restart runs the server again, where it was and with what it had.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.tryUntilItRuns(t, func() {})
}

// tryUntilItRuns runs the server until it answers. It is run again when it has ended:
// somebody else may have its ports, for a while.
func (s *Server) tryUntilItRuns(t testing.TB, before func()) {
	t.Helper()
	program, err := exec.LookPath("slapd")
	if err != nil {
		program = "/usr/sbin/slapd" // it may not be in the PATH of users
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("slapd is not on this machine: %v", err)
	}
	deadline := time.Now().Add(startTimeout)
	for {
		before()
		err := s.run(t, program, deadline)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		t.Logf("once more: %v", err)
		<-time.After(200 * time.Millisecond)
	}
}

// limited runs a program with few files: slapd has a table of all that it may open,
// which in containers can be a thousand million.
const limited = `ulimit -n 1024; exec "$0" "$@"`

// run starts slapd and returns when it answers. An error is that it has ended, or does
// not answer until the deadline.
func (s *Server) run(t testing.TB, program string, deadline time.Time) error {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "sh", "-c", limited,
		program, "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", s.URL+" "+s.TLSURL)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("slapd: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it ends by a signal
	}()
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
	})
	t.Cleanup(s.stop)
	for time.Now().Before(deadline) {
		if s.answers() {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("slapd ended: %s", output.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	s.stop()
	return fmt.Errorf("slapd does not answer: %s", output.String())
}

// answers reports whether it is this server that answers, and nobody else at its
// address: its certificate is from an authority of its own.
func (s *Server) answers() bool {
	c, err := s.connect()
	if err != nil {
		return false
	}
	defer c.Close() //nolint:errcheck // nothing was written
	return true
}

// connect trusts the certificate of the server, for the name and at the time it was
// made for.
func (s *Server) connect() (*ldap.Conn, error) {
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: s.settings.Host, Time: func() time.Time { return s.settings.Issued }}
	config.RootCAs.AppendCertsFromPEM(pem)
	return ldap.DialURL(s.TLSURL, ldap.DialWithDialer(&net.Dialer{Timeout: answerTimeout}), ldap.DialWithTLSConfig(config))
}

// as runs a change as the administrator.
func (s *Server) as(t testing.TB, change func(*ldap.Conn) error) {
	t.Helper()
	c, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // nothing was left to be written
	if err := errors.Join(c.Bind(adminDN, adminPassword), change(c)); err != nil {
		t.Fatal(err)
	}
}

// Add makes an entry. attributes are names and values in turn.
func (s *Server) Add(t testing.TB, dn string, attributes ...string) {
	t.Helper()
	request := ldap.NewAddRequest(dn, nil)
	values, order := map[string][]string{}, []string{}
	for i := 0; i < len(attributes); i += 2 {
		name := attributes[i]
		if values[name] == nil {
			order = append(order, name)
		}
		values[name] = append(values[name], attributes[i+1])
	}
	for _, name := range order {
		request.Attribute(name, values[name])
	}
	s.as(t, func(c *ldap.Conn) error { return c.Add(request) })
}

// AddPerson makes somebody who can sign in, below an entry, and returns the DN. The
// entry may have the attributes userAccountControl and nsAccountLock.
func (s *Server) AddPerson(t testing.TB, below, user, password string) string {
	t.Helper()
	dn := fmt.Sprintf("uid=%s,%s", ldap.EscapeDN(user), below)
	s.Add(t, dn, "objectClass", "inetOrgPerson", "objectClass", "lockable", "uid", user, "cn", user, "sn", user, "userPassword", password)
	return dn
}

// AddGroup makes a group of entries and returns its DN.
func (s *Server) AddGroup(t testing.TB, name string, members ...string) string {
	t.Helper()
	dn := fmt.Sprintf("cn=%s,%s", ldap.EscapeDN(name), Groups)
	attributes := []string{"objectClass", "groupOfNames", "cn", name}
	for _, m := range members {
		attributes = append(attributes, "member", m)
	}
	s.Add(t, dn, attributes...)
	return dn
}

// Delete removes an entry.
func (s *Server) Delete(t testing.TB, dn string) {
	t.Helper()
	s.as(t, func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dn, nil)) })
}

// Replace sets an attribute of an entry.
func (s *Server) Replace(t testing.TB, dn, attribute string, values ...string) {
	t.Helper()
	request := ldap.NewModifyRequest(dn, nil)
	request.Replace(attribute, values)
	s.as(t, func(c *ldap.Conn) error { return c.Modify(request) })
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was only asked for its address
	return l.Addr().String()
}
