package powerloss

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Image is what is on the disk after a power loss. It is good until something is
// applied to the Disk that it is of.
type Image struct {
	Files map[string][]byte // by path, parted by slashes; not to be changed
	Dirs  map[string]bool   // but for the root
}

// Image returns what is left of a file system when each of the changes that were
// not certain had its fate.
func (d *Disk) Image(s State) Image {
	names := map[*inode]map[string]*inode{}
	content := map[*inode][]byte{}
	for i, c := range d.pending {
		if c.file == nil {
			c.rename(names, s.fate(i, c))
			continue
		}
		if _, ok := content[c.file]; !ok {
			content[c.file] = slices.Clone(c.file.content)
		}
		content[c.file] = c.content(content[c.file], s.fate(i, c))
	}
	image := Image{map[string][]byte{}, map[string]bool{}}
	image.add("", d.root, names, content)
	return image
}

// rename does what c does to names.
func (c change) rename(names map[*inode]map[string]*inode, f Fate) {
	if f.Kind == Lost {
		return
	}
	if c.unset != nil && (f.Kind != Both || !c.crosses()) {
		delete(c.unset.dir.in(names), c.unset.base)
	}
	if c.set != nil {
		c.set.dir.in(names)[c.set.base] = c.set.file
	}
}

// in returns the names of a directory, which begin as those that are certain.
func (i *inode) in(names map[*inode]map[string]*inode) map[string]*inode {
	if _, ok := names[i]; !ok {
		names[i] = maps.Clone(i.certain)
	}
	return names[i]
}

// add puts a directory, and what is below it, into the image.
func (m *Image) add(path string, dir *inode, names map[*inode]map[string]*inode, content map[*inode][]byte) {
	for base, file := range dir.in(names) {
		at := base
		if path != "" {
			at = path + "/" + base
		}
		if file.names != nil {
			m.Dirs[at] = true
			m.add(at, file, names, content)
			continue
		}
		bytes, ok := content[file]
		if !ok {
			bytes = file.content
		}
		m.Files[at] = bytes
	}
}

// Sum returns a hash of all that is in the image.
func (m Image) Sum() [sha256.Size]byte {
	h := sha256.New()
	for _, dir := range slices.Sorted(maps.Keys(m.Dirs)) {
		_, _ = fmt.Fprintf(h, "%q\n", dir) // never fails
	}
	for _, file := range slices.Sorted(maps.Keys(m.Files)) {
		_, _ = fmt.Fprintf(h, "%q %d\n", file, len(m.Files[file]))
		_, _ = h.Write(m.Files[file])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Write makes the image in a directory that is there and empty.
func (m Image) Write(dir string) error {
	const dirMode, fileMode fs.FileMode = 0o700, 0o600
	for path := range m.Dirs {
		if err := os.MkdirAll(filepath.Join(dir, path), dirMode); err != nil {
			return err
		}
	}
	for path, content := range m.Files {
		if err := os.WriteFile(filepath.Join(dir, path), content, fileMode); err != nil {
			return err
		}
	}
	return nil
}
