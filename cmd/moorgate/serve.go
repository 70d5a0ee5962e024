package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/app"
	"github.com/moorgate/moorgate/internal/config"
)

// serveFlags are the settings that can be given on the command line.
type serveFlags struct {
	config, listen, data, htpasswd string
	tlsCert, tlsKey                string
	tlsSelfSigned, open            bool
}

func newServeCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a complete registry behind the gate",
		Long: `Run a complete OCI registry behind the gate.

Without arguments it listens on 127.0.0.1:5000, keeps its data in
./moorgate-data, and makes a first user "admin", whose random password it shows
once.

What is given here wins over the environment (MOORGATE_LISTEN, MOORGATE_DATA),
that over the configuration file, that over the defaults. Users and certificates
are read again when their files change, and on SIGHUP.`,
		Example: `  # a protected registry for this machine
  moorgate serve

  # a private registry for a network
  moorgate serve --listen :5043 --tls-cert domain.crt --tls-key domain.key --htpasswd registry.password

  # the same with a certificate of its own
  moorgate serve --listen :5043 --tls-self-signed

  # a registry for development: everybody may do everything
  moorgate serve --open`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.load(cmd, os.LookupEnv)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "configuration `FILE`")
	flags.StringVar(&f.listen, "listen", "", "`HOST:PORT` to listen on (default 127.0.0.1:5000)")
	flags.StringVar(&f.data, "data", "", "`DIR` for all data (default ./moorgate-data)")
	flags.StringVar(&f.htpasswd, "htpasswd", "", "password `FILE` of the users")
	flags.StringVar(&f.tlsCert, "tls-cert", "", "certificate `FILE`, with its chain")
	flags.StringVar(&f.tlsKey, "tls-key", "", "key `FILE` of the certificate")
	flags.BoolVar(&f.tlsSelfSigned, "tls-self-signed", false, "make a certificate and keep it in the data directory")
	flags.BoolVar(&f.open, "open", false, "ask for no login: everybody may do everything")
	return cmd
}

// load joins file, environment and flags, and validates the result.
func (f *serveFlags) load(cmd *cobra.Command, env func(string) (string, bool)) (config.Config, error) {
	cfg := config.Default()
	if f.config != "" {
		var err error
		if cfg, err = config.Read(f.config); err != nil {
			return cfg, err
		}
	}
	cfg.ApplyEnv(env)
	given := cmd.Flags().Changed
	if given("listen") {
		cfg.Listen = f.listen
	}
	if given("data") {
		cfg.Data = f.data
	}
	if given("htpasswd") {
		cfg.Login = []config.Login{{Htpasswd: &config.Htpasswd{File: f.htpasswd}}}
	}
	if given("tls-cert") || given("tls-key") {
		cfg.TLS = config.TLS{Cert: f.tlsCert, Key: f.tlsKey}
	}
	if given("tls-self-signed") {
		cfg.TLS.SelfSigned = f.tlsSelfSigned
	}
	if given("open") {
		cfg.Open = f.open
	}
	return cfg, config.Problems("", cfg.Validate())
}

// serve runs a registry until the context ends.
func serve(ctx context.Context, cfg config.Config, out, errOut io.Writer) error {
	log := newLogger(cfg.Log, errOut)
	server, err := app.Serve(ctx, cfg, log, out)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-hup:
				server.Reload()
			case <-ctx.Done():
				return
			}
		}
	}()
	err = server.Run(ctx)
	cancel(errors.New("stopped"))
	<-done
	return err
}

// newLogger makes the one logger of the program.
func newLogger(l config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // config.Validate has said so
	}
	opts := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
