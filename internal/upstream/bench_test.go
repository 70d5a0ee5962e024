package upstream

import (
	"io"
	"net/http"
	"testing"
)

// BenchmarkDo shows what Do costs above the bare transport.
func BenchmarkDo(b *testing.B) {
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1024)) }
	open := start(b, Config{URL: serve(b, answer).URL})
	basic := start(b, Config{URL: serve(b, basicRegistry(nil)).URL, Username: "gate", Password: hidden})
	token := newBearer(b, nil)
	bearer := start(b, token.config())
	run := func(name string, send func(*http.Request) (*http.Response, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := request(b, http.MethodGet, "/v2/team/app/manifests/latest", nil)
			for b.Loop() {
				resp, err := send(r)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	run("bare", func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Host = open.at.host
		return open.sender.registry.RoundTrip(r)
	})
	run("open", func(r *http.Request) (*http.Response, error) { return open.Do(r, pullApp) })
	run("basic", func(r *http.Request) (*http.Response, error) { return basic.Do(r, pullApp) })
	run("bearer", func(r *http.Request) (*http.Response, error) { return bearer.Do(r, pullApp) })
}

// BenchmarkPass is Do without the network.
func BenchmarkPass(b *testing.B) {
	u := start(b, newBearer(b, nil).config())
	r := request(b, http.MethodGet, "/v2/team/app/manifests/latest", nil)
	b.ReportAllocs()
	for b.Loop() {
		p, err := u.login.pass(b.Context(), pullApp)
		if err != nil {
			b.Fatal(err)
		}
		u.outgoing(r, bodyOf(r), p.values())
	}
}

// BenchmarkUpload is a body of 64 MiB.
func BenchmarkUpload(b *testing.B) {
	const size = 64 << 20
	s := serve(b, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	u := start(b, Config{URL: s.URL})
	b.SetBytes(size)
	b.ReportAllocs()
	block := make([]byte, 256<<10)
	for b.Loop() {
		r := request(b, http.MethodPut, "/v2/x", endless(size, block))
		r.ContentLength = size
		do(b, u, r, nil)
	}
}
