package distapi

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/moorgate/moorgate/internal/oci"
)

// maxRanges bounds the parts of one ranged answer; a request for more gets the
// whole blob, as RFC 9110, section 14.2, allows.
const maxRanges = 16

// span is length bytes from first on.
type span struct{ first, length int64 }

// readRanges looks at the Range header before content is served, and returns the
// parts of it to serve; none for the whole. It leaves nothing for
// http.ServeContent to refuse: it drops a header that is to be ignored, takes out
// the parts that no byte of size bytes satisfies, and refuses a header of nothing
// but those. tag is the entity tag of the content.
// The error is of kind RangeInvalid.
func readRanges(r *http.Request, size int64, tag string) ([]span, error) {
	header := r.Header.Get("Range")
	if header == "" {
		return nil, nil
	}
	list, ok := strings.CutPrefix(header, "bytes=")
	parts := strings.Split(list, ",")
	if !ok || len(parts) > maxRanges || !ifRange(r, tag) {
		r.Header.Del("Range")
		return nil, nil
	}
	var spans []span
	var satisfied []string
	for _, part := range parts {
		part = strings.Trim(part, " \t")
		s, valid := readRange(part, size)
		if !valid {
			return nil, oci.Errorf(oci.RangeInvalid, "the Range header is not valid")
		}
		if s.length > 0 {
			spans, satisfied = append(spans, s), append(satisfied, part)
		}
	}
	if len(satisfied) == 0 {
		return nil, oci.Errorf(oci.RangeInvalid, "the range is outside of the blob, which has %d bytes", size)
	}
	r.Header.Set("Range", "bytes="+strings.Join(satisfied, ","))
	return spans, nil
}

// ifRange reports whether the client wants its range of content with this tag,
// and not the whole (RFC 9110, section 13.1.5). Content has no date.
func ifRange(r *http.Request, tag string) bool {
	wanted := r.Header.Get("If-Range")
	return wanted == "" || strings.Trim(wanted, " \t") == tag
}

// oneRange is first-last, first- or -length (RFC 9110, section 14.1.2).
var oneRange = regexp.MustCompile(`^([0-9]*)-([0-9]*)$`)

// readRange says whether one part of a Range header is well formed, and which
// bytes of size bytes it is; of length 0 if it is none of them.
func readRange(s string, size int64) (part span, valid bool) {
	m := oneRange.FindStringSubmatch(s)
	if m == nil || m[1] == "" && m[2] == "" {
		return span{}, false
	}
	if m[1] == "" {
		n, err := strconv.ParseInt(m[2], 10, 64)
		n = min(n, size)
		return span{size - n, n}, err == nil
	}
	first, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return span{}, false
	}
	last := size - 1
	if m[2] != "" {
		n, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil || n < first {
			return span{}, false
		}
		last = min(last, n)
	}
	return span{first, max(0, last-first+1)}, true
}

// contentRange is how clients say which bytes of an upload a chunk is: first
// and last offset, without the words of RFC 9110 (distribution-spec, "Pushing a
// blob in chunks").
var contentRange = regexp.MustCompile(`^([0-9]+)-([0-9]+)$`)

// readContentRange returns the first offset and the length in bytes that a
// Content-Range header says; -1 and -1 if there is none.
// The error is of kind RangeInvalid.
func readContentRange(header string) (start, length int64, err error) {
	if header == "" {
		return -1, -1, nil
	}
	m := contentRange.FindStringSubmatch(header)
	if m == nil {
		return 0, 0, oci.Errorf(oci.RangeInvalid, "Content-Range is not of the form first-last")
	}
	start, err1 := strconv.ParseInt(m[1], 10, 63)
	last, err2 := strconv.ParseInt(m[2], 10, 63)
	if err1 != nil || err2 != nil || last < start {
		return 0, 0, oci.Errorf(oci.RangeInvalid, "Content-Range %s is not a range", header)
	}
	return start, last - start + 1, nil
}
