package app

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/netip"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/authn/clientcert"
	"github.com/moorgate/moorgate/internal/authn/front"
	"github.com/moorgate/moorgate/internal/certs"
	"github.com/moorgate/moorgate/internal/config"
	"github.com/moorgate/moorgate/internal/filewatch"
	"github.com/moorgate/moorgate/internal/gate"
)

// openCertificate opens the source of those who show a certificate.
func (s *Server) openCertificate(l config.Login, ss *sources) (source, error) {
	c := l.Certificate.Config
	watch := filewatch.New(s.log, c.Files()...)
	clients, err := clientcert.Open(l.Source(), c)
	if err != nil {
		return source{}, err
	}
	warn := func() {
		for _, warning := range clients.Warnings() {
			s.log.Warn("client certificates", "source", l.Source(), "warning", warning)
		}
	}
	warn()
	s.keep = append(s.keep, keeper{what: "authorities of clients", file: c.CA, watch: watch, reload: func() error {
		err := clients.Reload()
		warn()
		return err
	}})
	ss.authorities = append(ss.authorities, clients.Authorities)
	return source{presence: &direct{clients, s.cfg.Proxies()}, prober: clients}, nil
}

// direct is a source that does not see the certificates of proxies: such a one is
// that of the proxy, and not of whoever sends requests through it.
type direct struct {
	next    authn.Presence
	proxies []netip.Prefix
}

// VerifyArrival is authn.Presence.
func (d *direct) VerifyArrival(ctx context.Context, a authn.Arrival) (access.Identity, error) {
	for _, proxy := range d.proxies {
		if proxy.Contains(a.Peer) {
			a.TLS = nil
		}
	}
	return d.next.VerifyArrival(ctx, a)
}

// askForCertificates has clients asked for a certificate, if there are authorities
// for them, and told which ones those are now. No configuration has such a source
// without TLS.
func (s *Server) askForCertificates(authorities []func() []*x509.Certificate) {
	if len(authorities) == 0 {
		return
	}
	s.tls = certs.AskClients(s.tls, func() (all []*x509.Certificate) {
		for _, some := range authorities {
			all = append(all, some()...)
		}
		return all
	})
}

// openFront opens the source of those whom a proxy in front has let in.
func (s *Server) openFront(l config.Login, ss *sources) (source, error) {
	c := l.Front.Config
	watch := filewatch.New(s.log, c.SecretFile)
	users, err := front.Open(l.Source(), c, s.log)
	if err != nil {
		return source{}, err
	}
	if c.SecretFile != "" {
		s.keep = append(s.keep, keeper{what: "secret of the proxy in front", file: c.SecretFile, watch: watch, reload: users.Reload})
	}
	ss.claims = append(ss.claims, users.Headers()...)
	return source{presence: users, prober: users}, nil
}

// withoutHeaders takes headers away that are for the gate alone: an upstream should
// neither believe them nor learn a secret.
func withoutHeaders(next gate.Handler, headers []string) gate.Handler {
	if next == nil || len(headers) == 0 {
		return next
	}
	return &discreet{next, headers}
}

type discreet struct {
	next    gate.Handler
	headers []string
}

// ServeOCI is gate.Handler.
func (d *discreet) ServeOCI(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	r = r.WithContext(r.Context()) // a copy
	r.Header = r.Header.Clone()
	for _, name := range d.headers {
		r.Header.Del(name)
	}
	return d.next.ServeOCI(w, r, c)
}
