package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moorgate/moorgate/internal/testserver"
)

// call is a request of a script.
type call struct {
	header      http.Header // names as they are given, not made canonical
	body        string
	from        string // address to come from; "" for any
	ca          string // content of the file of the authority to trust
	method, url string
	status      int
	code        string // of the first error; "" for any
}

const requestUsage = "usage: request [-u USER:PASSWORD] [-t TOKEN] [-H 'NAME: VALUE']... [-d FILE] [-from ADDRESS] [-ca FILE] METHOD URL STATUS [CODE]"

// request is the command of the scripts that sends a request, as curl does:
//
//	request [FLAG VALUE]... METHOD URL STATUS [CODE]
//
//	-u USER:PASSWORD    sign in by Basic
//	-t TOKEN            sign in by Bearer
//	-H 'NAME: VALUE'    a header, spelled as given; as often as needed
//	-d FILE             the body
//	-from ADDRESS       connect from this address of this machine
//	-ca FILE            trust this authority
//
// It fails unless the answer has the status, and the error code if one is given,
// and prints it as HTTP shows it. "! request ..." wants no answer at all.
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
	case c.code != "" && !strings.Contains(answer, `{"errors":[{"code":"`+c.code+`"`):
		ts.Fatalf("the error code is not %s:\n%s", c.code, answer)
	default:
		fmt.Fprint(ts.Stdout(), answer)
	}
}

func parseCall(ts *testscript.TestScript, args []string) call {
	c := call{header: http.Header{}}
	for len(args) > 2 && strings.HasPrefix(args[0], "-") {
		c.flag(ts, args[0], args[1])
		args = args[2:]
	}
	if len(args) != 3 && len(args) != 4 {
		ts.Fatalf(requestUsage)
	}
	c.method, c.url = args[0], args[1]
	var err error
	c.status, err = strconv.Atoi(args[2])
	ts.Check(err)
	if len(args) == 4 {
		c.code = args[3]
	}
	return c
}

func (c *call) flag(ts *testscript.TestScript, name, value string) {
	switch name {
	case "-u":
		_, password, _ := strings.Cut(value, ":")
		testserver.Secret(password)
		c.header.Add("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(value)))
	case "-t":
		testserver.Secret(value)
		c.header.Add("Authorization", "Bearer "+value)
	case "-H":
		name, value, ok := strings.Cut(value, ": ")
		if !ok {
			ts.Fatalf("request: -H wants 'NAME: VALUE', not %q", name)
		}
		c.header[name] = append(c.header[name], value)
	case "-d":
		c.body = ts.ReadFile(value)
	case "-from":
		c.from = value
	case "-ca":
		c.ca = ts.ReadFile(value)
	default:
		ts.Fatalf("request: unknown flag %s; %s", name, requestUsage)
	}
}

func (c call) send() (answer string, status int, err error) {
	transport := c.transport()
	defer transport.CloseIdleConnections()
	r, err := http.NewRequest(c.method, c.url, strings.NewReader(c.body))
	if err != nil {
		return "", 0, err
	}
	r.Header = c.header
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

func (c call) transport() *http.Transport {
	transport := &http.Transport{ForceAttemptHTTP2: true}
	if c.ca != "" {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(c.ca))
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	if c.from != "" {
		local := &net.TCPAddr{IP: net.ParseIP(c.from)}
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: local}).DialContext(ctx, network, addr)
		}
	}
	return transport
}

// readBody returns the body of an answer as it is shown to a script.
func readBody(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	return string(b), err
}
