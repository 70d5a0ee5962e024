package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// Bounds of starting and stopping.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
)

// process is a program that runs until stop, with its children.
type process struct {
	dir  string // where it runs
	env  []string
	path string
	args []string
	addr string // where it listens; "" if it chooses one, and prints it

	cmd   *exec.Cmd
	ended chan struct{}
}

func (p *process) log() string { return filepath.Join(p.dir, "log") }

// start runs the program, again if it has run before, and returns where it
// listens. It dies with us, however we end.
func (p *process) start() (string, error) {
	if err := os.MkdirAll(p.dir, 0o755); err != nil { //nolint:gosec // nginx reads it as another user
		return "", err
	}
	log, err := os.Create(p.log())
	if err != nil {
		return "", err
	}
	defer func() { _ = log.Close() }()                                   // the program has its own
	p.cmd = exec.CommandContext(context.Background(), p.path, p.args...) //nolint:gosec // what the list of servers names
	p.cmd.Dir, p.cmd.Env = p.dir, append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return "", fmt.Errorf("start %s: %w", p.path, err)
	}
	ended, cmd := make(chan struct{}), p.cmd
	p.ended = ended
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	return p.await()
}

// stop ends the program.
func (p *process) stop() {
	if p.ended == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// await returns where the program listens, as soon as it does.
func (p *process) await() (string, error) {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		select {
		case <-p.ended:
			return "", fmt.Errorf("%s has ended:\n%s", filepath.Base(p.path), p.said())
		case <-time.After(time.Millisecond):
		}
		if addr := p.listens(); addr != "" {
			return addr, nil
		}
	}
	return "", fmt.Errorf("%s does not listen:\n%s", filepath.Base(p.path), p.said())
}

// listening is what our programs print.
var listening = regexp.MustCompile(`msg=listening .*?url=https?://(\S+)`)

// listens returns where the program listens by now, or "".
func (p *process) listens() string {
	if p.addr == "" {
		text, err := os.ReadFile(p.log())
		if m := listening.FindSubmatch(text); err == nil && m != nil {
			return string(m[1])
		}
		return ""
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", p.addr)
	if err != nil {
		return ""
	}
	_ = conn.Close()
	return p.addr
}

// freeAddr returns an address of the loopback that nobody listens on.
func freeAddr() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", anyAddr)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// anyAddr lets the kernel choose.
const anyAddr = "127.0.0.1:0"

// said is the end of what the program has printed.
func (p *process) said() string {
	const most = 4 << 10
	text, err := os.ReadFile(p.log())
	if errors.Is(err, os.ErrNotExist) {
		return "(nothing)"
	}
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
