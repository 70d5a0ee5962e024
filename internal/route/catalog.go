package route

import (
	"net/http"
)

func (p *parser) ping() (*Request, error) {
	r := &Request{Page: Page{N: -1}}
	return r, p.methods(r, map[string]Kind{http.MethodGet: Ping})
}

func (p *parser) catalog() (*Request, error) {
	r := &Request{}
	if err := p.methods(r, map[string]Kind{http.MethodGet: Catalog}); err != nil {
		return nil, err
	}
	var err error
	r.Page, err = p.page()
	return r, err
}
