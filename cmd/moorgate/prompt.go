package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// maxPasswordLine bounds a password on standard input, in bytes.
const maxPasswordLine = 4096

// newPassword asks for a new password of user: twice at a terminal, else one
// line of in.
func newPassword(ctx context.Context, in io.Reader, prompt io.Writer, user string) (string, error) {
	terminal, ok := asTerminal(in)
	if !ok {
		return readLine(in)
	}
	first, err := ask(ctx, terminal, prompt, fmt.Sprintf("new password for %s: ", user))
	if err != nil {
		return "", err
	}
	second, err := ask(ctx, terminal, prompt, "the same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return first, nil
}

// oldPassword asks for the password of user: once at a terminal, else one line
// of in.
func oldPassword(ctx context.Context, in io.Reader, prompt io.Writer, user string) (string, error) {
	terminal, ok := asTerminal(in)
	if !ok {
		return readLine(in)
	}
	return ask(ctx, terminal, prompt, fmt.Sprintf("password of %s: ", user))
}

func asTerminal(in io.Reader) (*os.File, bool) {
	f, ok := in.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// ask reads a line from a terminal that does not show it. Ctrl-C ends it with
// the terminal as it was.
func ask(ctx context.Context, terminal *os.File, prompt io.Writer, question string) (string, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(prompt, question); err != nil {
		return "", err
	}
	defer io.WriteString(prompt, "\n") //nolint:errcheck // the Enter that was not shown
	type answer struct {
		line []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // it cannot be interrupted; if it must, it stays behind
		line, err := term.ReadPassword(fd)
		answered <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", errors.Join(errors.New("interrupted; nothing was changed"), term.Restore(fd, before))
	case a := <-answered:
		return string(a.line), a.err
	}
}

// readLine reads the first line of in, without its end.
func readLine(in io.Reader) (string, error) {
	r := bufio.NewReader(io.LimitReader(in, maxPasswordLine+1))
	line, err := r.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password from standard input: %w", err)
	}
	if len(line) > maxPasswordLine {
		return "", fmt.Errorf("the first line of standard input is longer than %d bytes", maxPasswordLine)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", errors.New("no password on standard input")
	}
	return line, nil
}
