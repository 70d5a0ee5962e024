package trail_test

import (
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/audit/trail"
)

func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*trail.Config)
		want   string // "" for none
	}{
		"nothing":             {func(*trail.Config) {}, ""},
		"a file":              {func(c *trail.Config) { c.File.Path = "audit.log" }, ""},
		"never rotated":       {func(c *trail.Config) { c.File.Path, c.File.MaxSize = "audit.log", 0 }, ""},
		"no file":             {func(c *trail.Config) { c.File.Keep = 3 }, "file.path: name the file"},
		"a small file":        {func(c *trail.Config) { c.File.Path, c.File.MaxSize = "a", 1000 }, "file.max_size: 1000B is too little, at least 64KiB"},
		"fewer than no files": {func(c *trail.Config) { c.File.Path, c.File.Keep = "a", -1 }, "file.keep: a number of files"},
		"younger than now":    {func(c *trail.Config) { c.File.Path, c.File.MaxAge = "a", -1 }, "file.max_age: how long"},
		"required of stdout":  {func(c *trail.Config) { c.Stdout, c.Required = true, true }, "required: only a file tells"},
		"pulls to nowhere":    {func(c *trail.Config) { c.Pulls = true }, "pulls: there is nowhere to record them"},
		"no server":           {func(c *trail.Config) { c.Syslog.Tag = "x" }, "syslog.address: name the server"},
		"a socket":            {func(c *trail.Config) { c.Syslog.Address = "unix:///dev/log" }, ""},
		"udp":                 {func(c *trail.Config) { c.Syslog.Address = "udp://logs:514" }, ""},
		"IPv6":                {func(c *trail.Config) { c.Syslog.Address = "tcp://[::1]:514" }, ""},
		"tls with a CA":       {func(c *trail.Config) { c.Syslog.Address, c.Syslog.CA = "tls://logs:6514", "ca.crt" }, ""},
		"tcp with a CA":       {func(c *trail.Config) { c.Syslog.Address, c.Syslog.CA = "tcp://logs:514", "ca.crt" }, "syslog.ca: only a tls:// address"},
		"no port":             {func(c *trail.Config) { c.Syslog.Address = "tcp://logs" }, `syslog.address: "tcp://logs" is no address of a syslog server, such as`},
		"no scheme":           {func(c *trail.Config) { c.Syslog.Address = "logs:514" }, "is no address"},
		"another scheme":      {func(c *trail.Config) { c.Syslog.Address = "http://logs:514" }, "is no address"},
		"a bad port":          {func(c *trail.Config) { c.Syslog.Address = "udp://logs:0" }, "is no address"},
		"a path too much":     {func(c *trail.Config) { c.Syslog.Address = "udp://logs:514/x" }, "is no address"},
		"a user":              {func(c *trail.Config) { c.Syslog.Address = "tls://me:secret@logs:6514" }, "has no user and no password"},
		"a relative socket":   {func(c *trail.Config) { c.Syslog.Address = "unix://dev/log" }, "is no address"},
		"a long socket":       {func(c *trail.Config) { c.Syslog.Address = "unix:///" + strings.Repeat("x", 200) }, "is no address"},
		"no facility": {func(c *trail.Config) {
			c.Syslog.Address, c.Syslog.Facility = "unix:///dev/log", "auditing"
		}, `syslog.facility: "auditing" is no facility`},
		"no tag": {func(c *trail.Config) {
			c.Syslog.Address, c.Syslog.Tag = "unix:///dev/log", "two words"
		}, `syslog.tag: "two words" cannot be a name`},
	} {
		c := trail.Default()
		test.change(&c)
		var got []string
		c.Check(func(key, problem string) { got = append(got, key+": "+problem) })
		switch {
		case test.want == "" && len(got) > 0:
			t.Errorf("%s: %q", name, got)
		case test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)):
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		for _, one := range got {
			if strings.Contains(one, "me:secret") {
				t.Errorf("it shows a secret: %s", one)
			}
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		size trail.Size
		text string // "": not a size
	}{
		"0": {0, "0"}, "65536": {65536, "64KiB"}, "100MiB": {100 << 20, "100MiB"}, "1 GiB": {1 << 30, "1GiB"}, "12B": {12, "12B"},
		"": {}, "-1": {}, "1MB": {}, "1.5GiB": {}, "GiB": {}, "99999999999GiB": {}, "9223372036854775808": {}, "a lot": {},
	} {
		var s trail.Size
		err := s.UnmarshalText([]byte(text))
		if (err == nil) != (want.text != "") || s != want.size || err == nil && s.String() != want.text {
			t.Errorf("%q: %d %s, %v", text, s, s, err)
		}
	}
}
