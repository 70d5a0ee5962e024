package filewatch

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// state is what can be seen of a file without reading it.
type state struct {
	target string      // where symbolic links lead; "" if nowhere
	info   fs.FileInfo // nil if the file cannot be seen
}

// look returns the states of all files now.
func (w *Watcher) look() []state {
	states := make([]state, len(w.paths))
	for i, p := range w.paths {
		states[i] = lookAt(p)
	}
	return states
}

func lookAt(path string) state {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return state{}
	}
	info, err := os.Stat(target)
	if err != nil {
		return state{target: target}
	}
	return state{target: target, info: info}
}

// same reports whether nothing in a and b differs: neither which files they
// are (os.SameFile: device and inode) nor their size, time and mode.
func same(a, b []state) bool {
	return slices.EqualFunc(a, b, func(a, b state) bool {
		if a.target != b.target || (a.info == nil) != (b.info == nil) {
			return false
		}
		return a.info == nil || os.SameFile(a.info, b.info) &&
			a.info.Size() == b.info.Size() &&
			a.info.ModTime().Equal(b.info.ModTime()) &&
			a.info.Mode() == b.info.Mode()
	})
}
