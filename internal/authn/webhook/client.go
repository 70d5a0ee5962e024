package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

const (
	maxHeader = 16 << 10 // bytes of the headers of an answer
	idle      = 30 * time.Second
)

// newClient returns a client that reaches the service and nobody else: it follows
// no redirect, and no proxy of the environment sees what it sends. It speaks HTTP/1.1,
// where a connection that has died is the trouble of one question.
func newClient(c Config) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("the authorities of the service (ca): %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the authorities of the service (ca): there is no certificate in %s", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("the certificate for the service (cert, key): %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	step := c.Timeout / 2 // who cannot be reached leaves time to say so
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: step}).DialContext,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    step,
			DisableCompression:     true, // what it says is short
			MaxConnsPerHost:        c.MaxConnections,
			MaxIdleConnsPerHost:    c.MaxConnections,
			IdleConnTimeout:        idle,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
