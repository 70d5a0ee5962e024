package distapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/oci"
)

// FuzzRange looks for Range headers that we let through and that
// http.ServeContent then refuses, in its own words instead of the
// specification's, or answers with something that is not in the content.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{
		"", "bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0", "bytes=-0,0-0", "bytes=9-,0-0", "bytes=0-1,2-3",
		"bytes= 1-2 ,\t3-", "bytes=\u00a00-1", "bytes=", "bytes=-", "bytes=--1", "bytes=+1-", "bytes=1-0", "bytes=0-0,",
		"items=0-0", "bytes=99999999999999999999-", "bytes=0-99999999999999999999", "Bytes=0-0", "bytes=0-0,0-0,0-0",
		"bytes=9223372036854775807-", "bytes=0-9223372036854775807", "bytes=-9223372036854775807", "bytes=1 - 2",
	} {
		f.Add(seed, uint16(10))
		f.Add(seed, uint16(0))
	}
	f.Fuzz(func(t *testing.T, header string, size uint16) {
		content := strings.Repeat("0123456789", int(size)/10+1)[:size]
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Range", header)
		spans, err := readRanges(r, int64(size), `"tag"`)
		if err != nil {
			if !errors.Is(err, oci.ErrRangeInvalid) {
				t.Fatalf("the error is %v", err)
			}
			return
		}
		w := httptest.NewRecorder()
		w.Header().Set("Etag", `"tag"`)
		if len(spans) < 2 {
			defer sameFromMemory(t, w, []byte(content), spans)
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
		got, err := io.ReadAll(w.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		switch w.Code {
		case http.StatusOK:
			if string(got) != content {
				t.Errorf("Range %q of %d bytes: 200 with %d bytes", header, size, len(got))
			}
		case http.StatusPartialContent:
			if len(got) == 0 || w.Header().Get("Content-Range") != "" && !strings.Contains(content, string(got)) {
				t.Errorf("Range %q of %d bytes: 206 with %q", header, size, got)
			}
			if bytes.Contains(got, []byte("bytes "+strconv.Itoa(int(size))+"-")) {
				t.Errorf("Range %q of %d bytes: a part begins behind the end: %q", header, size, got)
			}
		default:
			t.Errorf("Range %q of %d bytes: status %d", header, size, w.Code)
		}
	})
}

// sameFromMemory checks that content in memory is answered with as w was.
func sameFromMemory(t *testing.T, w *httptest.ResponseRecorder, content []byte, spans []span) {
	t.Helper()
	m := httptest.NewRecorder()
	serveBytes(m, content, spans)
	if m.Code != w.Code || m.Body.String() != w.Body.String() {
		t.Errorf("from memory: status %d and %q, want %d and %q", m.Code, m.Body, w.Code, w.Body)
	}
	for _, name := range []string{"Content-Range", "Content-Length", "Accept-Ranges"} {
		if got, want := m.Header().Get(name), w.Header().Get(name); got != want {
			t.Errorf("from memory: %s is %q, want %q", name, got, want)
		}
	}
}

// FuzzContentRange looks for headers that are read as something else than the
// bytes they name.
func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{
		"", "0-0", "0-9", "10-19", "5-4", "-1", "1-", "0--1", "+0-1", "bytes 0-9/10", "0-9/10", "00-09",
		"9223372036854775807-9223372036854775807", "4611686018427387903-4611686018427387903", "0-99999999999999999999",
		"0 - 1", "0-1\n", "٠-١",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		start, length, err := readContentRange(header)
		if err != nil {
			if !errors.Is(err, oci.ErrRangeInvalid) {
				t.Errorf("the error of %q is %v", header, err)
			}
			return
		}
		if header == "" {
			if start != -1 || length != -1 {
				t.Errorf("no header is read as %d bytes from %d", length, start)
			}
			return
		}
		if start < 0 || length < 1 || start+length < start {
			t.Fatalf("%q is read as %d bytes from %d", header, length, start)
		}
		first, last, _ := strings.Cut(header, "-")
		n, err1 := strconv.ParseInt(first, 10, 64)
		m, err2 := strconv.ParseInt(last, 10, 64)
		if err1 != nil || err2 != nil || n != start || m != start+length-1 {
			t.Errorf("%q is read as %d bytes from %d", header, length, start)
		}
	})
}

// FuzzEntityTags: a tag that is read stands in quotes in the header.
func FuzzEntityTags(f *testing.F) {
	for _, header := range []string{"*", `"a"`, `W/"a", "b"`, `"a`, ``, `,,"`, `W/`} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, strong := range []bool{true, false} {
			_, tags := entityTags([]string{header}, strong)
			for _, tag := range tags {
				if !strings.Contains(header, `"`+string(tag)+`"`) {
					t.Errorf("%q has no tag %q", header, tag)
				}
			}
		}
	})
}
