package route

import (
	"math"
	"net/url"
	"strconv"

	"github.com/moorgate/moorgate/internal/oci"
)

// maxLast bounds the parameter last: no name, tag or digest is longer.
const maxLast = 255

// page reads n and last. A number too large for an int is read as the largest:
// the lists have a bound of their own.
func (p *parser) page() (Page, error) {
	page := Page{N: -1}
	n, err := p.one("n")
	if err != nil {
		return page, err
	}
	if n != "" {
		if page.N, err = count(n); err != nil {
			return page, err
		}
	}
	if page.Last, err = p.one("last"); err != nil {
		return page, err
	}
	if len(page.Last) > maxLast {
		return page, oci.Errorf(oci.PageInvalid, "the parameter last has %d characters, at most %d are allowed", len(page.Last), maxLast)
	}
	return page, nil
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
