package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/program"
)

// alive reports whether a process runs. One that has ended and was not waited for
// by its parent, which is not us, does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// pidsIn waits for a file with process numbers, and returns them.
func pidsIn(t *testing.T, file string, want int) (pids []int) {
	t.Helper()
	eventually(t, "a program to run", func() bool {
		text, err := os.ReadFile(file)
		pids = nil
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		return err == nil && len(pids) >= want && strings.HasSuffix(string(text), "\n")
	})
	return pids
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func wantGone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		eventually(t, "a process to be gone", func() bool { return !alive(pid) })
	}
}

// A program that does not end is ended, and all that it has started: whatever it
// does about signals, and whoever holds its output.
func TestProgramsThatDoNotEnd(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]string{
		"sleeps":              `echo $$ > "$1"; sleep 600`,
		"ignores signals":     `trap '' TERM INT HUP; echo $$ > "$1"; while :; do sleep 600; done`,
		"has children":        `sleep 600 & a=$!; sh -c 'sleep 600 & echo $! > "$0"; wait' "$1.c" & while [ ! -s "$1.c" ]; do sleep 0.01; done; echo $$ $a $! $(cat "$1.c") > "$1"; wait`,
		"has begun an answer": `echo $$ > "$1"; printf '{"result":"ok","user":"alice"'; sleep 600`,
		"answers and stays":   `echo $$ > "$1"; echo '{"result":"ok","user":"alice"}'; exec >&- 2>&-; sleep 600`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pids")
			s, _ := openCommand(t, append(shell(t, lines), file)...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := s.VerifyPassword(ctx, "alice", "secret")
				ended <- err
			}()
			pids := pidsIn(t, file, 1)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			wantGone(t, pids)
		})
	}
}

// Time is up whatever a program does with it.
func TestTimeout(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]string{
		"sleeps":              `echo no answer from the database >&2; trap '' TERM; sleep 600`,
		"drips":               `echo no answer from the database >&2; while :; do printf ' '; sleep 0.01; done`,
		"has begun an answer": `echo no answer from the database >&2; printf '{"result":"ok","user":"alice"'; sleep 600`,
		"answers and stays":   `echo no answer from the database >&2; echo '{"result":"ok","user":"alice"}'; sleep 600`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := openConfig(t, func(c *Config) { c.Command, c.Timeout = shell(t, lines), 2*time.Second })
			who, err := s.VerifyPassword(t.Context(), "alice", "secret")
			if err == nil || isAnswer(err) || who.User != "" || !strings.Contains(err.Error(), "has not answered within 2s (timeout)") {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
}

// When the request is over, or the server stops, so is the program.
func TestProgramsEndWithWhoeverAsked(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(cancel func(), s *Source){
		"the request": func(cancel func(), _ *Source) { cancel() },
		"the server":  func(_ func(), s *Source) { _ = s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pids")
			s, _ := openCommand(t, append(shell(t, `sleep 600 & echo $$ $! > "$1"; wait`), file)...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := s.VerifyPassword(ctx, "alice", "secret")
				ended <- err
			}()
			pids := pidsIn(t, file, 2)
			end(cancel, s)
			if err := <-ended; err == nil || errors.Is(err, authn.ErrNoMatch) {
				t.Errorf("error %v", err)
			}
			wantGone(t, pids)
		})
	}
	s, _ := openCommand(t, "/bin/true")
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if _, err := s.VerifyPassword(t.Context(), "alice", "secret"); err == nil || !strings.Contains(err.Error(), "the server stops") {
		t.Errorf("after the end: %v", err)
	}
}

// What a program leaves behind when it ends is ended too. What has left its process
// group, and keeps its output open, cannot be found: it is no answer then, and
// nobody waits for it.
func TestProgramsThatLeaveOthersBehind(t *testing.T) {
	t.Parallel()
	const answer = `echo '{"result":"ok","user":"alice"}'`
	file := filepath.Join(t.TempDir(), "pids")
	s, _ := openCommand(t, append(shell(t, `sleep 600 & echo $! > "$1"; `+answer), file)...)
	if who, err := s.VerifyPassword(t.Context(), "alice", "secret"); err != nil || who.User != "alice" {
		t.Errorf("%+v, %v", who, err)
	}
	wantGone(t, pidsIn(t, file, 1))

	away := filepath.Join(t.TempDir(), "pids")
	s, _ = openCommand(t, append(shell(t, `setsid sh -c 'echo $$ > "$0"; exec sleep 600' "$1" & while [ ! -s "$1" ]; do sleep 0.01; done; `+answer), away)...)
	if who, err := s.VerifyPassword(t.Context(), "alice", "secret"); err == nil || who.User != "" || !strings.Contains(err.Error(), "left a process behind") {
		t.Errorf("%+v, %v", who, err)
	}
	for _, pid := range pidsIn(t, away, 1) {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}

// Output without end ends the program, and not us.
func TestEndlessOutput(t *testing.T) {
	t.Parallel()
	s, _ := openCommand(t, shell(t, "exec yes '{}'")...)
	if _, err := s.VerifyPassword(t.Context(), "alice", "secret"); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("error %v", err)
	}
	s, log := openCommand(t, shell(t, `read -r q; yes "$q" | head -c 10000000 >&2; printf '%s' "$q" | tail -c 20 >&2; echo '{"result":"wrong"}'`)...)
	if _, err := s.VerifyPassword(t.Context(), "alice", "open sesame"); !errors.Is(err, authn.ErrWrongPassword) {
		t.Errorf("error %v", err)
	}
	if got := log.String(); len(got) > 4<<10 || strings.Contains(got, "open sesame") {
		t.Errorf("the log has %d bytes: %.200s", len(got), got)
	}
}

// Half a line at the beginning of what is kept could be half a password.
func TestTailKeepsWholeLines(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3, 7, 100} {
		out := &tail{most: 16}
		text := "the password is secret\none\ntwo\n"
		for i := 0; i < len(text); i += size {
			if _, err := out.Write([]byte(text[i:min(len(text), i+size)])); err != nil {
				t.Fatal(err)
			}
		}
		if got := out.String(); got != "one\ntwo\n" || len(out.kept) > 16 {
			t.Errorf("in pieces of %d: %q", size, got)
		}
	}
	out := &tail{most: 16}
	_, _ = out.Write([]byte("exactly 16 bytes"))
	if got := out.String(); got != "exactly 16 bytes" {
		t.Errorf("%q", got)
	}
	_, _ = out.Write([]byte("!"))
	if got := out.String(); got != "" {
		t.Errorf("half a line is %q", got)
	}
}

// A password is nowhere where other users of the machine see it, and what is in it
// is not understood by anybody on the way.
func TestPasswordIsOnlyOnStandardInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lines := `tr '\0' '\n' < /proc/$$/cmdline > "$1/seen"; tr '\0' '\n' < /proc/$$/environ >> "$1/seen"; cat > "$1/question"; echo '{"result":"wrong"}'`
	s, _ := openCommand(t, append(shell(t, lines), dir)...)
	for _, password := range []string{`'; touch /tmp/x; echo '`, "$(id)`id`", `"}{"result":"ok"`, `%s%n\n`, "-rf", "ü☃😀\u2028"} {
		if _, err := s.VerifyPassword(t.Context(), `-'"$(id)`, password); !errors.Is(err, authn.ErrWrongPassword) {
			t.Errorf("%q: error %v", password, err)
		}
		seen, err := os.ReadFile(filepath.Join(dir, "seen"))
		if err != nil || strings.Contains(string(seen), password) {
			t.Errorf("%q: %v, seen by others: %s", password, err, seen)
		}
	}
}

// Many logins at once are a few processes: the others wait, or are told to come
// again.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const running, all = 2, 500
	// Each has a file while it runs, and counts those that are there.
	lines := `: > "$1/run.$$"; set -- "$1" "$1"/run.*; [ $# -le 3 ] || echo $# >> "$1/over"; rm "$1/run.$$"; echo x >> "$1/ran"; echo '{"result":"wrong"}'`
	s, _ := openConfig(t, func(c *Config) {
		c.Command, c.MaxRunning, c.Timeout = append(shell(t, lines), dir), running, time.Minute
	})
	errs := make(chan error, all)
	for range all {
		go func() {
			_, err := s.VerifyPassword(t.Context(), "alice", "secret")
			errs <- err
		}()
	}
	asked, busy := 0, 0
	for range all {
		switch err := <-errs; {
		case errors.Is(err, authn.ErrBusy):
			busy++
		case errors.Is(err, authn.ErrWrongPassword):
			asked++
		default:
			t.Errorf("error %v", err)
		}
	}
	ran, err := os.ReadFile(filepath.Join(dir, "ran"))
	if err != nil || len(ran) != 2*asked || asked < running || busy == 0 {
		t.Errorf("%d were asked about, %d sent away, and %d programs ran: %v", asked, busy, len(ran)/2, err)
	}
	if over, err := os.ReadFile(filepath.Join(dir, "over")); err == nil {
		t.Errorf("more than %d ran at once: %s", running, over)
	}
}

// A huge question reaches a program that does not read it, too.
func TestProgramThatDoesNotRead(t *testing.T) {
	t.Parallel()
	s, _ := openCommand(t, shell(t, `exec <&-; echo '{"result":"wrong"}'`)...)
	r := s.runner
	reply, err := r.Ask(t.Context(), make([]byte, 1<<20))
	if err != nil || string(reply.Answer) != "{\"result\":\"wrong\"}\n" {
		t.Errorf("%q, %v", reply.Answer, err)
	}
	var fault *program.Fault
	if _, err := openRunner("/no/such/program").Ask(t.Context(), nil); err == nil || errors.As(err, &fault) {
		t.Errorf("error %v", err)
	}
}

func openRunner(command ...string) *runner {
	return &runner{command: command, directory: "/", closed: make(chan struct{})}
}
