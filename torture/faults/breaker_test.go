package faults

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/moorgate/moorgate/torture/faultfs"
)

// breaking says which operations fail, and how.
type breaking struct {
	kinds []faultfs.Kind // none: all that change or sync something
	paths []string       // patterns of path.Match; none: all. Below the data directory
	fault faultfs.Fault
	// Without space, writes fail that make a file longer; and those of what is there
	// already too if this is set, as on a file system that never writes in place.
	copies bool
}

func breaks(kinds []faultfs.Kind, paths []string, fault faultfs.Fault) breaking {
	return breaking{kinds: kinds, paths: paths, fault: fault}
}

// hits reports whether op fails on the file system in root.
func (b breaking) hits(op faultfs.Op, root string) bool {
	switch {
	case strings.HasSuffix(op.Path, "-shm"): // memory, not a file: the kernel writes it back when it likes
		return false
	case len(b.kinds) > 0 && !slices.Contains(b.kinds, op.Kind), !op.Kind.Changes() && !op.Kind.Syncs(), !b.isAt(op):
		return false
	case op.Kind == faultfs.Write && b.fault.Errno == syscall.ENOSPC && !b.copies:
		info, err := os.Stat(filepath.Join(root, op.Path))
		return err != nil || op.Offset+int64(len(op.Data)) > info.Size()
	default:
		return true
	}
}

func (b breaking) isAt(op faultfs.Op) bool {
	return len(b.paths) == 0 || slices.ContainsFunc(b.paths, func(pattern string) bool {
		from, _ := path.Match(path.Join("data", pattern), op.Path)
		to, _ := path.Match(path.Join("data", pattern), op.To)
		return from || to
	})
}

// breaker lets operations fail while it is on.
type breaker struct {
	breaking
	root    string
	left    atomic.Int64 // how many more times
	failed  atomic.Int64 // how many times so far
	awaited atomic.Bool  // that it fails; until it does
}

// hook is a faultfs.Hook.
func (b *breaker) hook(op faultfs.Op) faultfs.Fault {
	if !b.hits(op, b.root) || b.left.Add(-1) < 0 {
		return faultfs.Fault{}
	}
	b.failed.Add(1)
	b.awaited.Store(false)
	return b.fault
}

// once is a disk that recovers, forever one that does not.
const (
	off     = 0
	once    = 1
	forever = 1 << 40
)

func (b *breaker) set(times int64) { b.left.Store(times) }
