package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/lockout"
)

func newLockoutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lockout",
		Short: "Show and end the locks after wrong passwords",
		Long: `Show and end the locks after wrong passwords.

Whoever guesses passwords has to wait, ever longer (lockout in the configuration).`,
		Example: `  moorgate lockout list
  moorgate lockout clear alice`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLockoutListCommand(), newLockoutClearCommand())
	return cmd
}

func newLockoutListCommand() *cobra.Command {
	var s settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List who has to wait after wrong passwords",
		Long: `List who has to wait after wrong passwords, and until when. Where it says "over", the
next wrong password locks again, for longer.

"pair" is a user at one address; "user" at all addresses from which they have not
signed in; "address" is all users who have not signed in from there. Of IPv6, the
address is a network. It asks the running server on the data directory.`,
		Example: `  moorgate lockout list
  moorgate lockout list --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := dial(cmd, &s)
			if err != nil {
				return err
			}
			return listLockouts(cmd, client, asJSON)
		},
	}
	s.registerData(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func listLockouts(cmd *cobra.Command, client *control.Client, asJSON bool) error {
	list, err := client.Lockouts(cmd.Context())
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd, list)
	}
	if len(list) == 0 {
		say(cmd, "nobody is locked out\n")
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "KIND\tUSER\tADDRESS\tWRONG\tLAST\tLOCKED UNTIL")
	for _, l := range list {
		_, _ = fmt.Fprintln(w, strings.Join([]string{
			string(l.Kind), printable(l.User), printable(l.Address), strconv.Itoa(l.Wrong), second(l.Last), lockedUntil(l, time.Now()),
		}, "\t"))
	}
	return w.Flush()
}

func lockedUntil(l lockout.Lock, now time.Time) string {
	if !l.Locked(now) {
		return "over"
	}
	return second(l.Until)
}

// second shows a time that is near.
func second(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func newLockoutClearCommand() *cobra.Command {
	var s settings
	var address string
	var all bool
	cmd := &cobra.Command{
		Use:   "clear {USER | --address ADDRESS | --all}",
		Short: "Forget wrong passwords, so that nobody has to wait for them",
		Long: `Forget the wrong passwords of a user, those that came from an address, or all, so
that nobody has to wait for them.

It ends locks; who goes on guessing is locked again soon. It asks the running server
on the data directory.`,
		Example: `  moorgate lockout clear alice
  moorgate lockout clear --address 192.0.2.1
  moorgate lockout clear --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			given := len(args)
			for _, flag := range []bool{address != "", all} {
				if flag {
					given++
				}
			}
			if given != 1 {
				return fmt.Errorf("whose wrong passwords? give one user, --address or --all; usage: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := dial(cmd, &s)
			if err != nil {
				return err
			}
			n, err := clearLockouts(cmd, client, args, address)
			if err != nil {
				return err
			}
			say(cmd, "cleared %s\n", counted(n, "count"))
			return nil
		},
	}
	s.registerData(cmd.Flags())
	cmd.Flags().StringVar(&address, "address", "", "those that came from this `ADDRESS`, of IPv6 from its /64 network")
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	return cmd
}

func clearLockouts(cmd *cobra.Command, client *control.Client, users []string, address string) (int, error) {
	switch {
	case len(users) > 0:
		return client.ClearUser(cmd.Context(), users[0])
	case address != "":
		a, err := netip.ParseAddr(strings.TrimSuffix(address, "/64")) // as it is listed
		if err != nil {
			return 0, fmt.Errorf("--address: %q is no address such as 192.0.2.1 or 2001:db8::1", address)
		}
		return client.ClearAddress(cmd.Context(), a)
	default:
		return client.ClearAll(cmd.Context())
	}
}
