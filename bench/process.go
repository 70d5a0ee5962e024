package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Bounds of starting and stopping.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
)

// process is a program that runs until stop, with its children.
type process struct {
	cmd   *exec.Cmd
	addr  string // where it listens
	log   string // its file
	ended chan struct{}
}

// startProcess runs a program in a directory. It dies with us, however we end.
func startProcess(dir string, env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(context.Background(), name, args...), log: filepath.Join(dir, "log"), ended: make(chan struct{})} //nolint:gosec // what the list of servers names
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the program has its own
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	return p, nil
}

// stop ends the program.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// await returns when the address takes connections.
func (p *process) await(addr string) error {
	p.addr = addr
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended:\n%s", filepath.Base(p.cmd.Path), p.said())
		case <-time.After(time.Millisecond):
		}
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", addr)
		if err == nil {
			return conn.Close()
		}
	}
	return fmt.Errorf("%s does not listen on %s:\n%s", filepath.Base(p.cmd.Path), addr, p.said())
}

// again ends the program, starts it once more, and returns how long it took to
// listen.
func (p *process) again() (time.Duration, error) {
	p.stop()
	begun := time.Now()
	next, err := startProcess(p.cmd.Dir, nil, p.cmd.Path, p.cmd.Args[1:]...)
	if err != nil {
		return 0, err
	}
	addr := p.addr
	*p = *next
	err = p.await(addr)
	return time.Since(begun), err
}

// usage is what processes have used up to a moment.
type usage struct {
	cpu    time.Duration // of all, and of children that have ended
	memory int64         // bytes: proportional set size, the largest part of it resident now
}

// usageOf adds up what the processes and their children use.
func usageOf(list []*process) (usage, error) {
	var sum usage
	for _, p := range list {
		for _, pid := range family(p.cmd.Process.Pid) {
			one, err := usageOfPID(pid)
			if errors.Is(err, os.ErrNotExist) {
				continue // a child that has ended
			}
			if err != nil {
				return sum, err
			}
			sum.cpu += one.cpu
			sum.memory += one.memory
		}
	}
	return sum, nil
}

// family is a process and its children (proc(5), /proc/PID/task/TID/children).
func family(pid int) []int {
	list := []int{pid}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return list
	}
	for _, word := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			list = append(list, family(child)...)
		}
	}
	return list
}

// usageOfPID reads the fields 14 and 15 of /proc/PID/stat, in hundredths of a
// second, and the memory of a process.
func usageOfPID(pid int) (usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	_, rest, _ := bytes.Cut(text, []byte(") "))
	fields := strings.Fields(string(rest))
	const user, system = 11, 12
	if len(fields) <= system {
		return usage{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	ticks := 0
	for _, i := range []int{user, system} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			return usage{}, err
		}
		ticks += n
	}
	memory, err := memoryOf(pid)
	return usage{cpu: time.Duration(ticks) * 10 * time.Millisecond, memory: memory}, err
}

// memoryOf returns the proportional set size of a process, in bytes.
func memoryOf(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no Pss in smaps_rollup of %d", pid)
}

// freeAddr returns an address of the loopback that nobody listens on.
func freeAddr() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// said is the end of what the program has printed.
func (p *process) said() string {
	const most = 4 << 10
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
