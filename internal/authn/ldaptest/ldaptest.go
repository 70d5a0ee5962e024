// Package ldaptest runs a real OpenLDAP server for tests, with certificates of its
// own and a small tree.
package ldaptest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

	dir  string
	stop func()
}

//go:embed slapd.conf
var configuration string

// startTimeout bounds the wait for a server that starts.
const startTimeout = 60 * time.Second

// Start runs a server until the end of the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{dir: t.TempDir()}
	s.PasswordFile = filepath.Join(s.dir, "searcher.password")
	if err := errors.Join(s.writeFiles(), os.Mkdir(filepath.Join(s.dir, "db"), 0o700)); err != nil {
		t.Fatalf("slapd: %v", err)
	}
	s.URL, s.TLSURL = "ldap://"+freeAddress(t), "ldaps://"+freeAddress(t)
	s.Restart(t)
	s.Add(t, Suffix, "objectClass", "dcObject", "objectClass", "organization", "dc", "example", "o", "Example")
	s.Add(t, People, "objectClass", "organizationalUnit", "ou", "people")
	s.Add(t, Groups, "objectClass", "organizationalUnit", "ou", "groups")
	s.Add(t, Searcher, "objectClass", "organizationalRole", "objectClass", "simpleSecurityObject", "cn", "moorgate", "userPassword", SearcherPassword)
	return s
}

func (s *Server) writeFiles() error {
	hosts, err := certs.ParseHosts([]string{"localhost", "127.0.0.1"})
	if err != nil {
		return err
	}
	made, err := certs.SelfSigned(filepath.Join(s.dir, "tls"), hosts, time.Now())
	if err != nil {
		return err
	}
	s.CA = made.CACert
	var text bytes.Buffer
	err = template.Must(template.New("slapd.conf").Parse(configuration)).Execute(&text, map[string]string{
		"Dir": s.dir, "CA": made.CACert, "Cert": made.Cert, "Key": made.Key,
		"Suffix": Suffix, "Searcher": Searcher, "Admin": adminDN, "Password": adminPassword,
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
	program, err := exec.LookPath("slapd")
	if err != nil {
		program = "/usr/sbin/slapd" // it may not be in the PATH of users
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", s.URL+" "+s.TLSURL)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatalf("slapd: %v", err)
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
	deadline := time.Now().Add(startTimeout)
	for {
		if c, err := net.DialTimeout("tcp", strings.TrimPrefix(s.TLSURL, "ldaps://"), time.Second); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("slapd ended: %s", output.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("slapd does not listen")
		}
	}
}

// as runs a change as the administrator.
func (s *Server) as(t testing.TB, change func(*ldap.Conn) error) {
	t.Helper()
	c, err := ldap.DialURL(s.URL)
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

// AddPerson makes somebody who can sign in, below an entry, and returns the DN.
func (s *Server) AddPerson(t testing.TB, below, user, password string) string {
	t.Helper()
	dn := fmt.Sprintf("uid=%s,%s", ldap.EscapeDN(user), below)
	s.Add(t, dn, "objectClass", "inetOrgPerson", "uid", user, "cn", user, "sn", user, "userPassword", password)
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
