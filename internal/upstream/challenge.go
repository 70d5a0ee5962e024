package upstream

import (
	"errors"
	"strings"
)

// errChallenge says that a WWW-Authenticate header breaks its grammar.
var errChallenge = errors.New("malformed WWW-Authenticate header")

// offer is one challenge of a WWW-Authenticate header.
type offer struct {
	scheme string            // in lower case
	params map[string]string // names in lower case, values unquoted; nil if there are none
}

// parseOffers reads the challenges of all WWW-Authenticate headers of an answer,
// by the letter of RFC 9110 section 11.6.1. A parameter given twice is an error,
// as two readers could differ about it.
func parseOffers(headers []string) ([]offer, error) {
	var offers []offer
	for _, h := range headers {
		s := &scanner{rest: h}
		for s.separators(); s.rest != ""; s.separators() {
			o, err := s.offer()
			if err != nil {
				return nil, err
			}
			if s.space(); s.rest != "" && s.rest[0] != ',' {
				return nil, errChallenge
			}
			offers = append(offers, o)
		}
	}
	return offers, nil
}

// scanner reads a header from left to right.
type scanner struct{ rest string }

// offer reads a scheme and what belongs to it.
func (s *scanner) offer() (offer, error) {
	o := offer{scheme: strings.ToLower(s.token())}
	if o.scheme == "" || s.rest != "" && s.rest[0] != ' ' && s.rest[0] != ',' {
		return offer{}, errChallenge
	}
	s.space()
	if s.token68() {
		return o, nil
	}
	for {
		mark := s.rest
		s.separators() // lists may have empty elements
		name, value, found, err := s.param()
		if err != nil {
			return offer{}, err
		}
		if !found {
			s.rest = mark
			return o, nil
		}
		if _, twice := o.params[name]; twice {
			return offer{}, errChallenge
		}
		if o.params == nil {
			o.params = map[string]string{}
		}
		o.params[name] = value
		if s.space(); s.rest != "" && s.rest[0] != ',' {
			return offer{}, errChallenge
		}
	}
}

// param reads name=value, if that is what follows.
func (s *scanner) param() (name, value string, found bool, err error) {
	name = strings.ToLower(s.token())
	s.space()
	if name == "" || !s.take('=') {
		return "", "", false, nil
	}
	s.space()
	if s.take('"') {
		value, err = s.quoted()
		return name, value, true, err
	}
	if value = s.token(); value == "" {
		return "", "", false, errChallenge
	}
	return name, value, true, nil
}

// quoted reads the rest of a quoted string.
func (s *scanner) quoted() (string, error) {
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		c := s.rest[i]
		if c == '"' {
			s.rest = s.rest[i+1:]
			return b.String(), nil
		}
		if c == '\\' && i+1 < len(s.rest) {
			i++
			c = s.rest[i]
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", errChallenge
		}
		b.WriteByte(c)
	}
	return "", errChallenge
}

// token68 skips the one value of schemes such as Negotiate, if that is what
// follows.
func (s *scanner) token68() bool {
	n := 0
	for n < len(s.rest) && (isAlnum(s.rest[n]) || strings.IndexByte("-._~+/", s.rest[n]) >= 0) {
		n++
	}
	if n == 0 {
		return false
	}
	for n < len(s.rest) && s.rest[n] == '=' {
		n++
	}
	after := strings.TrimLeft(s.rest[n:], " \t")
	if after != "" && after[0] != ',' {
		return false
	}
	s.rest = after
	return true
}

// token reads a token (RFC 9110 section 5.6.2); "" if none follows.
func (s *scanner) token() string {
	n := 0
	for n < len(s.rest) && (isAlnum(s.rest[n]) || strings.IndexByte("!#$%&'*+-.^_`|~", s.rest[n]) >= 0) {
		n++
	}
	t := s.rest[:n]
	s.rest = s.rest[n:]
	return t
}

// separators skips white space and commas.
func (s *scanner) separators() { s.rest = strings.TrimLeft(s.rest, " \t,") }

// space skips white space.
func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t") }

// take skips c, if it follows.
func (s *scanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// isAlnum reports whether c is an ASCII letter or digit.
func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
