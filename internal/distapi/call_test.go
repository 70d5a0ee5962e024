package distapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// call is one request and what must come back. Headers are lines, "Name: value".
type call struct {
	name   string
	as     string // who is signed in; alice if "", nobody for "nobody"
	do     string // method and URL: "GET /v2/"
	header []string
	body   string

	status int
	code   string   // of the first error; must be given with each error that has a body
	want   []string // headers of the answer; "Name:" must not be there; "…*" is a prefix
	text   string   // the body, if not ""
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// run makes the request and checks the answer: against what is wanted, and
// against what holds for every answer.
func (c call) run(t testing.TB, s *server) answer {
	t.Helper()
	method, url, _ := strings.Cut(c.do, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+url, strings.NewReader(c.body))
	if err != nil {
		t.Fatalf("%s: %v", c.do, err)
	}
	c.sign(req)
	for _, line := range c.header {
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case name == "Content-Length" && value == "?": // sent in chunks
			req.ContentLength, req.Body = -1, io.NopCloser(strings.NewReader(c.body))
		default:
			req.Header.Add(name, value)
		}
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatalf("%s: %v", c.do, err)
	}
	a := readAnswer(t, resp)
	c.check(t, method, a)
	return a
}

func (c call) sign(req *http.Request) {
	switch c.as {
	case "nobody":
	case "mallory":
		req.SetBasicAuth("mallory", "evil")
	default:
		req.SetBasicAuth("alice", "wonderland")
	}
}

func readAnswer(t testing.TB, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
}

func (c call) check(t testing.TB, method string, a answer) {
	t.Helper()
	if a.status != c.status {
		t.Errorf("%s: status %d, want %d; body %.300s", c.do, a.status, c.status, a.body)
	}
	for _, line := range c.want {
		checkHeader(t, c.do, a.header, line)
	}
	if c.text != "" && a.body != c.text {
		t.Errorf("%s: body is %.300q, want %.300q", c.do, a.body, c.text)
	}
	checkAnswer(t, c.do, a)
	if a.status < http.StatusBadRequest || method == http.MethodHead {
		return
	}
	if code := errorCode(t, c.do, a); code != c.code {
		t.Errorf("%s: error code %q, want %q; body %s", c.do, code, c.code, a.body)
	}
}

// checkAnswer checks what every answer must have.
func checkAnswer(t testing.TB, what string, a answer) {
	t.Helper()
	checkHeader(t, what, a.header, "Docker-Distribution-Api-Version: registry/2.0")
	if loc := a.header.Get("Location"); loc != "" && !strings.HasPrefix(loc, "/v2/") {
		t.Errorf("%s: Location %q is not a path below /v2/", what, loc)
	}
	for status, name := range map[int]string{
		http.StatusUnauthorized: "WWW-Authenticate", http.StatusMethodNotAllowed: "Allow",
		http.StatusTooManyRequests: "Retry-After", http.StatusRequestedRangeNotSatisfiable: "",
	} {
		if a.status == status && name != "" && a.header.Get(name) == "" {
			t.Errorf("%s: status %d comes without %s", what, status, name)
		}
	}
	if a.status >= http.StatusInternalServerError {
		t.Errorf("%s: status %d: %s", what, a.status, a.body)
	}
}

// errorCode returns the code of the first error of a body, which must have the
// form that the specification asks for ("Error Codes").
func errorCode(t testing.TB, what string, a answer) string {
	t.Helper()
	var body struct {
		Errors []struct{ Code, Message string }
	}
	checkHeader(t, what, a.header, "Content-Type: application/json; charset=utf-8")
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || len(body.Errors) == 0 {
		t.Errorf("%s: the body %.300q of the error has not the form of the specification: %v", what, a.body, err)
		return ""
	}
	if body.Errors[0].Message == "" {
		t.Errorf("%s: the error has no message", what)
	}
	return body.Errors[0].Code
}

// checkHeader checks one line of call.want.
func checkHeader(t testing.TB, what string, h http.Header, line string) {
	t.Helper()
	name, want, _ := strings.Cut(line, ":")
	want = strings.TrimSpace(want)
	got := strings.Join(h.Values(name), ", ")
	prefix, open := strings.CutSuffix(want, "*")
	if got == want || open && strings.HasPrefix(got, prefix) && len(got) > len(prefix) {
		return
	}
	t.Errorf("%s: header %s is %q, want %q", what, name, got, want)
}

// runAll runs each call as a subtest, in order.
func runAll(t *testing.T, s *server, calls []call) {
	t.Helper()
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
}

// talk sends bytes as they are, does then what the client does, and reads one
// answer.
func (s *server) talk(t testing.TB, method, request string, then func(*net.TCPConn) error) answer {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing is lost
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if err := then(conn.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer to %.100q: %v", request, err)
	}
	return readAnswer(t, resp)
}

// signedIn is the Authorization line of alice.
const signedIn = "Authorization: Basic YWxpY2U6d29uZGVybGFuZA==\r\n"

// rawCall is a call whose request line and body are sent as they are; of the
// body it says that it has length bytes.
func (c call) rawCall(t testing.TB, s *server, length int) answer {
	t.Helper()
	var request strings.Builder
	fmt.Fprintf(&request, "%s HTTP/1.1\r\nHost: registry\r\n%s", c.do, signedIn)
	for _, line := range c.header {
		fmt.Fprintf(&request, "%s\r\n", line)
	}
	if length >= 0 {
		fmt.Fprintf(&request, "Content-Length: %d\r\n", length)
	}
	request.WriteString("\r\n" + c.body)
	method, _, _ := strings.Cut(c.do, " ")
	then := (*net.TCPConn).CloseWrite
	if length <= len(c.body) && !strings.Contains(request.String(), "chunked") {
		// The request is complete: to net/http the end of the connection would now
		// mean that nobody waits for the answer.
		then = func(*net.TCPConn) error { return nil }
	}
	a := s.talk(t, method, request.String(), then)
	c.check(t, method, a)
	return a
}
