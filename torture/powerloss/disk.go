package powerloss

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Disk is a file system with what is certain to survive, and the changes that
// are not. The zero value is not usable; see NewDisk.
type Disk struct {
	root    *inode
	pending []change // in the order they were made
}

// inode is a file or a directory, whatever its names.
type inode struct {
	content []byte            // of a file: what is certain
	certain map[string]*inode // of a directory: the names that are certain
	names   map[string]*inode // of a directory: what a program sees; nil: a file
}

// NewDisk returns an empty file system.
func NewDisk() *Disk { return &Disk{root: newDir()} }

// After returns the file system after ops.
func After(ops []Op) (*Disk, error) {
	d := NewDisk()
	for i, op := range ops {
		if err := d.Apply(op); err != nil {
			return nil, fmt.Errorf("operation %d: %w", i, err)
		}
	}
	return d, nil
}

func newDir() *inode { return &inode{certain: map[string]*inode{}, names: map[string]*inode{}} }

// Apply does one operation. It fails if the operation is about a file that is
// not there.
func (d *Disk) Apply(op Op) error {
	var err error
	switch op.Kind {
	case Create, Mkdir, Link:
		err = d.add(op)
	case Remove:
		err = d.remove(op)
	case Rename:
		err = d.rename(op)
	case Write, Truncate, Extend:
		err = d.change(op)
	case Sync:
		err = d.sync(op)
	case SyncDir:
		err = d.syncDir(op)
	default:
		err = fmt.Errorf("unknown operation")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// find returns what a program sees at p.
func (d *Disk) find(p string) (*inode, error) {
	at := d.root
	for base := range strings.SplitSeq(p, "/") {
		if base == "" {
			continue
		}
		if at = at.names[base]; at == nil {
			return nil, errUnknown
		}
	}
	return at, nil
}

// name returns the name at p, whether there is a file or not.
func (d *Disk) name(p string) (*name, error) {
	dir, err := d.find(strings.TrimSuffix(path.Dir("/"+p), "/"))
	if err != nil {
		return nil, err
	}
	if dir.names == nil {
		return nil, errUnknown
	}
	base := path.Base(p)
	return &name{dir, base, dir.names[base]}, nil
}

func (d *Disk) add(op Op) error {
	p, file := op.Path, &inode{}
	var err error
	switch op.Kind {
	case Mkdir:
		file = newDir()
	case Link:
		p = op.To
		file, err = d.find(op.Path)
	default:
	}
	if err != nil {
		return err
	}
	at, err := d.name(p)
	if err == nil && at.file != nil {
		err = errThere
	}
	if err != nil {
		return err
	}
	at.file = file
	at.dir.names[at.base] = file
	d.pending = append(d.pending, change{op: op, set: at})
	return nil
}

func (d *Disk) remove(op Op) error {
	at, err := d.name(op.Path)
	if err == nil && at.file == nil {
		err = errUnknown
	}
	if err != nil {
		return err
	}
	delete(at.dir.names, at.base)
	d.pending = append(d.pending, change{op: op, unset: at})
	return nil
}

func (d *Disk) rename(op Op) error {
	from, err := d.name(op.Path)
	if err == nil && from.file == nil {
		err = errUnknown
	}
	if err != nil {
		return err
	}
	to, err := d.name(op.To)
	if err != nil {
		return err
	}
	to.file = from.file
	delete(from.dir.names, from.base)
	to.dir.names[to.base] = to.file
	d.pending = append(d.pending, change{op: op, set: to, unset: from})
	return nil
}

func (d *Disk) change(op Op) error {
	file, err := d.find(op.Path)
	if err != nil {
		return err
	}
	d.pending = append(d.pending, change{op: op, file: file})
	return nil
}

// sync makes the content of a file certain.
func (d *Disk) sync(op Op) error {
	file, err := d.find(op.Path)
	if err != nil {
		return err
	}
	d.pending = slices.DeleteFunc(d.pending, func(c change) bool {
		if c.file != file {
			return false
		}
		file.content = c.content(file.content, Fate{Kind: Kept})
		return true
	})
	return nil
}

// syncDir makes the names in a directory certain. Of a rename that came in from
// another directory the new name is certain then, and the end of the old one is
// not; of one that went out both are, for a file does not get lost by it.
func (d *Disk) syncDir(op Op) error {
	dir, err := d.find(op.Path)
	if err != nil {
		return err
	}
	var left []change
	for _, c := range d.pending {
		switch {
		case c.unset != nil && c.unset.dir == dir:
			left = c.settle(left)
		case c.set != nil && c.set.dir == dir:
			rest := c
			c.unset = nil
			left = c.settle(left)
			if rest.unset != nil {
				rest.set = nil
				left = append(left, rest)
			}
		default:
			left = append(left, c)
		}
	}
	d.pending = left
	return nil
}
