package powerloss

import "slices"

// change is something that may be lost.
type change struct {
	op Op

	// Of content:
	file *inode // nil: it is a change of names

	// Of names: set is made; unset is removed. A rename has both.
	set, unset *name
}

// name is a name in a directory, and the file that it is for.
type name struct {
	dir  *inode
	base string
	file *inode
}

// settle makes c certain. What changes before it did to its new name does not
// matter any more; it returns those that did something else too. (The old name is
// in the directory that is synced: nothing before is left to be said about it.)
func (c change) settle(before []change) []change {
	for i := range before {
		before[i].forget(c.set)
	}
	if c.unset != nil {
		delete(c.unset.dir.certain, c.unset.base)
	}
	if c.set != nil {
		c.set.dir.certain[c.set.base] = c.set.file
	}
	return slices.DeleteFunc(before, func(b change) bool { return b.file == nil && b.set == nil && b.unset == nil })
}

// forget takes out of c what it does to a name.
func (c *change) forget(n *name) {
	if n.same(c.set) {
		c.set = nil
	}
	if n.same(c.unset) {
		c.unset = nil
	}
}

func (n *name) same(m *name) bool {
	return n != nil && m != nil && n.dir == m.dir && n.base == m.base
}

// content returns what the content of a file is after c had a fate. It may change
// before.
func (c change) content(before []byte, f Fate) []byte {
	size := int(c.op.Offset)
	switch {
	case f.Kind == Lost:
		return before
	case c.op.Kind == Truncate:
		return grow(before[:min(size, len(before))], size)
	case c.op.Kind == Extend:
		return grow(before, size)
	case f.Kind == Zeros:
		return grow(before, size+len(c.op.Data))
	}
	part := Fate{From: 0, To: len(c.op.Data)}
	if f.Kind == Torn {
		part = f
	}
	before = grow(before, size+part.To)
	copy(before[size+part.From:], c.op.Data[part.From:part.To])
	return before
}

// grow appends zeros until b has size bytes.
func grow(b []byte, size int) []byte {
	if size <= len(b) {
		return b
	}
	return append(b, make([]byte, size-len(b))...)
}
