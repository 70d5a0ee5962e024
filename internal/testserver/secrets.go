package testserver

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// run is what all servers of the test process have printed, and what they must not
// have.
var run outputs // a test process is one

// outputs are those of servers, with the secrets that were used with them.
type outputs struct {
	mu      sync.Mutex
	of      []*logBuffer
	secrets map[string]bool
}

// minSecret is the length of a secret that no log has by chance, in bytes.
const minSecret = 8

// Secret names passwords, tokens and keys that tests use. Those that are too short to
// be told from other text do not count.
func Secret(values ...string) {
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.secrets == nil {
		run.secrets = map[string]bool{}
	}
	for _, v := range values {
		if v = strings.TrimSpace(v); len(v) >= minSecret {
			run.secrets[v] = true
		}
	}
}

// Printed takes what a server has printed that was not started here.
func Printed(text []byte) {
	b := &logBuffer{}
	_, _ = b.Write(text) // it never fails
	run.add(b)
}

func (o *outputs) add(b *logBuffer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of = append(o.of, b)
}

// Main is for a TestMain: it runs the tests, and fails if a server has printed a
// secret of theirs, or anything that has the form of one.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	for _, leak := range run.leaks() {
		fmt.Printf("--- FAIL: a server has printed a secret: %s\n", leak)
		code = max(code, 1)
	}
	servers, bytes, secrets := run.size()
	fmt.Printf("looked for %d secrets in what %d servers have printed, %d bytes\n", secrets, servers, bytes)
	return code
}

func (o *outputs) size() (servers, bytes, secrets int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.of {
		bytes += len(b.String())
	}
	return len(o.of), bytes, len(o.secrets)
}

// forms are those of secrets that nobody has to name.
var forms = []*regexp.Regexp{
	regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*\.?[A-Za-z0-9_-]*`), // a token, or its first parts
	regexp.MustCompile(`mg[a-z]_[A-Za-z0-9_-]{8,}`),                             // a key, a refresh token
	regexp.MustCompile(`\b[Bb]asic [a-z]*[A-Z0-9+/][A-Za-z0-9+/]{6,}`),
	regexp.MustCompile(`\b[Bb]earer [a-z]*[A-Z0-9][A-Za-z0-9._~+/-]{12,}`),
	regexp.MustCompile(`\$(2[abxy]|apr1|5|6|y)\$[./A-Za-z0-9$]{16,}`), // the hash of a password
	regexp.MustCompile(`\{SHA\}[A-Za-z0-9+/]{16,}`),
	regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY`),
}

// shown is where a first start shows the password of its user, which is no log.
var shown = regexp.MustCompile(`(?m)^ +password: \S+$`)

// leaks returns the lines that have a secret, or something with the form of one.
func (o *outputs) leaks() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var words []string
	for s := range o.secrets {
		words = append(words, spellings(s)...)
	}
	var found []string
	for _, b := range o.of {
		for line := range strings.Lines(shown.ReplaceAllString(b.String(), "")) {
			if leaks(line, words) {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func leaks(line string, words []string) bool {
	has := func(word string) bool { return strings.Contains(line, word) }
	matches := func(form *regexp.Regexp) bool { return form.MatchString(line) }
	return slices.ContainsFunc(words, has) || slices.ContainsFunc(forms, matches)
}

// spellings are the ways in which a secret may stand in a log: as it is, as part of a
// URL, quoted, and in base64. In that it looks another way after one or two other
// bytes, such as those of a user name; its middle does not care about its neighbours.
func spellings(s string) []string {
	quoted := fmt.Sprintf("%q", s)
	list := []string{s, url.QueryEscape(s), url.PathEscape(s), quoted[1 : len(quoted)-1]}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := enc.EncodeToString([]byte(strings.Repeat("x", before) + s))
			first, last := (before*8+5)/6, (before+len(s))*8/6
			list = append(list, text[first:last])
		}
	}
	return list
}
