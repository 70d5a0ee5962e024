package access

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckName reports why what somebody else says cannot be the name of a user or a
// group, of at most so many bytes. Of what cannot be seen two names could look like
// one. Colons, slashes and spaces inside are in the names of certificates and tokens.
func CheckName(name string, most int) error {
	switch {
	case name == "":
		return errors.New("it is empty")
	case len(name) > most:
		return fmt.Errorf("it has %d bytes, at most %d are allowed", len(name), most)
	case !utf8.ValidString(name):
		return errors.New("it is not UTF-8")
	case strings.TrimSpace(name) != name:
		return errors.New("it begins or ends with a space")
	case strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) || c == utf8.RuneError }):
		return errors.New("it has characters that cannot be seen")
	}
	return nil
}
