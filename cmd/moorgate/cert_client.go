package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/certs"
)

func newCertClientCommand() *cobra.Command {
	var out string
	var force bool
	r := certs.ClientRequest{}
	cmd := &cobra.Command{
		Use:   "client NAME --out DIR",
		Short: "Make a certificate for a client, from the same authority",
		Long: `Make NAME.cert and NAME.key, with which somebody shows who they are instead of a
password, from the authority in DIR: ca.crt and ca.key. If there is none it is
made. The server takes such certificates with "certificate" in "login"; the text
that is printed says how, and where clients look for them.

There is no list of what was made: give certificates to those who come and go for
few days only.`,
		Example: `  moorgate cert client alice --out certs
  moorgate cert client build-7 --group ci,developers --days 30 --out certs
  moorgate cert client alice --out certs --force`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || out == "" {
				return errors.New("whose, and where to? usage: moorgate cert client NAME --out DIR")
			}
			if r.Days < 1 || r.Days > certs.MaxDays {
				return fmt.Errorf("--days is %d, but must be from 1 to %d", r.Days, certs.MaxDays)
			}
			r.Name, r.Now = args[0], time.Now()
			made, err := certs.CreateClient(out, r, force)
			if err != nil {
				return err
			}
			return printClient(cmd.OutOrStdout(), made)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "directory to write to")
	cmd.Flags().StringSliceVar(&r.Groups, "group", nil, "groups of the client, for a server that takes them from the certificate")
	cmd.Flags().IntVar(&r.Days, "days", certs.DefaultDays, "how long the certificate is valid")
	cmd.Flags().BoolVar(&force, "force", false, "replace NAME.cert and NAME.key")
	return cmd
}

//go:embed cert_client.txt
var certClient string

// printClient tells what was made and where it belongs.
func printClient(w io.Writer, made certs.Result) error {
	t, err := template.New("client").Parse(certClient)
	if err != nil {
		return err
	}
	ca, err := filepath.Abs(made.CACert)
	if err != nil {
		return err
	}
	return t.Execute(w, map[string]any{
		"Dir":       filepath.Dir(made.Cert),
		"Name":      made.Leaf.Subject.CommonName,
		"Groups":    strings.Join(made.Leaf.Subject.OrganizationalUnit, ", "),
		"Until":     made.Leaf.NotAfter.Format(time.DateOnly),
		"Authority": made.Authority.Subject.CommonName,
		"CAUntil":   made.Authority.NotAfter.Format(time.DateOnly),
		"NewCA":     made.NewAuthority,
		"CA":        ca,
	})
}
