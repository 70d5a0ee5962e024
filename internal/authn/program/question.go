// Package program is the contract of identity sources that are programs of the
// operator: a question in JSON, an answer in JSON, however the two travel.
// docs/login/program.md tells it to those who write such a program.
package program

import (
	"bytes"
	"context"
	"encoding/json"
	"unicode"
	"unicode/utf8"
)

// Version of the contract.
const Version = 1

// MaxAnswer bounds an answer, in bytes.
const MaxAnswer = 64 << 10

// operation is what a program is asked to do.
type operation string

const (
	verify operation = "verify" // is this the password of the user?
	lookup operation = "lookup" // is the user still there?
	probe  operation = "probe"  // can you answer?
)

// question is what a program is asked.
type question struct {
	Version   int       `json:"version"`
	Operation operation `json:"operation"`
	Source    string    `json:"source"` // the name of the source, for a program that serves several
	User      string    `json:"user,omitempty"`
	Password  string    `json:"password,omitempty"`
}

// encode returns a question as one line. Nothing is escaped that JSON does not ask
// for: not all readers are good ones.
func (q question) encode() ([]byte, error) {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	err := enc.Encode(q) //nolint:gosec // whether the password is right is the question
	return line.Bytes(), err
}

// Asker carries questions to a program.
type Asker interface {
	// Ask hands a question over, one line of JSON with the newline behind it, and
	// returns the answer. It may be called at once by many, ends soon after ctx, and
	// reads no more than MaxAnswer bytes.
	//
	// Errors: a *Fault where the text may have words of others in it.
	Ask(ctx context.Context, question []byte) (Reply, error)
}

// Reply is an answer as it came.
type Reply struct {
	Answer []byte
	Notes  string // what else the program has said, for the log: "" mostly
}

// Bounds of a user name and a password, in bytes.
const (
	maxName     = 255
	maxPassword = 4096
)

// isName reports whether a program is asked about a name. One that programs could
// read in two ways, such as two lines, is nobody's.
func isName(user string) bool {
	return user != "" && len(user) <= maxName && isPlain(user) && !bytes.ContainsRune([]byte(user), ':')
}

// isPassword reports whether a program is shown a password. An empty one means
// "nobody in particular" to some directories behind programs.
func isPassword(password string) bool {
	return password != "" && len(password) <= maxPassword && isPlain(password)
}

// isPlain reports whether text reaches every program as it is: control characters
// do not, and what is not UTF-8 cannot stand in JSON, so that two texts would
// become one.
func isPlain(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}
