package faults

import (
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/moorgate/moorgate/torture/faultfs"
)

// breaking says which operations fail, and how.
type breaking struct {
	kinds []faultfs.Kind // none: all that change or sync something
	paths []string       // patterns of path.Match; none: all. Below the data directory
	fault faultfs.Fault
}

func (b breaking) hits(op faultfs.Op) bool {
	if strings.HasSuffix(op.Path, "-shm") {
		return false // memory, not a file: the kernel writes it back when it likes
	}
	if len(b.kinds) == 0 {
		return (op.Kind.Changes() || op.Kind.Syncs()) && b.isAt(op)
	}
	return slices.Contains(b.kinds, op.Kind) && b.isAt(op)
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
	left    atomic.Int64 // how many more times
	failed  atomic.Int64 // how many times so far
	awaited atomic.Bool  // that it fails; until it does
}

// hook is a faultfs.Hook.
func (b *breaker) hook(op faultfs.Op) faultfs.Fault {
	if !b.hits(op) || b.left.Add(-1) < 0 {
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
