package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
)

// traced is how many operations are looked at, one after the other: what others do
// at the same time may share a sync.
const traced = 20

// syncsOfBlob counts the syncs of a push in the way of docker. The blobs have
// digests that begin alike, and so belong into one folder, as in a store that has
// most of its folders.
func (b *bench) syncsOfBlob(ctx context.Context, s *server) (result, error) {
	return b.syncsOfBlobs(ctx, s, func(int) string { return "00" })
}

// syncsOfFirstBlobs does so with a new folder for each.
func (b *bench) syncsOfFirstBlobs(ctx context.Context, s *server) (result, error) {
	return b.syncsOfBlobs(ctx, s, func(i int) string { return fmt.Sprintf("%02x", i) })
}

func (b *bench) syncsOfBlobs(ctx context.Context, s *server, begin func(i int) string) (result, error) {
	c, pushed := s.client(), 0
	return b.syncs(ctx, s, func() error {
		blob := newBlob(b.pattern, 4<<10)
		for !strings.HasPrefix(blob.digest.Encoded(), begin(pushed)) {
			blob = newBlob(b.pattern, blob.size)
		}
		pushed++
		return c.pushBlob(ctx, repo, blob, blob.size)
	})
}

func (b *bench) syncsOfManifest(ctx context.Context, s *server) (result, error) {
	c := s.client()
	return b.syncs(ctx, s, func() error {
		text := append(b.image.manifest, strings.Repeat(" ", b.next())...) // another one each time
		if _, err := c.do(ctx, http.StatusNotFound, http.MethodHead, "/v2/"+repo+"/manifests/"+digest.FromBytes(text).String(), http.NoBody, 0, nil, nil); err != nil {
			return err
		}
		return c.pushManifest(ctx, repo, fmt.Sprint("traced", b.next()), text)
	})
}

// syncs counts the syncs of one operation. The first one is not traced: it may make
// what the others find.
func (b *bench) syncs(ctx context.Context, s *server, do func() error) (result, error) {
	if err := do(); err != nil {
		return result{}, err
	}
	var pids []int
	for _, p := range s.processes {
		pids = append(pids, family(p.cmd.Process.Pid)...)
	}
	n, err := countSyncs(ctx, filepath.Join(s.dir, "trace"), pids, func() error {
		for range traced {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	})
	return result{value: float64(n) / traced}, err
}

// countSyncs counts, by strace(1), what processes sync while something is done.
func countSyncs(ctx context.Context, file string, pids []int, do func() error) (int, error) {
	args := []string{"-f", "-qq", "-e", "trace=fsync,fdatasync,syncfs,sync", "-o", file}
	for _, pid := range pids {
		args = append(args, "-p", strconv.Itoa(pid))
	}
	var said strings.Builder
	cmd := exec.CommandContext(ctx, "strace", args...) //nolint:gosec // processes of ours
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err := awaitTraced(pids)
	if err == nil {
		err = do()
	}
	_ = cmd.Process.Signal(syscall.SIGINT) // it lets go of them; how it ends does not matter
	_ = cmd.Wait()
	if err != nil {
		return 0, errors.Join(err, errors.New(said.String()))
	}
	out, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer func() { _ = out.Close() }() // only read
	return readSyncs(out)
}

// A call that another thread comes between is written in two lines, of which the
// second has no parenthesis behind the name.
var syncCall = regexp.MustCompile(`^\d+ +(?:fsync|fdatasync|syncfs|sync)\(`)

// readSyncs counts the calls in what strace has written.
func readSyncs(in io.Reader) (int, error) {
	n := 0
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if syncCall.Match(lines.Bytes()) {
			n++
		}
	}
	return n, lines.Err()
}

// awaitTraced returns when all threads of the processes are traced.
func awaitTraced(pids []int) error {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if allTraced(pids) {
			return nil
		}
	}
	return errors.New("strace does not trace them")
}

func allTraced(pids []int) bool {
	for _, pid := range pids {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil {
			return false
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err == nil && strings.Contains(string(text), "\nTracerPid:\t0\n") {
				return false
			}
		}
	}
	return true
}
