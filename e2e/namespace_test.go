package e2e

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// enclosure is the start of a shell script that runs as the first process of
// its own process and mount namespaces. podman has its locks in /dev/shm.
const enclosure = `
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
`

// enclose makes cmd run in process and mount namespaces of its own, and end
// with the tests, however they end. All its processes and mounts end with the
// first process, which has to start with the enclosure script.
func enclose(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("containers need root: run the tests as root")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
}
