package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorgate/moorgate/internal/authn/program"
)

const (
	// maxNotes is how much of the standard error of a program is kept, in bytes.
	maxNotes = 8 << 10

	// closing is how long the output of a program that has ended may stay open.
	closing = time.Second
)

// runner runs a program for each question. It is a program.Asker.
type runner struct {
	command   []string
	env       []string
	directory string

	closed  chan struct{} // ends all programs
	mu      sync.Mutex    // of what follows
	ending  bool
	running sync.WaitGroup
}

// Ask runs the program with a question on its standard input. Whatever the program
// has started is ended with it.
func (r *runner) Ask(ctx context.Context, question []byte) (program.Reply, error) {
	if !r.enter() {
		return program.Reply{}, errClosed
	}
	defer r.running.Done()
	out, notes := newHead(program.MaxAnswer), &tail{most: maxNotes}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), r.command[0], r.command[1:]...) //nolint:gosec // to run what the operator names is the job
	cmd.Env, cmd.Dir = r.env, r.directory
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(question), out, notes
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = closing
	if err := cmd.Start(); err != nil {
		return program.Reply{}, r.explain(err)
	}
	why := r.await(ctx, cmd.Process.Pid, out.over)
	if err := cmd.Wait(); why == nil && err != nil {
		why = explainEnd(err)
	}
	if why != nil {
		return program.Reply{}, &program.Fault{What: why.Error(), Said: notes.String()}
	}
	return program.Reply{Answer: out.kept, Notes: notes.String()}, nil
}

// enter counts a program that is about to run, unless the source is closed.
func (r *runner) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ending {
		return false
	}
	r.running.Add(1)
	return true
}

// close ends all programs, and returns when they have ended.
func (r *runner) close() {
	r.mu.Lock()
	first := !r.ending
	r.ending = true
	r.mu.Unlock()
	if first {
		close(r.closed)
	}
	r.running.Wait()
}

// Why a program was ended.
var (
	errClosed = errors.New("the server stops")
	errEnded  = errors.New("it was still running, and was ended")
	errMore   = fmt.Errorf("its answer has more than %d bytes", program.MaxAnswer)
)

// await returns when the program has ended by itself, or was ended, which the
// error tells. Its process group is gone then, and its number still its own: it
// has not been waited for.
func (r *runner) await(ctx context.Context, pid int, over <-chan struct{}) (why error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		why = errEnded
	case <-r.closed:
		why = errClosed
	case <-over:
		why = errMore
	}
	_ = unix.Kill(-pid, unix.SIGKILL) // all may have ended already
	<-ended
	return why
}

// explain says why a program could not be started.
func (r *runner) explain(err error) error {
	name := r.command[0]
	switch {
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("%s cannot be run here: a script begins with a line such as #!/bin/sh, and a program is made for this kind of machine", name)
	case errors.Is(err, unix.ETXTBSY):
		return fmt.Errorf("%s is being written: rename a new one over it instead", name)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the user of this server may not run %s: chmod a+x it, and look whether its file system is mounted noexec", name)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s, or the interpreter that its first line names, is not there", name)
	default:
		return fmt.Errorf("cannot run the program: %w", err)
	}
}

// explainEnd says how a program has ended that did not end well.
func explainEnd(err error) error {
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return fmt.Errorf("it has ended with %s: whatever it has to say, it ends with 0", exit.ProcessState)
	case errors.Is(err, exec.ErrWaitDelay):
		return errors.New("it has left a process behind that keeps its output open: send the output of that one elsewhere")
	case errors.Is(err, errOver):
		return errMore
	default:
		return fmt.Errorf("it has ended: %w", err)
	}
}
