package main

import (
	_ "embed"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/certs"
)

// newCertCommand makes "moorgate cert".
func newCertCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Make certificates for TLS",
		Long:  "Make certificates for TLS, from an authority of your own.",
		Example: `  moorgate cert create --host myregistrydomain.com --out certs
  moorgate cert client alice --out certs`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCertCreateCommand(), newCertClientCommand())
	return cmd
}

// certOptions are the flags of "cert create".
type certOptions struct {
	hosts []string
	out   string
	days  int
	force bool
}

func newCertCreateCommand() *cobra.Command {
	var o certOptions
	cmd := &cobra.Command{
		Use:   "create --host NAME,… --out DIR",
		Short: "Make a certificate, from an authority of your own",
		Long: `Make domain.crt and domain.key, the certificate of a registry and its key, and
ca.crt and ca.key, the authority that vouches for it. Clients must be told once
to trust ca.crt; the text that is printed says how. An authority that is in DIR
already is used again, so that clients need not be told again.`,
		Example: `  moorgate cert create --host myregistrydomain.com --out certs
  moorgate cert create --host registry.lan,localhost,192.168.1.20 --out certs
  moorgate cert create --host '*.example.com' --days 90 --out certs --force`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return certCreate(cmd, o) },
	}
	cmd.Flags().StringSliceVar(&o.hosts, "host", nil, "what clients call the registry: names, wildcards, IP addresses; no port")
	cmd.Flags().StringVar(&o.out, "out", "", "directory to write to")
	cmd.Flags().IntVar(&o.days, "days", certs.DefaultDays, "how long the certificate is valid")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace domain.crt and domain.key")
	return cmd
}

func certCreate(cmd *cobra.Command, o certOptions) error {
	if len(o.hosts) == 0 || o.out == "" {
		return fmt.Errorf("which hosts, and where to? usage: moorgate cert %s", cmd.Use)
	}
	hosts, err := certs.ParseHosts(o.hosts)
	if err != nil {
		return err
	}
	if o.days < 1 || o.days > certs.MaxDays {
		return fmt.Errorf("--days is %d, but must be from 1 to %d", o.days, certs.MaxDays)
	}
	made, err := certs.Create(o.out, certs.Request{Hosts: hosts, Days: o.days, Now: time.Now()}, o.force)
	if err != nil {
		return err
	}
	return printTrust(cmd.OutOrStdout(), made, hosts)
}

//go:embed cert_trust.txt
var certTrust string

// printTrust tells what was made, how to use it and how clients trust it.
func printTrust(w io.Writer, made certs.Result, hosts certs.Hosts) error {
	t, err := template.New("trust").Parse(certTrust)
	if err != nil {
		return err
	}
	host := clientHost(hosts)
	return t.Execute(w, map[string]any{
		"Dir":       filepath.Dir(made.Cert),
		"Names":     strings.Join(hosts.Strings(), ", "),
		"Until":     made.Leaf.NotAfter.Format(time.DateOnly),
		"Authority": made.Authority.Subject.CommonName,
		"CAUntil":   made.Authority.NotAfter.Format(time.DateOnly),
		"NewCA":     made.NewAuthority,
		"Files":     made.Files,
		"Host":      host,
		"File":      "moorgate-" + strings.NewReplacer(":", "-", "[", "", "]", "").Replace(host),
	})
}

// clientHost returns one name of hosts as clients write it before a port.
func clientHost(hosts certs.Hosts) string {
	if len(hosts.DNS) > 0 {
		if rest, ok := strings.CutPrefix(hosts.DNS[0], "*."); ok {
			return "registry." + rest
		}
		return hosts.DNS[0]
	}
	if ip := hosts.IPs[0].String(); strings.Contains(ip, ":") {
		return "[" + ip + "]"
	}
	return hosts.IPs[0].String()
}
