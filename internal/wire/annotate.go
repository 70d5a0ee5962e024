package wire

import "net/http"

// Annotator is what the response writer of an access log offers: a note for the
// line of this request.
type Annotator interface {
	Annotate(key, value string)
}

// Annotate notes something for the access log, if there is one.
func Annotate(w http.ResponseWriter, key, value string) {
	for {
		switch t := w.(type) {
		case Annotator:
			t.Annotate(key, value)
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return
		}
	}
}
