package disk

import (
	"os"
	"syscall"
)

// flush tells the kernel to begin writing n bytes at off to the disk. It
// promises nothing: an error shows again at the sync.
func flush(f *os.File, off, n int64) {
	const write = 2 // SYNC_FILE_RANGE_WRITE, sync_file_range(2)
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_ = syscall.SyncFileRange(int(fd), off, n, write)
	})
}
