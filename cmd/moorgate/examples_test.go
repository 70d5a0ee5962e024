package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/config"
)

func TestExamplesAreGoodConfigurations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"behind-proxy.yaml", "development.yaml", "gateway.yaml", "minimal.yaml", "policy.yaml", "private.yaml", "token-server.yaml", "trust-token-server.yaml"}
	var names []string
	for _, file := range files {
		names = append(names, filepath.Base(file))
		f, err := config.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Problems("") {
			t.Errorf("%s: %s", file, p)
		}
		var out, errOut bytes.Buffer
		if code := run([]string{"check", file}, strings.NewReader(""), &out, &errOut); code != 0 || out.String() != file+": ok\n" {
			t.Errorf("moorgate check %s: exit code %d\n%s%s", file, code, out.String(), errOut.String())
		}
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("the examples are %q, want %q", names, want)
	}
}

// TestExamplesSayWhatTheyAreFor: what each of them is about is in it.
func TestExamplesSayWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	example := func(name string) config.Config {
		f, err := config.Load(filepath.Join("..", "..", "examples", name))
		if err != nil || f.FormError() != nil {
			t.Fatal(err, f.FormError())
		}
		return f.Config
	}
	if c := example("minimal.yaml"); c.Open || len(c.Login) > 0 || !c.Loopback() {
		t.Errorf("minimal.yaml is not the protected registry for one machine: %+v", c)
	}
	if c := example("private.yaml"); !c.TLS.On() || len(c.Login) == 0 || c.Loopback() {
		t.Errorf("private.yaml is not a protected registry for a network: %+v", c)
	}
	if c := example("behind-proxy.yaml"); c.TLS.On() || len(c.TrustedProxies) == 0 || len(c.Login) == 0 {
		t.Errorf("behind-proxy.yaml is not a registry behind a proxy that ends TLS: %+v", c)
	}
	if c := example("development.yaml"); !c.Open || !c.Loopback() {
		t.Errorf("development.yaml is not an open registry for one machine: %+v", c)
	}
}
