package main

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// keyboard is the other end of a terminal.
type keyboard struct{ *os.File }

// newTerminal makes a pseudo terminal: pty(7).
func newTerminal(t *testing.T) (keyboard, *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = master.Close()   // wakes whoever still reads from the terminal
		_ = terminal.Close() // nothing was kept in it
	})
	return keyboard{master}, terminal
}

// typeHidden types when the terminal has stopped to show it: what comes before
// would be thrown away, and seen.
func (k keyboard) typeHidden(t *testing.T, terminal *os.File, text string) {
	awaitHidden(t, terminal)
	if _, err := k.WriteString(text); err != nil {
		t.Error(err)
	}
}

// awaitHidden returns when the terminal does not show what is typed.
func awaitHidden(t *testing.T, terminal *os.File) {
	deadline := time.Now().Add(patience)
	for echoes(t, terminal) {
		if time.Now().After(deadline) {
			t.Error("the terminal shows what is typed")
			return
		}
		runtime.Gosched()
	}
}

func echoes(t *testing.T, terminal *os.File) bool {
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Error(err)
		return false
	}
	return state.Lflag&unix.ECHO != 0
}
