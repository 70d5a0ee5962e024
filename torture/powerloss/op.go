package powerloss

import (
	"errors"
	"fmt"
)

// Kind is what an Op does.
type Kind int

// The kinds of an Op.
const (
	Create   Kind = iota // a new, empty file at Path
	Mkdir                // a new directory at Path
	Write                // Data at Offset of the file
	Truncate             // the file has Offset bytes
	Extend               // the file has at least Offset bytes
	Sync                 // of the file, ended well
	SyncDir              // of the directory, ended well
	Rename               // Path to To, over what is there
	Link                 // a second name To for the file Path
	Remove               // the name of a file, or an empty directory
)

func (k Kind) String() string {
	names := []string{"create", "mkdir", "write", "truncate", "extend", "sync", "sync directory", "rename", "link", "remove"}
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return names[k]
}

// Op is one change of a file system, or a sync, that ended well.
type Op struct {
	Kind   Kind
	Path   string // below the root, parted by slashes; "" is the root
	To     string // of Rename and Link
	Offset int64  // bytes
	Data   []byte // of Write; not changed any more
}

func (o Op) String() string {
	switch o.Kind {
	case Write:
		return fmt.Sprintf("write %d bytes at %d of %s", len(o.Data), o.Offset, o.Path)
	case Truncate, Extend:
		return fmt.Sprintf("%s %s to %d bytes", o.Kind, o.Path, o.Offset)
	case Rename, Link:
		return fmt.Sprintf("%s %s to %s", o.Kind, o.Path, o.To)
	default:
		return fmt.Sprintf("%s %s", o.Kind, o.Path)
	}
}

// The record is not whole: an Op is about a file that is not there, or makes one
// that is.
var (
	errUnknown = errors.New("no such file in the record")
	errThere   = errors.New("the file is there already")
)
