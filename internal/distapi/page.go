package distapi

import (
	"net/http"

	"github.com/moorgate/moorgate/internal/route"
)

// maxPage bounds the entries of one page of a list.
const maxPage = 1000

// pageSize returns how many entries a page has at most.
func pageSize(p route.Page) int {
	if p.N < 0 {
		return maxPage
	}
	return min(p.N, maxPage)
}

// page is a part of a list of which the caller may see some entries.
type page struct {
	size int    // at most so many entries
	last string // behind this one; after fill, the last one that was looked at
	more bool   // after fill: there may be others behind it

	// read returns at most limit entries behind last, and whether there are more.
	read func(last string, limit int) ([]string, bool, error)
	show func(entry string) bool

	// enter is asked before entries are looked at beyond a page of them.
	enter func() (leave func(), err error)
}

// fill returns the entries of the page, never nil. It reads on while entries are
// hidden, so that a page is full if there are enough to see.
func (p *page) fill() ([]string, error) {
	shown, err := p.add([]string{}, p.size)
	if err != nil || !p.more || len(shown) == p.size {
		return shown, err
	}
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	for p.more && len(shown) < p.size && err == nil {
		shown, err = p.add(shown, maxPage)
	}
	return shown, err
}

// add looks at the next entries, limit at most.
func (p *page) add(shown []string, limit int) ([]string, error) {
	entries, rest, err := p.read(p.last, limit)
	if err != nil {
		return nil, err
	}
	p.more = rest
	for _, entry := range entries {
		if len(shown) == p.size {
			p.more = true
			break
		}
		p.last = entry
		if p.show(entry) {
			shown = append(shown, entry)
		}
	}
	return shown, nil
}

// linkNext names the next page: the same request behind the entry last
// (RFC 8288). A page of no entries has no next one.
func linkNext(w http.ResponseWriter, r *route.Request, size int, last string) {
	if size == 0 {
		return
	}
	next := *r
	next.Page = route.Page{N: size, Last: last}
	w.Header().Set("Link", "<"+next.URL()+`>; rel="next"`)
}
