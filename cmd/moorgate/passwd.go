package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/htpasswd"
	"github.com/moorgate/moorgate/internal/authn/keys"
)

// newPasswdCommand makes "moorgate passwd".
func newPasswdCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "passwd",
		Short: "Write and read password files",
		Long: `Write and read password files, as nginx and Apache httpd use them (htpasswd).

A running registry takes a change of its file within seconds.
Passwords come from a prompt, or from one line of standard input; they are
never arguments, because others can read those ("ps", the shell history).`,
		Example: `  moorgate passwd add registry.password alice
  moorgate serve --htpasswd registry.password`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPasswdAddCommand(), newPasswdVerifyCommand(), newPasswdRemoveCommand(), newPasswdListCommand())
	return cmd
}

func newPasswdAddCommand() *cobra.Command {
	var cost int
	cmd := &cobra.Command{
		Use:   "add FILE USER",
		Short: "Add a user, or set a new password",
		Long: `Add a user to a password file, or set a new password for one that is there.

The password is asked for twice, or is one line of standard input if that is
not a terminal. The file is made, readable by its owner only, if there is none;
it changes in one step, and its comments and order stay.`,
		Example: `  moorgate passwd add registry.password alice
  openssl rand -base64 24 | tee alice.txt | moorgate passwd add registry.password alice`,
		Args: fileAndUser,
		RunE: func(cmd *cobra.Command, args []string) error { return passwdAdd(cmd, args[0], args[1], cost) },
	}
	cmd.Flags().IntVar(&cost, "cost", htpasswd.DefaultCost,
		fmt.Sprintf("bcrypt cost, %d to %d; each step doubles the work of a login and of guessing", htpasswd.MinCost, htpasswd.MaxCost))
	return cmd
}

func newPasswdVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE USER",
		Short: "Check a password; exit status 0 if it is right, 1 if not",
		Example: `  moorgate passwd verify registry.password alice
  moorgate passwd verify registry.password alice < alice.txt && echo right`,
		Args: fileAndUser,
		RunE: func(cmd *cobra.Command, args []string) error { return passwdVerify(cmd, args[0], args[1]) },
	}
}

func newPasswdRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "remove FILE USER",
		Short:   "Remove a user",
		Example: `  moorgate passwd remove registry.password alice`,
		Args:    fileAndUser,
		RunE:    func(cmd *cobra.Command, args []string) error { return passwdRemove(cmd, args[0], args[1]) },
	}
}

func newPasswdListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list FILE",
		Short: "List users and the kinds of their password hashes",
		Example: `  moorgate passwd list registry.password
  moorgate passwd list --json registry.password`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return passwdList(cmd, args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// fileAndUser checks the arguments FILE USER. It does not print what is too
// much: it may be a password.
func fileAndUser(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 2:
		return errors.New("too many arguments: a password is never taken from the command line, where \"ps\" and the shell history show it; leave it out to be asked for it, or write it to standard input")
	case len(args) < 2:
		return fmt.Errorf("which file and user? usage: %s", cmd.UseLine())
	}
	return htpasswd.CheckUser(args[1])
}

func passwdAdd(cmd *cobra.Command, file, user string, cost int) error {
	password, err := newPassword(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), user)
	if err != nil {
		return err
	}
	if keys.LooksLikeKey(password) {
		return errors.New("a password cannot begin with mgk_: a server takes it for a key (\"moorgate key create\"), and never for a password; choose another")
	}
	hash, err := htpasswd.Hash(password, cost)
	if err != nil {
		return err
	}
	change, err := htpasswd.Set(file, user, hash)
	if err != nil {
		return err
	}
	switch {
	case change.Replaced:
		say(cmd, "set a new password for %s in %s\n", user, file)
	case change.Created:
		say(cmd, "made %s with user %s\n", file, user)
	default:
		say(cmd, "added %s to %s\n", user, file)
	}
	warnOf(cmd, file, change)
	return nil
}

func passwdVerify(cmd *cobra.Command, file, user string) error {
	users, err := htpasswd.Load(file)
	if err != nil {
		return err
	}
	password, err := oldPassword(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), user)
	if err != nil {
		return err
	}
	switch err := users.Verify(user, password); {
	case errors.Is(err, authn.ErrNoMatch):
		return fmt.Errorf("%s is not in %s", user, file)
	case errors.Is(err, authn.ErrWrongPassword):
		return fmt.Errorf("wrong password for %s", user)
	case err != nil:
		return err
	}
	say(cmd, "the password of %s is right\n", user)
	return nil
}

func passwdRemove(cmd *cobra.Command, file, user string) error {
	change, err := htpasswd.Remove(file, user)
	if errors.Is(err, authn.ErrNoMatch) {
		return fmt.Errorf("%s is not in %s", user, file)
	}
	if err != nil {
		return err
	}
	say(cmd, "removed %s from %s\n", user, file)
	warnOf(cmd, file, change)
	return nil
}

// say prints one line of success; cmd.Printf would print it as an error.
func say(cmd *cobra.Command, format string, args ...any) {
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), format, args...) // a closed pipe is no failure of the edit
}

func warnOf(cmd *cobra.Command, file string, change htpasswd.Change) {
	if change.Problem != nil {
		cmd.PrintErrf("warning: a registry will refuse %s: %v\n", file, change.Problem)
	}
}

func passwdList(cmd *cobra.Command, file string, asJSON bool) error {
	users, err := htpasswd.Load(file)
	if err != nil {
		return err
	}
	if asJSON {
		return listJSON(cmd, users)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, e := range users.Entries() {
		kind := e.Kind
		if e.Cost > 0 {
			kind = fmt.Sprintf("%s, cost %d", e.Kind, e.Cost)
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\n", e.User, kind); err != nil {
			return err
		}
	}
	return w.Flush()
}

// listedUser is one user of "passwd list --json".
type listedUser struct {
	User string `json:"user"`
	Hash string `json:"hash"`
	Cost int    `json:"cost,omitempty"`
	Line int    `json:"line"`
}

func listJSON(cmd *cobra.Command, users *htpasswd.Users) error {
	list := make([]listedUser, 0, users.Len())
	for _, e := range users.Entries() {
		list = append(list, listedUser{User: e.User, Hash: e.Kind, Cost: e.Cost, Line: e.Line})
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(list)
}
