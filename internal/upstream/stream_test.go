package upstream

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

func TestBodiesStreamBothWays(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		// Each line is answered before the next one is read.
		for in := bufio.NewScanner(r.Body); in.Scan(); {
			_, _ = io.WriteString(w, strings.ToUpper(in.Text())+"\n")
			_ = http.NewResponseController(w).Flush()
		}
	})
	u := start(t, Config{URL: s.URL})
	body, client := io.Pipe()
	r := request(t, http.MethodPatch, "/v2/x/blobs/uploads/1", body)
	go func() { _, _ = io.WriteString(client, "one\n") }()
	resp, err := u.Do(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out := bufio.NewReader(resp.Body)
	for _, next := range []string{"two\n", "three\n", ""} {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("answered %q", line)
		if next == "" {
			_ = client.Close()
			break
		}
		if _, err := io.WriteString(client, next); err != nil {
			t.Fatal(err)
		}
	}
	if rest, err := io.ReadAll(out); err != nil || len(rest) != 0 {
		t.Errorf("at the end %q, %v", rest, err)
	}
}

func TestFramingStaysAsItIs(t *testing.T) {
	t.Parallel()
	var length int64
	var coding []string
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		length, coding = r.ContentLength, r.TransferEncoding
		_, _ = io.Copy(io.Discard, r.Body)
	})
	u := start(t, Config{URL: s.URL})
	bare := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) }
	for name, c := range map[string]struct {
		method  string
		body    io.Reader
		length  int64
		want    int64
		chunked bool
	}{
		"length":            {http.MethodPut, bare("1234"), 4, 4, false},
		"chunked":           {http.MethodPatch, bare("1234"), -1, -1, true},
		"empty chunked":     {http.MethodPut, bare(""), -1, -1, true},
		"wrapped, length 0": {http.MethodPost, bare(""), 0, 0, false},
		"none":              {http.MethodPost, nil, 0, 0, false},
		"delete":            {http.MethodDelete, nil, 0, 0, false},
	} {
		r := request(t, c.method, "/v2/x", c.body)
		r.ContentLength, r.RequestURI = c.length, "/v2/x"
		if c.chunked {
			r.TransferEncoding = []string{"chunked"}
		}
		do(t, u, r, nil)
		if length != c.want || (len(coding) == 1) != c.chunked {
			t.Errorf("%s: upstream saw length %d, coding %v", name, length, coding)
		}
	}
}

// endless is n bytes that cost nothing to make.
func endless(n int64, block []byte) io.Reader {
	body, w := io.Pipe()
	go func() {
		for n > 0 {
			m, err := w.Write(block[:min(n, int64(len(block)))])
			if n -= int64(m); err != nil {
				return
			}
		}
		_ = w.Close()
	}()
	return body
}

func TestAGibibyteNeedsNoMemory(t *testing.T) {
	if testing.Short() {
		t.Fatal("this test has no short form")
	}
	const size = 1 << 30
	block := bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16)
	var received int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		received, _ = io.Copy(io.Discard, r.Body)
		for range size / len(block) {
			_, _ = w.Write(block)
		}
	})
	u := start(t, Config{URL: s.URL})
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := u.Do(request(t, http.MethodPut, "/v2/x", endless(size, block)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sent, err := io.Copy(io.Discard, resp.Body)
	if err != nil || sent != size || received != size {
		t.Errorf("%d bytes up, %d down, %v", received, sent, err)
	}
	runtime.ReadMemStats(&after)
	// All that was ever allocated, not only what is left.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

func TestBytesArriveUnchanged(t *testing.T) {
	t.Parallel()
	content := make([]byte, 3<<20+17)
	_, _ = rand.Read(content)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // or the server drops what it has not read
		_, _ = io.Copy(w, r.Body)
	})
	u := start(t, Config{URL: s.URL})
	for _, length := range []int64{int64(len(content)), -1} {
		r := request(t, http.MethodPut, "/v2/x", io.MultiReader(bytes.NewReader(content)))
		r.ContentLength = length
		_, got := do(t, u, r, nil)
		if sha256.Sum256([]byte(got)) != sha256.Sum256(content) {
			t.Errorf("length %d: other bytes came back", length)
		}
	}
}
