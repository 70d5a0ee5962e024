package route

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/moorgate/moorgate/internal/oci"
)

// maxLast bounds the parameter last: no name, tag or digest is longer.
const maxLast = 255

// page reads n and last. A number too large for an int is read as the largest:
// the lists have a bound of their own.
func (p *parser) page() (Page, error) {
	page := Page{N: -1}
	n, err := p.one("n", oci.PageInvalid)
	if err != nil {
		return page, err
	}
	if n != "" {
		if page.N, err = count(n); err != nil {
			return page, err
		}
	}
	page.Last, err = p.text("last", maxLast)
	return page, err
}

// text returns the value of a parameter that a store is asked about, and not
// every store can be asked about every sequence of bytes.
func (p *parser) text(name string, most int) (string, error) {
	s, err := p.one(name, oci.PageInvalid)
	if err != nil {
		return "", err
	}
	if len(s) > most {
		return "", oci.Errorf(oci.PageInvalid, "the parameter %s has %d characters, at most %d are allowed", name, len(s), most)
	}
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return "", oci.Errorf(oci.PageInvalid, "the parameter %s is not valid text", name)
	}
	return s, nil
}

func count(s string) (int, error) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, oci.Errorf(oci.PageInvalid, "the parameter n is not a number of entries")
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return math.MaxInt, nil //nolint:nilerr // digits only, so the number is just too large
	}
	return n, nil
}

func (pg Page) addTo(q url.Values) {
	if pg.N >= 0 {
		q.Set("n", strconv.Itoa(pg.N))
	}
	if pg.Last != "" {
		q.Set("last", pg.Last)
	}
}
