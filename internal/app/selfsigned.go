package app

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/moorgate/moorgate/internal/certs"
)

// selfSigned sees to it that the data directory holds a certificate, now and
// while the server runs.
func (s *Server) selfSigned() (certs.Files, error) {
	hosts, err := s.certHosts()
	if err != nil {
		return certs.Files{}, err
	}
	dir := filepath.Join(s.cfg.Data, "tls")
	made, err := certs.SelfSigned(dir, hosts, time.Now())
	if err != nil {
		return certs.Files{}, fmt.Errorf("cannot make a self-signed certificate: %w", err)
	}
	s.log.Info("self-signed certificate: clients must trust its authority", "ca", made.CACert, "hosts", hosts.Strings(), "until", made.Leaf.NotAfter)
	s.tasks = append(s.tasks, func(ctx context.Context) { s.renewDaily(ctx, dir, hosts) })
	return made.Files, nil
}

// certHosts are the names that clients may use for this machine.
func (s *Server) certHosts() (certs.Hosts, error) {
	names := s.cfg.TLS.Hosts
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1", "::1"}
		if host, _, err := net.SplitHostPort(s.cfg.Listen); err == nil && host != "" && !net.ParseIP(host).IsUnspecified() {
			names = append(names, host)
		}
		if name, err := os.Hostname(); err == nil {
			if _, err := certs.ParseHosts([]string{name}); err == nil {
				names = append(names, name)
			}
		}
	}
	hosts, err := certs.ParseHosts(names)
	if err != nil {
		return certs.Hosts{}, fmt.Errorf("tls.hosts: %w", err)
	}
	return hosts, nil
}

// renewDaily makes the certificate anew before it ends. The watcher of its files
// brings it into use.
func (s *Server) renewDaily(ctx context.Context, dir string, hosts certs.Hosts) {
	tick := time.NewTicker(24 * time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := certs.SelfSigned(dir, hosts, time.Now()); err != nil {
				s.log.ErrorContext(ctx, "cannot renew the self-signed certificate", "err", err)
			}
		}
	}
}
