package htpasswd

import (
	"fmt"
	"slices"
	"strings"
)

// document is a password file as text, so that a change of one user leaves
// comments, order and line ends of all others as they are.
type document struct {
	lines []string // each with its line end; the last may have none
}

// readDocument splits text into lines. Unlike Parse it takes hashes that
// Moorgate does not know, so that they can be replaced one by one; but what
// does not look like a password file at all is an error.
func readDocument(text string) (*document, error) {
	d := &document{lines: slices.Collect(strings.Lines(text))}
	for i, line := range d.lines {
		if _, _, _, err := splitLine(line); err != nil {
			return nil, fmt.Errorf("line %d: %w; is this a password file?", i+1, err)
		}
	}
	return d, nil
}

func (d *document) String() string { return strings.Join(d.lines, "") }

// isUser reports whether line is the entry of user.
func isUser(line, user string) bool {
	name, _, ok, err := splitLine(line)
	return err == nil && ok && name == user
}

// set gives user the hash: in place of the old one, or in a new line at the
// end. Further lines of the same user, an error to Parse, go.
func (d *document) set(user, hash string) (replaced bool) {
	at := slices.IndexFunc(d.lines, func(l string) bool { return isUser(l, user) })
	if at < 0 {
		d.add(user + ":" + hash)
		return false
	}
	body := strings.TrimRight(d.lines[at], "\r\n")
	end := d.lines[at][len(body):]
	fields := strings.SplitN(body, ":", 3)
	fields[1] = hash
	d.lines[at] = strings.Join(fields, ":") + end
	rest := slices.DeleteFunc(d.lines[at+1:], func(l string) bool { return isUser(l, user) })
	d.lines = d.lines[:at+1+len(rest)]
	return true
}

// add puts a line at the end, ended like the line before.
func (d *document) add(line string) {
	end := "\n"
	if n := len(d.lines); n > 0 {
		if strings.HasSuffix(d.lines[0], "\r\n") {
			end = "\r\n"
		}
		if last := d.lines[n-1]; !strings.HasSuffix(last, "\n") {
			d.lines[n-1] = last + end
		}
	}
	d.lines = append(d.lines, line+end)
}

// remove takes all lines of user away.
func (d *document) remove(user string) (found bool) {
	before := len(d.lines)
	d.lines = slices.DeleteFunc(d.lines, func(l string) bool { return isUser(l, user) })
	return len(d.lines) < before
}
