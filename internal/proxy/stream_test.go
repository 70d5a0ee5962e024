package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// read reads n bytes, or fails.
func read(t testing.TB, r io.Reader, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Errorf("read: %v after %q", err, b)
	}
	return string(b)
}

// Each side sees the first part before the other sends the second.
func TestBodiesStreamToTheUpstream(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]int64{"with a length": 10, "in chunks": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := make(chan string, 1)
			g := newGateway(t, behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				first <- read(t, r.Body, 5)
				rest, err := io.ReadAll(r.Body)
				if err != nil || string(rest) != "later" || r.ContentLength != length {
					t.Errorf("the upstream got %q, %v, with length %d", rest, err, r.ContentLength)
				}
				w.WriteHeader(http.StatusCreated)
			})))
			body, client := io.Pipe()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/v2/shared/app/blobs/uploads/?digest="+digestOf("x"), body)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = length
			req.SetBasicAuth("alice", "pw")
			go func() {
				_, _ = io.WriteString(client, "first")
				if got := <-first; got != "first" {
					t.Errorf("the upstream got %q first", got)
				}
				_, _ = io.WriteString(client, "later")
				_ = client.Close()
			}()
			if a := g.send(t, req); a.status != http.StatusCreated {
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
}

func TestBodiesStreamToTheClient(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]string{"with a length": "10", "in chunks": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			goOn := make(chan struct{})
			g := newGateway(t, behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				_, _ = io.WriteString(w, "first")
				_ = http.NewResponseController(w).Flush()
				<-goOn
				_, _ = io.WriteString(w, "later")
			})))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/v2/shared/app/blobs/"+digestOf("x"), http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("alice", "pw")
			resp, err := g.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got := read(t, resp.Body, 5); got != "first" {
				t.Errorf("got %q first", got)
			}
			close(goOn)
			if got := read(t, resp.Body, 5); got != "later" {
				t.Errorf("got %q then", got)
			}
		})
	}
}

func TestLargeBodiesArriveWhole(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", newRegistry(t)))
	content := strings.Repeat("0123456789abcdef", 5<<16) // 5 MiB
	d := g.pushBlob(t, "alice", "shared/app", content)
	if a := g.want(t, http.StatusOK, "alice", "GET /v2/shared/app/blobs/"+d, ""); a.body != content {
		t.Errorf("%d bytes came back, want %d", len(a.body), len(content))
	}
}

// talk opens a connection, sends what is given, and returns it.
func (g *gateway) talk(t testing.TB, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// aliceIn is the Authorization line of alice.
const aliceIn = "Authorization: Basic YWxpY2U6cHc=\r\n"

// An upstream that answers before it has the whole body, refusing it: the client
// gets that answer, though it sends nothing more and still holds the connection.
func TestAnAnswerBeforeTheEndOfTheBodyReachesTheClient(t *testing.T) {
	t.Parallel()
	tooMuch := strings.Repeat("too much\n", 10_000) // it does not fit into a buffer
	for name, framing := range map[string]string{
		"with a length": "Content-Length: 1000000\r\n\r\nstart", "in chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, behind(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				read(t, r.Body, 5)
				w.Header().Set("Connection", "close")
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				_, _ = io.WriteString(w, tooMuch)
			})))
			_, answers := g.talk(t, "POST /v2/shared/app/blobs/uploads/?digest="+digestOf("x")+" HTTP/1.1\r\nHost: x\r\n"+aliceIn+framing)
			resp, err := http.ReadResponse(answers, &http.Request{Method: http.MethodPost})
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusRequestEntityTooLarge || string(body) != tooMuch || err != nil || !resp.Close {
				t.Errorf("the client got %d, %d bytes, %v, close %v", resp.StatusCode, len(body), err, resp.Close)
			}
		})
	}
}

// A client that goes away in the middle of its body: the upstream sees it broken
// off, not ended.
func TestABodyThatBreaksOffIsSeenToBreakOff(t *testing.T) {
	t.Parallel()
	for name, framing := range map[string]string{
		"with a length": "Content-Length: 1000000\r\n\r\nstart", "in chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun, ended := make(chan struct{}), make(chan error, 1)
			g := newGateway(t, behind(t, "", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				read(t, r.Body, 5)
				close(begun)
				_, err := io.ReadAll(r.Body)
				ended <- err
			})))
			conn, _ := g.talk(t, "POST /v2/shared/app/blobs/uploads/?digest="+digestOf("x")+" HTTP/1.1\r\nHost: x\r\n"+aliceIn+framing)
			<-begun
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err == nil {
				t.Error("to the upstream the body ended well")
			}
		})
	}
}

func TestExpectContinueWorksThroughTheGateway(t *testing.T) {
	t.Parallel()
	g := newGateway(t, behind(t, "", newRegistry(t)))
	conn, answers := g.talk(t, "POST /v2/shared/app/blobs/uploads/?digest="+digestOf("hello")+" HTTP/1.1\r\nHost: x\r\n"+aliceIn+
		"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	line, err := answers.ReadString('\n')
	if err != nil || !strings.Contains(line, "100") {
		t.Fatalf("got %q, %v", line, err)
	}
	if _, err := answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(answers, &http.Request{Method: http.MethodPost})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("status %d", resp.StatusCode)
	}
}
