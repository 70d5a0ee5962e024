package front

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/authntest"
)

const secret = "the word of the proxy 0123456789"

// proxy is the address of the one that is believed.
const proxy = "10.1.2.3"

// open opens a source that believes proxy, changed as wanted.
func open(t *testing.T, change ...func(*Config)) *Source {
	t.Helper()
	c := Default()
	c.From, c.Groups = []string{proxy}, "X-Forwarded-Groups"
	for _, f := range change {
		f(&c)
	}
	c.Check(func(key, problem string) { t.Errorf("%s: %s", key, problem) })
	s, err := Open("front", c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, text)
	return file
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// from is a request of a peer with some headers: names and values.
func from(peer string, headers ...string) authn.Arrival {
	a := authn.Arrival{Peer: netip.MustParseAddr(peer), Header: map[string][]string{}}
	for i := 0; i < len(headers); i += 2 {
		a.Header[headers[i]] = append(a.Header[headers[i]], headers[i+1])
	}
	return a
}

const (
	user   = "X-Forwarded-User"
	groups = "X-Forwarded-Groups"
	word   = "X-Front-Secret"
)

func TestContract(t *testing.T) {
	t.Parallel()
	file := secretFile(t, secret+"\n")
	authntest.RunPresence(t, authntest.PresenceConfig{
		New:    func(t *testing.T) authn.Presence { return open(t, func(c *Config) { c.SecretFile = file }) },
		Source: "front",
		Known: map[string]authn.Arrival{
			"alice": from(proxy, user, "alice", word, secret), "bob": from(proxy, user, "bob", word, secret, groups, "a, b"),
		},
		Nothing: map[string]authn.Arrival{
			"the proxy, about nobody":   from(proxy, word, secret),
			"groups of nobody":          from(proxy, word, secret, groups, "admins"),
			"somebody else, with all":   from("10.1.2.4", user, "alice", word, secret),
			"who claims to be forwarde": from("10.1.2.4", user, "alice", "X-Forwarded-For", proxy, "Forwarded", "for="+proxy, "X-Real-Ip", proxy),
		},
		Strangers: map[string]authn.Arrival{
			"no secret":      from(proxy, user, "alice"),
			"another secret": from(proxy, user, "alice", word, "x"+secret),
			"half a secret":  from(proxy, user, "alice", word, secret[:20]),
			"no word at all": from(proxy, user, "alice", word, ""),
			"two secrets":    from(proxy, user, "alice", word, secret, word, secret),
			"two users":      from(proxy, user, "mallory", user, "alice", word, secret),
			"a smuggled one": from(proxy, "X_forwarded_user", "alice", user, "mallory", word, secret),
		},
		Secret: secret[:20],
	})
}

func TestWhatTheProxySays(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, tt := range map[string]struct {
		headers []string
		want    access.Identity // nobody: refused
		why     string
	}{
		"a user":              {[]string{user, "alice"}, access.Identity{User: "alice"}, ""},
		"a user in words":     {[]string{user, "Älice Smith"}, access.Identity{User: "Älice Smith"}, ""},
		"groups":              {[]string{user, "alice", groups, "a, b c,d"}, access.Identity{User: "alice", Groups: []string{"a", "b c", "d"}}, ""},
		"no groups":           {[]string{user, "alice", groups, ""}, access.Identity{User: "alice"}, ""},
		"an empty user":       {[]string{user, ""}, access.Identity{}, "empty"},
		"a space":             {[]string{user, " "}, access.Identity{}, "space"},
		"httpd's nobody":      {[]string{user, "(null)"}, access.Identity{}, "nobody"},
		"two headers":         {[]string{user, "alice", user, "alice"}, access.Identity{}, "2 times"},
		"two in one":          {[]string{user, "mallory, alice"}, access.Identity{}, "comma"},
		"a tab":               {[]string{user, "al\tice"}, access.Identity{}, "cannot be seen"},
		"a zero byte":         {[]string{user, "alice\x00"}, access.Identity{}, "cannot be seen"},
		"a line":              {[]string{user, "alice\nx"}, access.Identity{}, "cannot be seen"},
		"no UTF-8":            {[]string{user, "alice\xff"}, access.Identity{}, "UTF-8"},
		"a long one":          {[]string{user, strings.Repeat("a", 513)}, access.Identity{}, "512"},
		"groups twice":        {[]string{user, "alice", groups, "a", groups, "b"}, access.Identity{}, "2 times"},
		"an empty group":      {[]string{user, "alice", groups, "a,,b"}, access.Identity{}, "group 2: it is empty"},
		"a group in a line":   {[]string{user, "alice", groups, "a,b\x01"}, access.Identity{}, "group 2"},
		"too many groups":     {[]string{user, "alice", groups, strings.Repeat("a,", 500) + "a"}, access.Identity{}, "at most 500"},
		"underscores":         {[]string{"X_Forwarded_User", "alice"}, access.Identity{}, "looks like"},
		"one underscore":      {[]string{user, "bob", "x-forwarded_user", "alice"}, access.Identity{}, "looks like"},
		"dots":                {[]string{user, "bob", "X.Forwarded.User", "alice"}, access.Identity{}, "looks like"},
		"groups in disguise":  {[]string{user, "bob", "X_Forwarded_Groups", "admins"}, access.Identity{}, "looks like"},
		"another underscore":  {[]string{user, "bob", "X_Forwarded_Use", "alice"}, access.Identity{User: "bob"}, ""},
		"nobody's secret":     {[]string{user, "bob", word, "anything"}, access.Identity{User: "bob"}, ""},
		"another's header":    {[]string{user, "bob", "Remote-User", "alice"}, access.Identity{User: "bob"}, ""},
		"a user that is deep": {[]string{user, "team/bob:x@example.com"}, access.Identity{User: "team/bob:x@example.com"}, ""},
	} {
		who, err := s.VerifyArrival(t.Context(), from(proxy, tt.headers...))
		if tt.want.User == "" {
			if !errors.Is(err, authn.ErrNoMatch) || !strings.Contains(err.Error(), tt.why) || who.User != "" {
				t.Errorf("%s: %+v, %v; want it refused because of %q", name, who, err, tt.why)
			}
			continue
		}
		tt.want.Source = "front"
		if diff := cmp.Diff(tt.want, who); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestWhoIsBelieved(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *Config) { c.From = []string{"10.1.2.3", "10.9.0.7/16", "2001:db8::1", "fd00::/64"} })
	for peer, want := range map[string]bool{
		"10.1.2.3": true, "10.1.2.2": false, "10.1.2.4": false, "10.9.255.255": true, "10.10.0.0": false,
		"2001:db8::1": true, "2001:db8::2": false, "fd00::1234": true, "fd00:0:0:1::": false, "127.0.0.1": false, "::1": false,
		"fd00::1234%eth1": false, // of a link that nobody has named
	} {
		_, err := s.VerifyArrival(t.Context(), from(peer, user, "alice"))
		if (err == nil) != want {
			t.Errorf("%s: %v; want it believed: %v", peer, err, want)
		}
	}
	if _, err := s.VerifyArrival(t.Context(), authn.Arrival{Header: map[string][]string{user: {"alice"}}}); err == nil {
		t.Error("somebody without an address is believed")
	}
}

// TestOtherHeaders uses a header and a separator of one's own, in whatever case.
func TestOtherHeaders(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *Config) { c.User, c.Groups, c.Separator = "x-who", "X-GROUPS", "|" })
	who, err := s.VerifyArrival(t.Context(), from(proxy, "X-Who", "alice", "X-Groups", "a,b|c", user, "mallory"))
	if diff := cmp.Diff(access.Identity{User: "alice", Groups: []string{"a,b", "c"}, Source: "front"}, who); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if diff := cmp.Diff([]string{"X-Who", "X-Groups"}, s.Headers()); diff != "" {
		t.Error(diff)
	}
}

func TestSecretsChange(t *testing.T) {
	t.Parallel()
	file := secretFile(t, secret)
	s := open(t, func(c *Config) { c.SecretFile, c.SecretHeader = file, "x-word" })
	wants := func(word string, want bool) {
		t.Helper()
		if _, err := s.VerifyArrival(t.Context(), from(proxy, user, "alice", "X-Word", word)); (err == nil) != want {
			t.Errorf("%v; want it believed: %v", err, want)
		}
	}
	next := "another word, for later"
	wants(secret, true)
	wants(next, false)
	write(t, file, "\n"+secret+"\r\n  "+next+"\n\n")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	wants(secret, true)
	wants(next, true)
	wants("", false)
	for want, text := range map[string]string{
		"0 lines with a secret":  "\n \n",
		"11 lines with a secret": strings.Repeat(secret+"\n", 11),
		"has 15 characters":      secret + "\n" + secret[:15],
		"larger than 64 KiB":     strings.Repeat("x", 64<<10+1),
	} {
		write(t, file, text)
		if err := s.Reload(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret[:15]) {
			t.Errorf("%v; want %q", err, want)
		}
		if _, err := Open("front", s.cfg, s.log); err == nil {
			t.Errorf("it opens; want %q", want)
		}
		wants(next, true) // the last good ones
	}
	write(t, file, next)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	wants(secret, false)
	wants(next, true)
	s.cfg.SecretFile = filepath.Join(t.TempDir(), "nowhere")
	if _, err := Open("front", s.cfg, s.log); err == nil || !strings.Contains(err.Error(), "secret_file") || !strings.Contains(err.Error(), "nowhere") {
		t.Error(err)
	}
}

// TestLogOfOthers tells those who look closely why nobody is believed, and what the
// header had in it is no business of theirs.
func TestLogOfOthers(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := open(t)
	s.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	_, _ = s.VerifyArrival(t.Context(), from("10.1.2.4"))
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}
	_, _ = s.VerifyArrival(t.Context(), from("10.1.2.4", user, "alice"))
	if got := log.String(); !strings.Contains(got, "level=DEBUG") || !strings.Contains(got, "peer=10.1.2.4") || strings.Contains(got, "alice") {
		t.Errorf("logged: %s", got)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string // keys
	}{
		"all is well": {func(*Config) {}, ""},
		"nobody":      {func(c *Config) { c.From = nil }, "from"},
		"everybody": {func(c *Config) {
			c.From = []string{"0.0.0.0/0", "::/0", "10.0.0.0/7", "10.0.0.0/8", "fc00::/7", "fc00::/6"}
		}, "from[0] from[1] from[2] from[5]"},
		"names":                   {func(c *Config) { c.From = []string{"nginx", "", "10.0.0.0/33", "fe80::1%eth0"} }, "from[0] from[1] from[2] from[3]"},
		"IPv4 as IPv6":            {func(c *Config) { c.From = []string{"::ffff:10.1.2.3", "::ffff:0:0/96"} }, "from[0] from[1]"},
		"this machine":            {func(c *Config) { c.From = []string{"127.0.0.1"} }, "secret_file"},
		"this machine among all":  {func(c *Config) { c.From = []string{"::/8"} }, "secret_file"},
		"this machine in IPv6":    {func(c *Config) { c.From = []string{"10.1.2.3", "::1"} }, "secret_file"},
		"this machine, a secret":  {func(c *Config) { c.From, c.SecretFile = []string{"127.0.0.0/8"}, "secret" }, ""},
		"no header":               {func(c *Config) { c.User = "" }, "user"},
		"an underscore":           {func(c *Config) { c.User = "X_User" }, "user"},
		"a header with a meaning": {func(c *Config) { c.User, c.Groups = "authorization", "X-Forwarded-For" }, "user groups"},
		"one header for two":      {func(c *Config) { c.Groups = "x-forwarded-user" }, "groups"},
		"a secret in the open":    {func(c *Config) { c.SecretHeader = "X-Forwarded-User" }, "secret_header"},
		"no header for it":        {func(c *Config) { c.SecretHeader = "" }, "secret_header"},
		"no separator":            {func(c *Config) { c.Separator = "" }, "separator"},
		"one that is not seen":    {func(c *Config) { c.Separator = "\n" }, "separator"},
	} {
		c := Default()
		c.From = []string{proxy}
		tt.change(&c)
		var keys []string
		c.Check(func(key, _ string) { keys = append(keys, key) })
		if got := strings.Join(keys, " "); got != tt.want {
			t.Errorf("%s: mistakes in %q, want %q", name, got, tt.want)
		}
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *Config) { c.From, c.SecretFile = []string{"10.1.2.3", "10.9.0.0/16"}, secretFile(t, secret) })
	found, err := s.Probe(t.Context())
	want := "X-Forwarded-User, X-Forwarded-Groups, X-Front-Secret from 10.1.2.3, 10.9.0.0/16 is believed, with a secret of " + s.cfg.SecretFile
	if found != want || err != nil {
		t.Errorf("%q, %v", found, err)
	}
}
