package ldap

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/authn/ldaptest"
)

// failsWith is that alice cannot sign in, and that the error and that of a probe say
// each text once: what is wrong, and what to do.
func failsWith(t *testing.T, c Config, texts ...string) {
	t.Helper()
	source := openSource(t, c)
	_, probed := source.Probe(t.Context())
	_, err := source.VerifyPassword(t.Context(), "alice", "secret")
	if probed == nil || err == nil || isAnswer(err) {
		t.Fatalf("errors %v and %v; want faults", probed, err)
	}
	for _, text := range texts {
		for _, err := range []error{probed, err} {
			if n := strings.Count(err.Error(), text); n != 1 {
				t.Errorf("%q is %d times in: %v", text, n, err)
			}
		}
	}
}

func startTLS(c *Config, s *ldaptest.Server) { c.URLs, c.StartTLS = []string{s.URL}, true }

// Who takes one port for the other is told so.
func TestTLSMixedUp(t *testing.T) {
	t.Parallel()
	s := ldaptest.Start(t)
	plainPort, tlsPort := strings.TrimPrefix(s.URL, "ldap://"), strings.TrimPrefix(s.TLSURL, "ldaps://")
	alert := strings.TrimPrefix(fake(t, func(c net.Conn) { _, _ = c.Write([]byte("\x15\x03\x01\x00\x02\x02\x46")) }), "ldap://")
	speaks := strings.TrimPrefix(fake(t, result(2, "")), "ldap://")
	const hasTLS = "does TLS begin at once on this port? Then use ldaps://"
	tests := map[string]struct {
		url      string
		startTLS bool
		want     string
	}{
		"ldaps:// on the plain port":               {"ldaps://" + plainPort, false, "has this port no TLS? Then use ldap:// with start_tls"},
		"ldaps:// on a plain port that answers":    {"ldaps://" + speaks, false, "this port has no TLS: use ldap:// with start_tls"},
		"ldap:// on the TLS port":                  {"ldap://" + tlsPort, false, hasTLS},
		"ldap:// on a TLS port that answers":       {"ldap://" + alert, false, hasTLS},
		"start_tls on the TLS port":                {"ldap://" + tlsPort, true, hasTLS},
		"start_tls on a TLS port that answers":     {"ldap://" + alert, true, hasTLS},
		"start_tls where the directory has no TLS": {"ldap://" + speaks, true, "start_tls: LDAP Result Code 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := configOf(s)
			c.URLs, c.StartTLS = []string{tt.url}, tt.startTLS
			failsWith(t, c, tt.want)
		})
	}
}

// A certificate that does not do is no connection, whichever way TLS begins, and it
// is said what to do.
func TestCertificatesThatDoNotDo(t *testing.T) {
	t.Parallel()
	elsewhere := ldaptest.Settings{Host: "ldap.example.com"}
	past, future := ldaptest.Settings{Issued: time.Now().AddDate(-2, 0, 0)}, ldaptest.Settings{Issued: time.Now().AddDate(1, 0, 0)}
	const date = "certificate has expired or is not yet valid"
	same := func(*Config) {}
	localhost := func(c *Config) { c.URLs[0] = strings.Replace(c.URLs[0], "127.0.0.1", "localhost", 1) }
	tests := map[string]struct {
		settings ldaptest.Settings
		change   func(*Config)
		says, do string
	}{
		"unknown authority":  {ldaptest.Settings{}, func(c *Config) { c.CA = "" }, "certificate signed by unknown authority", "name its authority in ca"},
		"expired":            {past, same, date, "renew it, or mend the clock"},
		"not valid yet":      {future, same, date, "renew it, or mend the clock"},
		"of another name":    {elsewhere, localhost, "certificate is valid for ldap.example.com, not localhost", "use a name of the certificate in urls"},
		"not of the address": {elsewhere, same, "cannot validate certificate for 127.0.0.1", "use a name of the certificate in urls"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ldaptest.StartWith(t, tt.settings)
			for way, change := range map[string]func(*Config, *ldaptest.Server){
				"ldaps":     func(*Config, *ldaptest.Server) {},
				"start_tls": startTLS,
			} {
				t.Run(way, func(t *testing.T) {
					c := configOf(s)
					change(&c, s)
					tt.change(&c)
					failsWith(t, c, tt.says, tt.do)
				})
			}
		})
	}
}

// Where a directory takes no passwords in the clear, that is said, also where only
// users sign in; with TLS they do.
func TestDirectoryWantsTLS(t *testing.T) {
	t.Parallel()
	const want = "the directory wants TLS: use ldaps:// or start_tls"
	for _, security := range []string{"tls=1", "simple_bind=1"} {
		t.Run(security, func(t *testing.T) {
			t.Parallel()
			s := ldaptest.StartWith(t, ldaptest.Settings{Security: security})
			s.AddPerson(t, ldaptest.People, "alice", "secret")
			c := configOf(s)
			groupsOf(t, openSource(t, c), "alice")
			c.URLs = []string{s.URL}
			failsWith(t, c, want)

			c.BindDN, c.PasswordFile = "", ""
			c.Users.Base, c.Users.Bind = "", "uid={user},"+ldaptest.People
			_, err := openSource(t, c).VerifyPassword(t.Context(), "alice", "secret")
			if err == nil || isAnswer(err) || strings.Count(err.Error(), want) != 1 {
				t.Errorf("error %v; want a fault with %q", err, want)
			}
			startTLS(&c, s)
			groupsOf(t, openSource(t, c), "alice")
		})
	}
}
