package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// call is a request of a script.
type call struct {
	user, password string
	ca             string // content of the file of the authority to trust
	method, url    string
	status         int
}

// request is the command of the scripts that sends a request, as curl does:
//
//	request [-u USER:PASSWORD] [-ca FILE] METHOD URL STATUS
//
// It fails unless the answer has the status, and prints it as HTTP shows it.
// "! request ..." wants no answer at all.
func request(ts *testscript.TestScript, neg bool, args []string) {
	c := parseCall(ts, args)
	answer, status, err := c.send()
	switch {
	case err == nil && neg:
		ts.Fatalf("answered:\n%s", answer)
	case err != nil && !neg:
		ts.Fatalf("%v", err)
	case err != nil:
		fmt.Fprintln(ts.Stderr(), err)
	case status != c.status:
		ts.Fatalf("status %d, want %d:\n%s", status, c.status, answer)
	default:
		fmt.Fprint(ts.Stdout(), answer)
	}
}

func parseCall(ts *testscript.TestScript, args []string) call {
	var c call
	for len(args) > 3 {
		switch args[0] {
		case "-u":
			c.user, c.password, _ = strings.Cut(args[1], ":")
		case "-ca":
			c.ca = ts.ReadFile(args[1])
		default:
			ts.Fatalf("request: unknown flag %s", args[0])
		}
		args = args[2:]
	}
	if len(args) != 3 {
		ts.Fatalf("usage: request [-u USER:PASSWORD] [-ca FILE] METHOD URL STATUS")
	}
	c.method, c.url = args[0], args[1]
	var err error
	c.status, err = strconv.Atoi(args[2])
	ts.Check(err)
	return c
}

func (c call) send() (answer string, status int, err error) {
	transport := &http.Transport{ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	if c.ca != "" {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(c.ca))
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	r, err := http.NewRequest(c.method, c.url, http.NoBody)
	if err != nil {
		return "", 0, err
	}
	if c.user != "" {
		r.SetBasicAuth(c.user, c.password)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	body, err := readBody(resp.Body)
	if err != nil {
		return "", 0, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", resp.Proto, resp.Status)
	if err := resp.Header.Write(&b); err != nil {
		return "", 0, err
	}
	fmt.Fprintf(&b, "\n%s", body)
	return strings.ReplaceAll(b.String(), "\r\n", "\n"), resp.StatusCode, nil
}
