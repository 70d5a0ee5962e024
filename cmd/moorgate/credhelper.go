package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/docker/docker-credential-helpers/credentials"

	"github.com/moorgate/moorgate/internal/client"
	"github.com/moorgate/moorgate/internal/credhelper"
	"github.com/moorgate/moorgate/internal/keyring"
)

// runHelper is the program under the name by which docker runs it. It returns the
// exit code. Errors go to the standard output, where docker reads them.
func runHelper(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once, also while it reads
	credentials.Name, credentials.Package, credentials.Version = credhelper.Name, "moorgate", readVersion().Version
	h, err := newHelper(errOut)
	if err == nil {
		err = h.Serve(ctx, args, in, out)
	}
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	return 0
}

// newHelper returns the helper of the user.
func newHelper(errOut io.Writer) (*credhelper.Helper, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return nil, fmt.Errorf("where to keep logins? %w", err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/nonexistent" // there are no certificates of the user then
	}
	return &credhelper.Helper{
		Keyring: keyring.Keyring{Dir: filepath.Join(config, "moorgate", "credentials")},
		Dirs:    client.CertificateDirs(home, config), Now: time.Now, Aside: errOut,
	}, nil
}
