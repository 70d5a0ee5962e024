package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/client"
	"github.com/moorgate/moorgate/internal/credhelper"
	"github.com/moorgate/moorgate/internal/deviceflow"
	"github.com/moorgate/moorgate/internal/keyring"
)

// loginTimeout bounds a login, the typing of a code included.
const loginTimeout = 20 * time.Minute

// loginFlags are the flags of "moorgate login".
type loginFlags struct {
	username, ca               string
	issuer, clientID, issuerCA string
	scopes                     []string
}

func newLoginCommand() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:   "login REGISTRY {--username NAME | --issuer URL --client-id ID}",
		Short: "Sign in to a registry, for docker and others to use",
		Long: `Sign in to a Moorgate, for docker, podman and skopeo to use.

They get short sessions from what is kept, by the helper docker-credential-moorgate:
this program under that name (docs/recipes/credential-helper.md).

With --username the password, or a key, is asked for, or is one line of standard
input. Where the server gives a refresh token for it, only that is kept. With
--issuer you sign in at an identity provider (OpenID Connect): open the page that is
shown, on any device, and type the code.`,
		Example: `  moorgate login registry.example.com:5043 --username alice
  moorgate login registry.example.com:5043 --username ci < key.txt
  moorgate login registry.example.com:5043 --issuer https://login.example.com --client-id moorgate`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return errors.New("too many arguments: a password is never taken from the command line; leave it out to be asked for it, or write it to standard input")
			case len(args) == 0:
				return fmt.Errorf("which registry? usage: %s", cmd.UseLine())
			case f.issuer == "" && f.username == "":
				return fmt.Errorf("who are you? give --username, or --issuer and --client-id; usage: %s", cmd.UseLine())
			case (f.issuer == "") != (f.clientID == ""):
				return errors.New("--issuer and --client-id belong together")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return login(cmd, args[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.username, "username", "", "user `NAME`; with --issuer, what to send with its tokens (default oidc)")
	flags.StringVar(&f.ca, "ca", "", "PEM `FILE` with the authority of the registry's certificate, if it is not in a certs.d directory")
	flags.StringVar(&f.issuer, "issuer", "", "`URL` of an identity provider")
	flags.StringVar(&f.clientID, "client-id", "", "`ID` of a public client with the device flow there")
	flags.StringVar(&f.issuerCA, "issuer-ca", "", "PEM `FILE` with the authority of the provider's certificate")
	flags.StringSliceVar(&f.scopes, "scope", []string{"openid", "profile", "email", "offline_access"}, "what to ask the provider for")
	return cmd
}

func login(cmd *cobra.Command, registry string, f loginFlags) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), loginTimeout)
	defer cancel()
	host, err := client.ParseHost(registry)
	if err != nil {
		return err
	}
	h, err := newHelper(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	for _, file := range []*string{&f.ca, &f.issuerCA} { // it is read again from elsewhere
		if *file == "" {
			continue
		}
		if *file, err = filepath.Abs(*file); err != nil {
			return err
		}
	}
	user, err := signIn(ctx, cmd, h, host, f)
	if err != nil {
		return err
	}
	say(cmd, "signed in to %s as %s\n", host, client.Printable(user))
	say(cmd, "docker uses it with {\"credHelpers\": {\"%s\": \"moorgate\"}} in its config.json, and %s in the PATH\n", host, credhelper.Name)
	return nil
}

// signIn returns the user that the server knows.
func signIn(ctx context.Context, cmd *cobra.Command, h *credhelper.Helper, host client.Host, f loginFlags) (string, error) {
	if f.issuer == "" {
		password, err := oldPassword(ctx, cmd.InOrStdin(), cmd.ErrOrStderr(), f.username)
		if err != nil {
			return "", err
		}
		return h.SignIn(ctx, host, f.ca, f.username, password)
	}
	hc, err := h.HTTP(f.issuerCA, f.issuer)
	if err != nil {
		return "", err
	}
	provider, err := deviceflow.Discover(ctx, hc, f.issuer, f.clientID, f.scopes)
	if err != nil {
		return "", err
	}
	prompt, err := provider.Start(ctx)
	if err != nil {
		return "", err
	}
	where := cmd.ErrOrStderr()
	fmt.Fprintf(where, "open %s and type the code %s\n", client.Printable(prompt.URL), client.Printable(prompt.Code))
	if prompt.Full != "" {
		fmt.Fprintf(where, "or open %s and compare the code\n", client.Printable(prompt.Full))
	}
	tokens, err := provider.Wait(ctx, prompt)
	if err != nil {
		return "", err
	}
	user := f.username
	if user == "" {
		user = "oidc"
	}
	return h.SignInOIDC(ctx, host, f.ca, user, keyring.OIDC{Issuer: f.issuer, ClientID: f.clientID, Scopes: f.scopes, CA: f.issuerCA}, tokens)
}

func newLogoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout REGISTRY",
		Short: "Forget the login to a registry",
		Long: `Forget the login to a registry, and give its refresh token back.

The session that docker got last stays good until it expires, or its user's password
changes.`,
		Example: `  moorgate logout registry.example.com:5043`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := client.ParseHost(args[0])
			if err != nil {
				return err
			}
			h, err := newHelper(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := h.SignOut(cmd.Context(), host); err != nil {
				return fmt.Errorf("%s: %w", host, err)
			}
			say(cmd, "signed out of %s\n", host)
			return nil
		},
	}
}
