// Command moorgate is a private container registry and the gate in front of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/credhelper"
)

func main() {
	if filepath.Base(os.Args[0]) == credhelper.Name {
		os.Exit(runHelper(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with what it uses as parameters; it returns the exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	if err := root.ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errSilent) {
			printError(errOut, err)
		}
		var exit exitError
		if errors.As(err, &exit) {
			return exit.code
		}
		return 1
	}
	return 0
}

// errSilent ends a command with exit code 1 when all is said already.
var errSilent = errors.New("")

// exitError ends a command with another exit code than 1.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

// printError prints an error, each of its lines marked.
func printError(w io.Writer, err error) {
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		fmt.Fprintf(w, "moorgate: error: %s\n", line)
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "moorgate",
		Short: "A private container registry and the gate in front of it",
		Long: `Moorgate is a private container registry and the gate in front of it.

"moorgate serve" starts a protected registry on this machine, with nothing to
configure; "moorgate proxy" stands in front of a registry that is there already;
"moorgate token" issues tokens that other registries trust. "moorgate login" and
"moorgate kubelet-credentials" are for the machines that pull and push. The other
commands make users, keys and certificates, check a configuration, and tell who may
do what.`,
		Example: `  moorgate serve
  moorgate serve --listen :5043 --tls-cert domain.crt --tls-key domain.key --htpasswd registry.password
  moorgate proxy --upstream http://registry:5000 --listen :5043 --tls-cert domain.crt --tls-key domain.key --htpasswd registry.password`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see \"%s --help\"", err, cmd.CommandPath())
	})
	root.AddCommand(
		newServeCommand(), newProxyCommand(), newTokenCommand(),
		newPasswdCommand(), newKeyCommand(), newCertCommand(), newCheckCommand(), newCanCommand(), newLockoutCommand(), newStatusCommand(),
		newLoginCommand(), newLogoutCommand(), newKubeletCommand(), newVersionCommand(),
	)
	return root
}
