package ldap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/authntest"
	"github.com/moorgate/moorgate/internal/authn/ldaptest"
)

// configOf searches on a server over TLS.
func configOf(s *ldaptest.Server) Config {
	c := Default()
	c.URLs, c.CA = []string{s.TLSURL}, s.CA
	c.BindDN, c.PasswordFile = ldaptest.Searcher, s.PasswordFile
	c.Users.Base = ldaptest.People
	c.Timeout = time.Minute // a busy machine is no fault
	return c
}

func openSource(t *testing.T, c Config) *Source {
	t.Helper()
	c.Check(func(key, problem string) { t.Errorf("%s: %s", key, problem) })
	s, err := Open("ldap", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// branch makes a place of its own for users, and them in it.
type branch struct {
	server *ldaptest.Server
	dn     string
	there  []string
}

var branches atomic.Int64 // numbers what must not be the same twice

func newBranch(t *testing.T, s *ldaptest.Server, users map[string]string) *branch {
	t.Helper()
	name := fmt.Sprint("branch", branches.Add(1))
	b := &branch{server: s, dn: "ou=" + name + "," + ldaptest.People}
	s.Add(t, b.dn, "objectClass", "organizationalUnit", "ou", name)
	b.set(t, users)
	return b
}

// set replaces all users.
func (b *branch) set(t *testing.T, users map[string]string) {
	t.Helper()
	for _, dn := range b.there {
		b.server.Delete(t, dn)
	}
	b.there = nil
	for user, password := range users {
		b.there = append(b.there, b.server.AddPerson(t, b.dn, user, password))
	}
}

func TestContract(t *testing.T) {
	s := ldaptest.Start(t)
	ways := map[string]func(*Config, *branch){
		"search over ldaps": func(*Config, *branch) {},
		"search over StartTLS": func(c *Config, _ *branch) {
			c.URLs, c.StartTLS = []string{s.URL}, true
		},
		"direct bind, with somebody who searches": func(c *Config, b *branch) {
			c.Users.Base, c.Users.Bind = "", "uid={user},"+b.dn
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			source := func(t *testing.T, users map[string]string) (*Source, *branch) {
				b := newBranch(t, s, users)
				c := configOf(s)
				c.Users.Base = b.dn
				way(&c, b)
				return openSource(t, c), b
			}
			authntest.Run(t, authntest.Config{Source: "ldap", New: func(t *testing.T, users map[string]string) authn.Password {
				one, _ := source(t, users)
				return one
			}})
			authntest.Run(t, authntest.Config{Source: "ldap", New: func(t *testing.T, users map[string]string) authn.Password {
				one, _ := source(t, users)
				return authn.Cached("ldap", one, authn.NewCache(time.Minute, 0))
			}})
			authntest.RunDirectory(t, authntest.DirectoryConfig{Source: "ldap", New: func(t *testing.T, users map[string]string) (authn.Directory, func(map[string]string)) {
				one, b := source(t, users)
				return one, func(users map[string]string) { b.set(t, users) }
			}})
		})
	}
}

// Nobody but the users themselves may search: they sign in and read their own
// entry. A wrong password is then not to be told from an unknown name.
func TestDirectBindAlone(t *testing.T) {
	s := ldaptest.Start(t)
	alice := s.AddPerson(t, ldaptest.People, "alice", "secret")
	s.AddGroup(t, "developers", alice)
	c := configOf(s)
	c.BindDN, c.PasswordFile = "", ""
	c.Users.Base, c.Users.Bind = "", "uid={user},"+ldaptest.People
	c.Groups.Base = ldaptest.Groups
	source := openSource(t, c)
	who, err := source.VerifyPassword(t.Context(), "alice", "secret")
	if err != nil || !slices.Equal(who.Groups, []string{"developers"}) {
		t.Errorf("alice is %+v, %v", who, err)
	}
	for _, password := range []string{"wrong", "", "secret\x00"} {
		if _, err := source.VerifyPassword(t.Context(), "alice", password); !errors.Is(err, authn.ErrNoMatch) {
			t.Errorf("password %q: error %v", password, err)
		}
	}
	if _, _, err := source.Lookup(t.Context(), "ldap", "alice"); !errors.Is(err, authn.ErrCannotTell) {
		t.Errorf("lookup: %v", err)
	}
}

func TestGroups(t *testing.T) {
	s := ldaptest.Start(t)
	alice := s.AddPerson(t, ldaptest.People, "alice", "secret")
	bob := s.AddPerson(t, ldaptest.People, `bob (B*) \ "x", y`, "secret") // nothing in it is a pattern or a separator
	core := s.AddGroup(t, "core", alice)
	developers := s.AddGroup(t, "developers", core, bob)
	s.AddGroup(t, "all, really", developers)
	s.AddGroup(t, "others", "uid=carol,"+ldaptest.People)
	s.Replace(t, core, "member", alice, "cn=all\\2C really,"+ldaptest.Groups) // a ring

	search := func(c *Config) { c.Groups.Base = ldaptest.Groups }
	attribute := func(c *Config) { c.Groups.Attribute = "memberOf" }
	nested := func(c *Config) { c.Groups.Nested = true }
	tests := map[string]struct {
		change []func(*Config)
		user   string
		want   []string
	}{
		"none asked for":                {nil, "alice", nil},
		"search":                        {[]func(*Config){search}, "alice", []string{"core"}},
		"search, nested, with a ring":   {[]func(*Config){search, nested}, "alice", []string{"all, really", "core", "developers"}},
		"memberOf":                      {[]func(*Config){attribute}, "alice", []string{"core"}},
		"memberOf, nested, with a ring": {[]func(*Config){attribute, nested}, "alice", []string{"all, really", "core", "developers"}},
		"both":                          {[]func(*Config){attribute, search}, "alice", []string{"core"}},
		"name with special characters":  {[]func(*Config){search, nested}, `bob (B*) \ "x", y`, []string{"all, really", "core", "developers"}},
		"by name": {[]func(*Config){search, func(c *Config) {
			c.Groups.Filter = "(&(cn=core)(member=uid={user},ou=people,dc=example,dc=org))"
		}}, "alice", []string{"core"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := configOf(s)
			for _, change := range tt.change {
				change(&c)
			}
			who, err := openSource(t, c).VerifyPassword(t.Context(), tt.user, "secret")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, who.Groups); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A directory that is gone is a fault, never an answer about a user; one that
// comes back is asked again, and a second one stands in.
func TestServerGoesAndComes(t *testing.T) {
	first, second := ldaptest.Start(t), ldaptest.Start(t)
	for _, s := range []*ldaptest.Server{first, second} {
		s.AddPerson(t, ldaptest.People, "alice", "secret")
	}
	both := configOf(first)
	both.URLs = []string{first.URL, second.URL}
	alone := configOf(first)
	alone.URLs = []string{first.URL}
	two, one := openSource(t, both), openSource(t, alone)
	verify := func(s *Source) error {
		_, err := s.VerifyPassword(t.Context(), "alice", "secret")
		return err
	}
	if err := errors.Join(verify(one), verify(two)); err != nil {
		t.Fatal(err)
	}
	first.Stop()
	if err := verify(two); err != nil {
		t.Errorf("the second server does not stand in: %v", err)
	}
	for range 2 { // the second time nobody tries to connect
		err := verify(one)
		if err == nil || errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrWrongPassword) {
			t.Errorf("without a server: %v", err)
		}
	}
	first.Restart(t)
	deadline := time.Now().Add(time.Minute)
	for err := verify(one); err != nil; err = verify(one) {
		if time.Now().After(deadline) {
			t.Fatalf("the server is back and not asked: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// What is wrong is said in a way that helps.
func TestMistakes(t *testing.T) {
	s := ldaptest.Start(t)
	s.AddPerson(t, ldaptest.People, "alice", "secret")
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"wrong password of bind_dn": {func(c *Config) { c.PasswordFile = s.CA }, "look whether it and password_file are right"},
		"unknown authority":         {func(c *Config) { c.CA = "" }, "name its authority in ca"},
		"nobody listens":            {func(c *Config) { c.URLs = []string{"ldaps://127.0.0.1:1"} }, "connection refused"},
		"no such base":              {func(c *Config) { c.Users.Base = "ou=nowhere,dc=example,dc=org" }, "there is no users.base"},
		"no such base of groups":    {func(c *Config) { c.Groups.Base = "ou=nowhere,dc=example,dc=org" }, "there is no groups.base"},
		"filter finds two":          {func(c *Config) { c.Users.Filter = "(|(uid={user})(objectClass=*))" }, "more than one entry"},
		"group without the name":    {func(c *Config) { c.Groups.Attribute = "objectClass" }, "not the DN of a group"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := configOf(s)
			tt.change(&c)
			_, err := openSource(t, c).VerifyPassword(t.Context(), "alice", "secret")
			if err == nil || errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrWrongPassword) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want a fault with %q", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), ldaptest.SearcherPassword)) {
				t.Errorf("the error tells a password: %v", err)
			}
		})
	}
}

// Mallory's names reach the directory as names, not as filters or parts of a DN.
func TestEscaping(t *testing.T) {
	s := ldaptest.Start(t)
	s.AddPerson(t, ldaptest.People, "alice", "secret")
	search := openSource(t, configOf(s))
	direct := configOf(s)
	direct.Users.Base, direct.Users.Bind = "", "uid={user},"+ldaptest.People
	bind := openSource(t, direct)
	for _, user := range []string{"*", "a*", "alice)(uid=*", "*)(objectClass=*", "alice,ou=people", "alice,ou=people,dc=example,dc=org#", `alice\`, "alice+cn=alice", " alice", "{dn}", "{user}"} {
		for name, source := range map[string]*Source{"search": search, "bind": bind} {
			if _, err := source.VerifyPassword(t.Context(), user, "secret"); !errors.Is(err, authn.ErrNoMatch) {
				t.Errorf("%s, %q: error %v; want ErrNoMatch", name, user, err)
			}
		}
	}
}

// A user who was cut off in the middle must not leave a connection that is still
// bound as somebody, and no more than allowed are open.
func TestConnectionsStayBounded(t *testing.T) {
	s := ldaptest.Start(t)
	s.AddPerson(t, ldaptest.People, "alice", "secret")
	c := configOf(s)
	c.MaxConnections = 2
	source := openSource(t, c)
	done := make(chan error, 20)
	for i := range cap(done) {
		go func() {
			ctx := t.Context()
			if i%2 == 1 {
				short, cancel := context.WithTimeout(ctx, time.Duration(i)*time.Millisecond)
				defer cancel()
				_, _ = source.VerifyPassword(short, "alice", "secret") // how it ends is not the question
				done <- nil
				return
			}
			_, err := source.VerifyPassword(ctx, "alice", "secret")
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	source.pool.mu.Lock()
	defer source.pool.mu.Unlock()
	if n := len(source.pool.idle); n > 2 {
		t.Errorf("%d connections rest, at most 2 are allowed", n)
	}
	for _, conn := range source.pool.idle {
		who, err := conn.ldap.WhoAmI(nil)
		if err != nil || !strings.EqualFold(who.AuthzID, "dn:"+ldaptest.Searcher) {
			t.Errorf("a connection that rests is bound as %+v, %v", who, err)
		}
	}
}

func TestCheckFindsAllMistakes(t *testing.T) {
	c := Default()
	c.URLs = []string{"http://x", "ldap://ldap.example.com", "ldaps://user@host", "ldaps://h/dc=example"}
	c.BindDN, c.Users.Base, c.Users.Filter, c.Groups.Base, c.Groups.Filter = "nonsense", "", "(uid=alice)", "x", "((("
	c.Timeout, c.MaxConnections, c.Cache = 0, 0, -1
	var keys []string
	c.Check(func(key, _ string) { keys = append(keys, key) })
	want := []string{"urls[0]", "urls[1]", "urls[2]", "urls[3]", "password_file", "bind_dn", "users.base", "users.filter", "groups.base", "groups.filter", "timeout", "max_connections", "cache"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Error(diff)
	}
}

func TestOpenReadsItsFiles(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"ca":            func(c *Config) { c.CA = os.DevNull },
		"password_file": func(c *Config) { c.BindDN, c.PasswordFile = "cn=x", os.DevNull },
	} {
		c := Default()
		change(&c)
		if _, err := Open("ldap", c); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: error %v", key, err)
		}
	}
}

func FuzzNameReachesOnlyItself(f *testing.F) {
	for _, name := range []string{"alice", "*", "a)(b=*", "\\2a", "a,b=c", "a+b=c", " a ", "#a", "ü☃"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !isName(name) {
			return
		}
		packet, err := goldap.CompileFilter(strings.ReplaceAll("(uid={user})", "{user}", goldap.EscapeFilter(name)))
		if err != nil || len(packet.Children) != 2 || packet.Tag != goldap.FilterEqualityMatch {
			t.Errorf("the filter for %q is not an equality: %v", name, err)
		}
		dn, err := goldap.ParseDN((&Source{cfg: Config{Users: Users{Bind: "uid={user},ou=people,dc=example,dc=org"}}}).bindName(name))
		if err != nil || len(dn.RDNs) != 4 || len(dn.RDNs[0].Attributes) != 1 || dn.RDNs[0].Attributes[0].Value != name {
			t.Errorf("the DN for %q is %v, %v", name, dn, err)
		}
	})
}
