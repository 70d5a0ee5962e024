package route

import "net/http"

func (p *parser) tagList(r *Request) error {
	if err := p.methods(r, map[string]Kind{http.MethodGet: TagList}); err != nil {
		return err
	}
	var err error
	r.Page, err = p.page()
	return err
}
