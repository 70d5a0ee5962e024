package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorgate/moorgate/internal/kubelet"
)

// kubeletFlags are the flags of "moorgate kubelet-credentials".
type kubeletFlags struct {
	registries    []string
	user, keyFile string
	cache         time.Duration
}

func newKubeletCommand() *cobra.Command {
	var f kubeletFlags
	cmd := &cobra.Command{
		Use:   "kubelet-credentials --registry HOST...",
		Short: "Give the kubelet of Kubernetes credentials for images",
		Long: `Give the kubelet of Kubernetes credentials for the images of a registry.

The kubelet runs this command before it pulls an image: a credential provider plugin
of credentialprovider.kubelet.k8s.io/v1. It reads the request on standard input and
writes the response. The credentials are the token of the service account that the
image is pulled for, which the registry takes by its "oidc" source; or, with
--key-file, one key for all images. docs/recipes/kubernetes.md has the whole setup.`,
		Example: `  moorgate kubelet-credentials --registry registry.example.com:5043
  moorgate kubelet-credentials --registry '*.example.com' --user oidc
  moorgate kubelet-credentials --registry registry.example.com --user node --key-file /etc/moorgate/node.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := f.provider()
			if err != nil {
				return err
			}
			return p.Answer(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.registries, "registry", nil, "`HOST:PORT` of a registry that gets the credentials, with * for parts of a domain; may be given again")
	flags.StringVar(&f.user, "user", "oidc", "user `NAME` to send")
	flags.StringVar(&f.keyFile, "key-file", "", "`FILE` with a key to send in place of service account tokens")
	flags.DurationVar(&f.cache, "cache", 10*time.Minute, "how long the kubelet may use an answer again; never longer than a token lives")
	return cmd
}

func (f kubeletFlags) provider() (*kubelet.Provider, error) {
	if len(f.registries) == 0 {
		return nil, errors.New("which registries are the credentials for? give --registry")
	}
	if f.cache < 0 {
		return nil, fmt.Errorf("--cache %s is less than nothing", f.cache)
	}
	p := &kubelet.Provider{User: f.user, Cache: f.cache, Now: time.Now}
	for _, text := range f.registries {
		pattern, err := kubelet.ParsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("--registry: %w", err)
		}
		p.Registries = append(p.Registries, pattern)
	}
	if f.keyFile == "" {
		return p, nil
	}
	var err error
	p.Key, err = readKeyFile(f.keyFile)
	return p, err
}

// readKeyFile reads a file with one line that nobody else may read.
func readKeyFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("%s has mode %04o, so others can read the key: make it private (chmod 600 %s)", path, mode, path)
	}
	key, err := readLine(file)
	if err != nil {
		return "", fmt.Errorf("%s: it has no key: %w", path, err)
	}
	return key, nil
}
