package programtest

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/certs"
)

// Service is the program as a service, on the loopback.
type Service struct {
	URL        string
	CA         string // file of the authority of its certificate
	SecretFile string // the secret that it has too

	users   *Users
	files   certs.Files
	address string
	stop    func()
}

// Start runs the program as a service until the end of the test.
func Start(t testing.TB, u *Users) *Service {
	t.Helper()
	dir := t.TempDir()
	hosts, err := certs.ParseHosts([]string{"localhost", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := certs.SelfSigned(filepath.Join(dir, "tls"), hosts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{CA: made.CACert, SecretFile: filepath.Join(dir, "secret"), users: u, files: made.Files, address: "127.0.0.1:0"}
	if err := os.WriteFile(s.SecretFile, []byte(NewSecret()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t)
	return s
}

// NewSecret makes a secret.
func NewSecret() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(secret)
}

// Stop ends the service, as a machine that goes away does.
func (s *Service) Stop() { s.stop() }

// Restart runs the service again, where it was.
func (s *Service) Restart(t testing.TB) {
	t.Helper()
	s.run(t)
}

// startTimeout bounds the wait for a port that somebody else has for a while.
const startTimeout = time.Minute

func (s *Service) run(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(100 * time.Millisecond) {
		err := s.try(t)
		if err == nil {
			s.URL = "https://" + s.address + "/login"
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// try runs the service, and returns when it listens, or has ended.
func (s *Service) try(t testing.TB) error {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), Binary(t),
		"-users", s.users.File, "-listen", s.address, "-secret", s.SecretFile, "-cert", s.files.Cert, "-key", s.files.Key)
	said, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewReader(said)
	line, err := lines.ReadString('\n')
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, lines) // until it ends
	}()
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-read
		_ = cmd.Wait() // it ends by a signal
	})
	address, listens := strings.CutPrefix(strings.TrimSpace(line), "login-program: listening on ")
	if err != nil || !listens {
		s.stop()
		return errors.Join(err, fmt.Errorf("the service has ended: %s", line))
	}
	s.address = address
	t.Cleanup(s.stop)
	return nil
}
