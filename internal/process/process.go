// Package process tells what the running process is, and what it uses of the
// machine.
package process

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
)

// Usage is what the process uses at one moment. Where the system does not tell (all
// but Linux), a number is 0.
type Usage struct {
	HeapBytes   uint64 `json:"heap_bytes"`       // objects of the Go heap, those that the next collection frees included
	RSSBytes    uint64 `json:"rss_bytes"`        // memory of the machine, VmRSS of proc_pid_status(5)
	PeakBytes   uint64 `json:"rss_peak_bytes"`   // the most that it ever was, VmHWM
	Goroutines  uint64 `json:"goroutines"`       //
	Files       uint64 `json:"open_files"`       // open file descriptors, connections included
	FilesLimit  uint64 `json:"open_files_limit"` // and how many there may be, RLIMIT_NOFILE
	Collections uint64 `json:"gc_cycles"`        // garbage collections of the Go heap so far
}

// Version returns the version that this program was built from; "unknown" where
// the build did not say it.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// Read returns what the process uses now. It does not stop the program to look.
func Read() Usage {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	u := Usage{HeapBytes: number(samples[0]), Goroutines: number(samples[1]), Collections: number(samples[2])}
	status, _ := os.ReadFile("/proc/self/status") // without it, 0
	u.RSSBytes, u.PeakBytes = kibibytes(string(status), "VmRSS"), kibibytes(string(status), "VmHWM")
	u.Files = openFiles()
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		u.FilesLimit = limit.Cur
	}
	return u
}

// number is the value of a sample; 0 if this version of Go knows none.
func number(s metrics.Sample) uint64 {
	if s.Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s.Value.Uint64()
}

// kibibytes finds a line such as "VmRSS:  1234 kB" and returns its bytes.
func kibibytes(status, name string) uint64 {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64) // 0 if it is none
			return n << 10
		}
	}
	return 0
}

// openFiles counts the descriptors, without the one that it counts with.
func openFiles() uint64 {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer dir.Close() //nolint:errcheck // it was only read
	names, err := dir.Readdirnames(-1)
	if err != nil || len(names) == 0 {
		return 0
	}
	return uint64(len(names) - 1) //nolint:gosec // it is not negative
}
