package testserver

import (
	"encoding/base64"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
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

// Written names the files that servers write in a test, such as an audit, by a pattern
// of filepath.Glob; those with more behind their names belong to it, as rotation makes
// them. They are read at the end of the test, after the end of the servers that it
// starts from now on. It is an error if there are none.
func Written(t testing.TB, pattern string) {
	t.Helper()
	t.Cleanup(func() {
		files, err := filepath.Glob(pattern + "*")
		if err != nil || len(files) == 0 && !t.Failed() {
			t.Errorf("no server has written %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Errorf("not looked for secrets: %v", err)
			}
			Printed(text)
		}
	})
}

// Main is for a TestMain: it runs the tests, and fails if a server has printed a
// secret of theirs, or anything that has the form of one. If all tests were run it
// also fails if there was nothing to look at, or nothing to look for.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	for _, leak := range run.leaks() {
		fmt.Printf("--- FAIL: a server has printed a secret: %s\n", leak)
		code = max(code, 1)
	}
	seen := run.size()
	fmt.Println(seen)
	if code == 0 && seen.idle() && !selected() {
		fmt.Println("--- FAIL: the search for secrets had nothing to look at, or nothing to look for")
		code = 1
	}
	return code
}

// selected reports whether only some tests of the package were to be run.
func selected() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return true
		}
	}
	return false
}

// size is how much was searched.
type size struct{ outputs, bytes, secrets int }

func (s size) String() string {
	return fmt.Sprintf("looked for %d secrets in %d outputs of servers, %d bytes", s.secrets, s.outputs, s.bytes)
}

func (s size) idle() bool { return s.bytes == 0 || s.secrets == 0 }

func (o *outputs) size() size {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := size{outputs: len(o.of), secrets: len(o.secrets)}
	for _, b := range o.of {
		s.bytes += len(b.String())
	}
	return s
}

// forms are those of secrets that nobody has to name.
var forms = []*regexp.Regexp{
	regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*\.?[A-Za-z0-9_-]*`), // a token, or its first parts
	regexp.MustCompile(`mg[a-z]_[A-Za-z0-9_-]{8,}`),                             // a key, a refresh token
	regexp.MustCompile(`whsec_[A-Za-z0-9+/]{8,}`),                               // the secret of a webhook
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
