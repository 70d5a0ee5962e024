package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

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
