package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	godigest "github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/testscript"
)

var statusLine = regexp.MustCompile(`HTTP/1\.1 ([0-9]{3}) `)

// raw is the command of the scripts that says what no HTTP client says:
//
//	raw STATUS[,STATUS]... FILE...
//
// It sends the files, one after the other, to $ADDR, and prints what comes back
// until the server closes the connection; that it must do. It fails unless these
// are the answers, no more and no fewer. The line breaks of a file are not sent:
// \r, \n, \t, \x00 and the like in it are.
func raw(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: raw STATUS[,STATUS]... FILE...")
	}
	var bytes string
	for _, file := range args[1:] {
		text := strings.NewReplacer("\n", "", `"`, `\"`).Replace(ts.ReadFile(file))
		plain, err := strconv.Unquote(`"` + text + `"`)
		if err != nil {
			ts.Fatalf("%s: %v", file, err)
		}
		bytes += plain
	}
	answer, err := converse(ts.Getenv("ADDR"), bytes)
	if err != nil {
		ts.Fatalf("%v, after the answer:\n%s", err, answer)
	}
	var statuses []string
	for _, found := range statusLine.FindAllStringSubmatch(answer, -1) {
		statuses = append(statuses, found[1])
	}
	if got := strings.Join(statuses, ","); got != args[0] {
		ts.Fatalf("the answers are %s, want %s:\n%s", got, args[0], answer)
	}
	fmt.Fprint(ts.Stdout(), strings.ReplaceAll(answer, "\r\n", "\n"))
}

// converse sends bytes to addr and reads until the connection is closed.
func converse(addr, bytes string) (answer string, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // nothing is left to be said
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(bytes)); err != nil {
		return "", err
	}
	answer, err = readBody(conn)
	if errors.Is(err, syscall.ECONNRESET) {
		err = nil // closed, with something of ours unread
	}
	return answer, err
}

// keep sets a variable to what the group in a regular expression matches in the
// output of the last command:
//
//	keep NAME REGEXP
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep NAME REGEXP")
	}
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("no match for a group in %s:\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}

// same compares two files without what matches a regular expression, which must be
// something in both:
//
//	same FILE FILE REGEXP
func same(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: same FILE FILE REGEXP")
	}
	without := regexp.MustCompile("(?m)" + args[2])
	var left [2]string
	for i := range left {
		text := ts.ReadFile(args[i])
		if left[i] = without.ReplaceAllString(text, ""); left[i] == text {
			ts.Fatalf("%s has no match for %s:\n%s", args[i], args[2], text)
		}
	}
	if left[0] != left[1] {
		ts.Fatalf("%s and %s differ:\n%s\n%s", args[0], args[1], left[0], left[1])
	}
}

// digest sets $NAME to the SHA-256 digest of a file, and $NAME_SIZE to its length
// in bytes:
//
//	digest NAME FILE
func digest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: digest NAME FILE")
	}
	content := ts.ReadFile(args[1])
	ts.Setenv(args[0], godigest.FromString(content).String())
	ts.Setenv(args[0]+"_SIZE", strconv.Itoa(len(content)))
}

// expand replaces $NAME in files by the variables of the script:
//
//	expand FILE...
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), func(name string) string {
			value := ts.Getenv(name)
			if value == "" {
				ts.Fatalf("%s: there is no $%s", file, name)
			}
			return value
		})
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}
