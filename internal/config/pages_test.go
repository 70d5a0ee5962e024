package config_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// longLine is what no two lines of prose in a row share by chance, in characters.
const longLine = 40

var numbered = regexp.MustCompile(`^[0-9]+\. `)

// TestPagesSayThingsOnce finds what a careless merge leaves in the pages: a row of a table
// or the number of a list twice in one section, or a line of prose twice in a paragraph.
func TestPagesSayThingsOnce(t *testing.T) {
	t.Parallel()
	pages := []string{"../../README.md", "../../CHANGELOG.md", "../../CONTRIBUTING.md"}
	err := filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil || len(pages) < 10 {
		t.Fatalf("pages %q, %v", pages, err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range twice(string(text)) {
			t.Errorf("%s has twice: %s", page, line)
		}
	}
}

func TestTwice(t *testing.T) {
	t.Parallel()
	const long = "a line of prose that nobody writes twice in a row\n"
	for text, want := range map[string]int{
		"| h |\n|---|\n| a | b |\n| a | b |\n":                1,
		"| a | b |\n|---|---|\n\nc\n\n| a | b |\n|---|---|\n": 0,
		"1. a\n2. b\n   more\n2. c\n":                         1,
		"1. a\n\n## b\n\n1. c\n":                              0,
		"1. a\n\nAnd then:\n\n1. c\n":                         0,
		long + "x\n" + long:                                   1,
		long + "\n" + long:                                    1,
		"short\nshort\n":                                      0,
		"```sh\n" + long + long + "```\n":                     0,
		long + "\n## b\n\n" + long:                            0,
	} {
		if got := twice(text); len(got) != want {
			t.Errorf("%q: %q, want %d", text, got, want)
		}
	}
}

var code = regexp.MustCompile("(?ms)^ *```.*?^ *```$")

// twice returns the lines that a section of a page has twice. Blocks of code may repeat
// themselves, and so may the heads of tables. A list begins anew after prose.
func twice(page string) (found []string) {
	seen, before := map[string]bool{}, ""
	for _, line := range strings.Split(code.ReplaceAllString(page, ""), "\n") {
		isHead := strings.HasPrefix(line, "|") && !strings.HasPrefix(before, "|")
		before = line
		switch {
		case strings.HasPrefix(line, "#"):
			clear(seen)
		case line != "" && !strings.ContainsAny(line[:1], " |-0123456789"): // prose
			forgetNumbers(seen)
		}
		key, counts := keyOf(line)
		if counts && !isHead && seen[key] {
			found = append(found, line)
		}
		seen[key] = true
	}
	return found
}

func forgetNumbers(seen map[string]bool) {
	for key := range seen {
		if numbered.MatchString(key) {
			delete(seen, key)
		}
	}
}

// keyOf returns what makes a line the same as another one, and whether it may be there
// once only.
func keyOf(line string) (string, bool) {
	switch {
	case strings.HasPrefix(line, "|"):
		return line, strings.Trim(line, "|-: ") != ""
	case numbered.MatchString(line):
		return numbered.FindString(line), true
	default:
		return line, len([]rune(line)) > longLine
	}
}
