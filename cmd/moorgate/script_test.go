package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moorgate/moorgate/internal/credhelper"
	"github.com/moorgate/moorgate/internal/testserver"
)

func TestMain(m *testing.M) {
	testscript.Main(discreet{m}, map[string]func(){
		"moorgate":      func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
		credhelper.Name: func() { os.Exit(runHelper(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// discreet looks, after all tests, for secrets in what the servers have printed.
type discreet struct{ m *testing.M }

func (d discreet) Run() int { return testserver.Main(d.m) }

// TestScripts runs testdata/script/*.txtar. Besides the commands of testscript
// and moorgate itself they have:
//
//	start NAME [COMMAND] ARG...
//	                    moorgate COMMAND ARG... in the background, until it
//	                    listens; without a command, serve. It writes to NAME.out
//	                    and NAME.err. Sets $URL and $ADDR, and $PASSWORD if one
//	                    is shown.
//	stop NAME           SIGTERM, and wait until it has ended well
//	signal NAME HUP     a signal
//	await FILE REGEXP   until a line of the file matches
//	mode FILE 0600      the permissions of a file
//	lines N FILE        how many lines a file has
//	request, raw        see the functions of these names; so also with keep,
//	                    same, digest, expand, forge, claims and pem
func TestScripts(t *testing.T) {
	t.Parallel()
	p := scripts("serve")
	p.Dir = filepath.Join("testdata", "script")
	testscript.Run(t, p)
}

// TestScriptsAtTheGateway runs the attacks once more, on "moorgate proxy" in front
// of a registry that does whatever it is told.
func TestScriptsAtTheGateway(t *testing.T) {
	t.Parallel()
	p := scripts("proxy")
	var err error
	p.Files, err = filepath.Glob(filepath.Join("testdata", "script", "mallory_*.txtar"))
	if err != nil || len(p.Files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	testscript.Run(t, p)
}

// scripts is how scripts run. The role is serve or proxy: a line of a script that
// begins with [serve] or [proxy] is for that role alone.
func scripts(role string) testscript.Params {
	return testscript.Params{
		Setup: func(env *testscript.Env) error {
			running := servers{}
			env.Values[serversKey{}] = running
			env.Defer(running.kill)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "serve" && name != "proxy" {
				return false, fmt.Errorf("no role has the name %q", name)
			}
			return name == role, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": start, "stop": stop, "signal": signalServer, "await": await, "mode": mode, "lines": lines,
			"request": request, "raw": raw, "keep": keep, "same": same, "digest": digest, "expand": expand,
			"forge": forge, "claims": showClaims, "pem": publicPEM,
		},
	}
}

// patience bounds the wait for anything that has to happen soon.
const patience = time.Minute

// eventually waits until ok, and reports whether that came.
func eventually(ok func() bool) bool {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-timeout.C:
			return false
		case <-tick.C:
		}
	}
	return true
}

// server is a server of a script.
type server struct {
	cmd  *exec.Cmd
	out  []string      // files that it writes to
	done chan struct{} // closed when it has ended
	err  error         // read after done
}

func (s *server) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

type (
	servers    map[string]*server
	serversKey struct{}
)

// kill ends what a script that failed has left, and keeps what all have printed.
func (all servers) kill() {
	for _, s := range all {
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.done
		for _, file := range s.out {
			text, _ := os.ReadFile(file) // a script may have removed it
			testserver.Printed(text)
		}
	}
}

func find(ts *testscript.TestScript, name string) *server {
	s := ts.Value(serversKey{}).(servers)[name]
	if s == nil {
		ts.Fatalf("no server %q was started", name)
	}
	return s
}

var (
	listening = regexp.MustCompile(`listening.*?url"?[=:]"?(https?://([^\s"]+))`)
	password  = regexp.MustCompile(`(?m)^ +password: (\S+)$`)
)

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start NAME [COMMAND] ARG...")
	}
	stdout, stderr := ts.MkAbs(args[0]+".out"), ts.MkAbs(args[0]+".err")
	s := launch(ts, stdout, stderr, args[1:])
	ts.Value(serversKey{}).(servers)[args[0]] = s
	var found []string
	eventually(func() bool {
		found = listening.FindStringSubmatch(ts.ReadFile(stderr))
		return found != nil || s.ended()
	})
	if found == nil {
		ts.Fatalf("it does not listen:\n%s", ts.ReadFile(stderr))
	}
	ts.Setenv("URL", found[1])
	ts.Setenv("ADDR", found[2])
	if m := password.FindStringSubmatch(ts.ReadFile(stdout)); m != nil {
		ts.Setenv("PASSWORD", m[1])
		testserver.Secret(m[1])
	}
}

func launch(ts *testscript.TestScript, stdout, stderr string, args []string) *server {
	out, err := os.Create(stdout)
	ts.Check(err)
	defer out.Close() //nolint:errcheck // the process has its own
	errOut, err := os.Create(stderr)
	ts.Check(err)
	defer errOut.Close() //nolint:errcheck // the process has its own
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		args = append([]string{"serve"}, args...)
	}
	cmd := exec.Command("moorgate", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), out, errOut
	cmd.Env = os.Environ()
	for _, name := range []string{"MOORGATE_LISTEN", "MOORGATE_DATA"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(cmd.Start())
	s := &server{cmd: cmd, out: []string{stdout, stderr}, done: make(chan struct{})}
	go func() {
		s.err = cmd.Wait()
		close(s.done)
	}()
	return s
}

func stop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stop NAME")
	}
	s := find(ts, args[0])
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		ts.Fatalf("%v", err)
	}
	if !eventually(s.ended) {
		ts.Fatalf("still running after SIGTERM")
	}
	if s.err != nil {
		ts.Fatalf("ended with %v:\n%s", s.err, ts.ReadFile(ts.MkAbs(args[0]+".err")))
	}
}

func signalServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || args[1] != "HUP" {
		ts.Fatalf("usage: signal NAME HUP")
	}
	ts.Check(find(ts, args[0]).cmd.Process.Signal(syscall.SIGHUP))
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	want := regexp.MustCompile("(?m)" + args[1])
	if !eventually(func() bool { return want.MatchString(ts.ReadFile(args[0])) }) {
		ts.Fatalf("no match for %s in %s:\n%s", args[1], args[0], ts.ReadFile(args[0]))
	}
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE 0600")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

func lines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines N FILE")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := strings.Count(ts.ReadFile(args[1]), "\n"); got != want {
		ts.Fatalf("%s has %d lines, want %d:\n%s", args[1], got, want, ts.ReadFile(args[1]))
	}
}
