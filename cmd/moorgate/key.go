package main

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/authn/keys"
)

func newKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make keys, which robots and people sign in with instead of a password",
		Long: `Make keys, which robots and people sign in with instead of a password.

A key is for one machine or one job: it may no more than it has to, it expires, and
it ends without anybody having to choose another password. The commands ask the
running server on the data directory.`,
		Example: `  moorgate key create --name ci-app --may push,pull:team/app --expires 90d
  moorgate key create --name laptop --user alice
  moorgate key list
  moorgate key rotate ci-app --overlap 24h
  moorgate key revoke ci-app`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyCreateCommand(), newKeyListCommand(), newKeyRotateCommand(), newKeyRevokeCommand())
	return cmd
}

func newKeyCreateCommand() *cobra.Command {
	var s settings
	var r keys.Request
	var expires string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create --name NAME",
		Short: "Make a key for a robot, or for a user",
		Long: `Make a key for a robot, or for a user.

The key is printed to standard output, this once: only its hash is kept. Sign in with
its name as the user, or with that of its owner, and the key as the password.

Without --user it is a robot's: it may what --may says, unless a rule denies it. With
--user it is a personal key: it may what its owner may at the time, and if --may is
given only as far as that says so too. It ends when its owner does. Administering takes
"--may admin".`,
		Example: `  moorgate key create --name ci-app --may push,pull:team/app --expires 90d
  moorgate key create --name mirror --may 'pull:**' --expires never --json
  moorgate key create --name laptop --user alice --may 'pull:team/**'
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.Name == "" {
				return errors.New("give the key a name, by which it is listed and revoked: --name")
			}
			var err error
			if r.Life, err = readLife(expires); err != nil {
				return fmt.Errorf("--expires: %w", err)
			}
			return createKey(cmd, &s, r, asJSON)
		},
	}
	s.registerData(cmd.Flags())
	cmd.Flags().StringVar(&r.Name, "name", "", "`NAME` of the key")
	cmd.Flags().StringVar(&r.User, "user", "", "`USER` whose key it is; without one it is a robot's")
	cmd.Flags().StringVar(&r.Source, "source", "", "`SOURCE` of that user, where several know one of the name")
	cmd.Flags().StringArrayVar(&r.May, "may", nil, "what it may be used for, `ACTIONS:REPOSITORIES`, as in rules; may be given again")
	cmd.Flags().StringVar(&expires, "expires", "90d", "`TIME` after which it ends, such as 12h, 90d, 8w, or never")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the key in it")
	return cmd
}

func createKey(cmd *cobra.Command, s *settings, r keys.Request, asJSON bool) error {
	client, err := dial(cmd, s)
	if err != nil {
		return err
	}
	made, err := client.CreateAccessKey(cmd.Context(), r)
	if err != nil {
		return err
	}
	return printKey(cmd, made, asJSON, "made")
}

// printKey prints a key that was just made, and it alone, to standard output. What
// people should know beside it goes to the other one.
func printKey(cmd *cobra.Command, made keys.Made, asJSON bool, done string) error {
	if asJSON {
		return printJSON(cmd, made)
	}
	cmd.PrintErrf("%s key %s, %s, which %s; it is shown only now\n", done, made.ID, whose(made.Entry), ends(made.Entry))
	_, err := fmt.Fprintln(cmd.OutOrStdout(), made.Secret)
	return err
}

// whose tells a key apart from others.
func whose(e keys.Entry) string {
	if e.Robot {
		return "robot " + printable(e.Name)
	}
	return fmt.Sprintf("%s of %s", printable(e.Name), printable(e.User))
}

func ends(e keys.Entry) string {
	if e.Expires.IsZero() {
		return "never expires"
	}
	return "expires " + minute(e.Expires)
}

// lifeForm is a duration with weeks and days before what Go knows.
var lifeForm = regexp.MustCompile(`^(?:([0-9]{1,5})w)?(?:([0-9]{1,5})d)?(.*)$`)

// readLife reads how long a key lives; 0 is for ever.
func readLife(text string) (time.Duration, error) {
	if text == "never" {
		return 0, nil
	}
	d, err := readDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("it would have expired already: write never for a key that does not expire")
	}
	return d, err
}

// readDuration reads a duration such as 1w2d, 90d or 1h30m.
func readDuration(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%.40q is not a time such as 12h, 90d or 8w", text)
	m := lifeForm.FindStringSubmatch(text)
	if m == nil || text == "" {
		return 0, wrong
	}
	weeks, _ := strconv.Atoi("0" + m[1]) // digits
	days, _ := strconv.Atoi("0" + m[2])
	rest, err := time.ParseDuration("0" + m[3])
	if m[3] == "" {
		rest, err = 0, nil
	}
	days += 7 * weeks
	if err != nil || rest < 0 || days > math.MaxInt64/int(24*time.Hour)-1 {
		return 0, wrong
	}
	return time.Duration(days)*24*time.Hour + rest, nil
}
