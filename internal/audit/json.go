package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Version is that of the form of a line. Fields may be added to it.
const Version = 1

// maxField bounds what a line has in one field, in bytes: names come from clients.
const maxField = 512

// timeForm is RFC 3339 with microseconds, always as long.
const timeForm = "2006-01-02T15:04:05.000000Z07:00"

// line is a record as it is written: docs/audit.md has the table.
type line struct {
	Version   int     `json:"v"`
	Time      string  `json:"time"`
	ID        string  `json:"id,omitempty"`
	Outcome   Outcome `json:"outcome"`
	Operation string  `json:"operation,omitempty"`
	Action    string  `json:"action,omitempty"`
	Repo      string  `json:"repo,omitempty"`
	Tag       string  `json:"tag,omitempty"`
	Digest    string  `json:"digest,omitempty"`
	From      string  `json:"from,omitempty"`
	User      string  `json:"user,omitempty"`
	Source    string  `json:"source,omitempty"`
	Key       string  `json:"key,omitempty"`
	Client    string  `json:"client,omitempty"`
	Rule      string  `json:"rule,omitempty"`
	Status    int     `json:"status,omitempty"`
	Code      string  `json:"code,omitempty"`
	Detail    string  `json:"detail,omitempty"`
}

// JSON returns a record as one line of JSON (RFC 8259) without a line break. Its
// fields are bounded, and nothing in it moves a terminal.
func (r Record) JSON() []byte {
	l := line{
		Version: Version, Time: r.Time.UTC().Format(timeForm), ID: bounded(r.RequestID),
		Outcome: r.Outcome, Operation: bounded(r.Operation),
		Action: string(r.Scope.Action), Repo: bounded(r.Scope.Repo), Tag: bounded(r.Scope.Tag),
		Digest: bounded(string(r.Digest)), From: bounded(r.From),
		User: bounded(r.Who.User), Source: bounded(r.Who.Source),
		Rule: bounded(r.Rule), Status: r.Status, Code: bounded(r.Code), Detail: bounded(r.Detail),
	}
	if r.Who.With != nil {
		l.Key = bounded(r.Who.With.ID)
	}
	if r.Client.IsValid() {
		l.Client = r.Client.String()
	}
	text, err := json.Marshal(l)
	if err != nil { // cannot be: strings and numbers are JSON
		return []byte(fmt.Sprintf(`{"v":%d,"time":%q,"outcome":%q}`, Version, l.Time, l.Outcome))
	}
	return printable(text)
}

// bounded cuts a text that is too long between two characters.
func bounded(s string) string {
	if len(s) <= maxField {
		return s
	}
	end := maxField
	for end > maxField-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// printable escapes characters of JSON strings that are not seen, or change how
// others are seen: JSON leaves DEL, the C1 controls and those of direction as they
// are.
func printable(text []byte) []byte {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.IndexFunc(string(text), hidden) < 0 {
		return text
	}
	out := make([]byte, 0, len(text)+32)
	for _, r := range string(text) {
		switch {
		case !hidden(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
