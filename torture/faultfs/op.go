package faultfs

import "syscall"

// Kind says what an Op does.
type Kind int

// The kinds of operations.
const (
	Open     Kind = iota + 1 // a file that is there
	Read                     // Offset
	Create                   // a file, and opens it. Mode
	Write                    // Offset, Data
	Truncate                 // Offset is the new size; a file that is opened with O_TRUNC is one too
	Allocate                 // Offset is where it ends: fallocate(2)
	Fsync                    // a file; fdatasync(2) as well
	FsyncDir                 // a directory
	Rename                   // To
	Link                     // To is the new name
	Unlink
	Mkdir // Mode
	Rmdir
	Mknod   // a socket or the like. Mode
	SetAttr // mode, owner or times; Mode if it is given
)

// String returns the name of the kind.
func (k Kind) String() string {
	names := [...]string{
		"unknown", "open", "read", "create", "write", "truncate", "allocate", "fsync", "fsyncdir", "rename", "link", "unlink",
		"mkdir", "rmdir", "mknod", "setattr",
	}
	if k < 0 || int(k) >= len(names) {
		return names[0]
	}
	return names[k]
}

// Syncs reports whether k puts something on stable storage.
func (k Kind) Syncs() bool { return k == Fsync || k == FsyncDir }

// Changes reports whether k is something that a read-only file system refuses.
func (k Kind) Changes() bool { return k != Open && k != Read && !k.Syncs() }

// Op is an operation of whoever uses the file system.
type Op struct {
	Kind Kind
	// Path is relative to the mount point, which itself is "". It is the name that
	// the file has at that moment, and also "" for an open file that has none any
	// more.
	Path   string
	To     string // the second path of a Rename or Link
	Offset int64  // in bytes
	Data   []byte // what is written. A hook must not keep it or change it
	Mode   uint32 // permissions, and in a Mknod the type
}

// Fault is what a hook does to an operation. The zero value does nothing.
type Fault struct {
	Errno   syscall.Errno // what the caller gets; 0 for what the operation has to say
	Outcome Outcome       // what has been done all the same; it means nothing without Errno
}

// Outcome is what a failed operation has done.
type Outcome int

// The outcomes.
const (
	NotDone Outcome = iota // nothing
	Done                   // all of it
	Half                   // of a Write: the first half of the bytes. Otherwise as Done
	// Lost, of an Fsync: what was written to the file since the last good sync is
	// gone, and reads give what was there before, zeros where nothing was. Linux
	// does this when it cannot write pages and then drops them from its cache; the
	// next sync is a good one. The length of the file stays. Otherwise as NotDone.
	Lost
)

// Hook decides about an operation before it is done. It is called by many
// goroutines at once. While it waits, so does the caller of the operation, and
// nobody else.
type Hook func(Op) Fault
