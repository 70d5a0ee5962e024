package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
)

// check looks whether the server knows its content: each page is full.
func (l *large) check(ctx context.Context, s *server) error {
	var text bytes.Buffer
	page := l.page()
	if _, err := s.client().do(ctx, http.StatusOK, http.MethodGet, page, http.NoBody, 0, nil, &text); err != nil {
		return err
	}
	var list struct {
		Tags, Repositories []string
		Manifests          []json.RawMessage
	}
	if err := json.Unmarshal(text.Bytes(), &list); err != nil {
		return err
	}
	if n := len(list.Tags) + len(list.Repositories) + len(list.Manifests); n != pageSize {
		return fmt.Errorf("%s has %d entries, not %d", page, n, pageSize)
	}
	return nil
}

// next is the link to the next page (RFC 8288).
var next = regexp.MustCompile(`^<([^>]+)>; *rel="?next"?$`)

// walk follows the pages, as a client does that wants all.
func (l *large) walk(b *bench, ctx context.Context, s *server) (result, error) {
	c := s.client()
	return b.repeated(ctx, s, 1, 1, func(ctx context.Context, _, _ int) error {
		pages := 0
		for path := l.list; path != ""; pages++ {
			h, err := c.do(ctx, http.StatusOK, http.MethodGet, path, http.NoBody, 0, nil, nil)
			if err != nil {
				return err
			}
			path = nextPage(h)
		}
		if pages < 2 {
			return fmt.Errorf("%s has %d entries on one page", l.list, l.count)
		}
		return nil
	})
}

// nextPage is the path of the next page; "" behind the last one.
func nextPage(h http.Header) string {
	if m := next.FindStringSubmatch(h.Get("Link")); m != nil {
		return m[1]
	}
	return ""
}
