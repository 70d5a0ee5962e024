package program

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fault is an error with words of others in it. A program may have said the
// password, so they are looked at before anybody reads them.
type Fault struct {
	What string // ours: what is wrong, and what to do
	Said string // theirs; may have several lines
}

// Error tells what is wrong, and not what others said about it.
func (f *Fault) Error() string { return f.What }

// maxSaid bounds what is told of words of others, in bytes. The end of them tells
// most.
const maxSaid = 1000

// presentable returns words of others for the log: in one line, without lines that
// have the password in them in one of the ways that programs write it.
func presentable(said, user, password string) string {
	forms := written(user, password)
	var lines []string
	for raw := range strings.Lines(said) {
		line := strings.TrimSpace(strings.Map(printable, raw))
		switch {
		case containsAny(strings.ToLower(raw), forms), containsAny(strings.ToLower(unescaped(raw)), forms):
			lines = append(lines, "(a line with the password in it)")
		case line != "":
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines, "; ")
	if len(text) > maxSaid {
		text = "... " + strings.ToValidUTF8(text[len(text)-maxSaid:], "")
	}
	return text
}

func printable(r rune) rune {
	if unicode.IsPrint(r) && r != utf8.RuneError {
		return r
	}
	return ' '
}

func containsAny(line string, forms []string) bool {
	for _, form := range forms {
		if strings.Contains(line, form) {
			return true
		}
	}
	return false
}

// written returns a password in the ways in which programs write it, in lower case.
func written(user, password string) []string {
	if password == "" {
		return nil
	}
	forms := []string{
		password,
		strings.TrimSpace(password), // what is left of it at the ends of a line
		strings.ReplaceAll(password, "'", `'\''`), // a shell that shows what it does
		url.QueryEscape(password),
		url.PathEscape(password),
		hex.EncodeToString([]byte(password)),
		base64.StdEncoding.EncodeToString(thirds(password)),
		base64.URLEncoding.EncodeToString(thirds(password)),
		base64.StdEncoding.EncodeToString(thirds(user + ":" + password)),
	}
	var distinct []string
	for _, form := range forms {
		if form = strings.ToLower(form); form != "" && !containsAny(form, distinct) {
			distinct = append(distinct, form)
		}
	}
	return distinct
}

// thirds returns the part of text whose base64 does not depend on what follows it,
// such as a newline.
func thirds(text string) []byte { return []byte(text[:len(text)-len(text)%3]) }

// escapes are those of strings in JSON, and of other languages.
var escapes = regexp.MustCompile(`(\\u[0-9a-fA-F]{4})+|\\.`)

// unescaped returns a line without escapes, each of which may be written in several
// ways.
func unescaped(line string) string {
	return escapes.ReplaceAllStringFunc(line, func(escape string) string {
		var text string
		if json.Unmarshal([]byte(`"`+escape+`"`), &text) != nil {
			return escape[1:]
		}
		return text
	})
}
