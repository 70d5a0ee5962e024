//go:build !linux

package disk

import "os"

// flush leaves it to the kernel when to write.
func flush(*os.File, int64, int64) {}
