package token

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Bounds of a fetch.
const (
	fetchTimeout = 10 * time.Second
	maxFetched   = 1 << 20 // bytes of an answer
	maxRedirects = 3
)

// checkURL returns the URL of a JWK set if it is safe to fetch from: who can change
// the answer can sign tokens.
func checkURL(rawURL string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("the URL of the keys of a token server cannot be read") // its text may have a password in it
	}
	switch {
	case u.User != nil:
		return nil, errors.New("the URL of the keys of a token server must have no user name and password in it")
	case u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("the URL of the keys of a token server must begin with https:// and a host: %q", rawURL)
	case u.Scheme == "http" && !allowHTTP && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("the keys of a token server at %s could be changed on the way: use https", rawURL)
	}
	return u, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// newClient returns a client that trusts the authorities in caFile, and stays on
// one host.
func newClient(caFile string) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		data, err := readFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("authority for the keys of a token server: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("authority for the keys of a token server: no certificate in PEM is in %s", caFile)
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			TLSClientConfig:   config,
			ForceAttemptHTTP2: true,
			IdleConnTimeout:   fetchTimeout,
		},
		CheckRedirect: stayOnHost,
	}, nil
}

func stayOnHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
		return fmt.Errorf("it redirects to another host, %s: name the right URL", next.URL.Host)
	}
	if len(via) > maxRedirects {
		return errors.New("it redirects too often")
	}
	return nil
}

// get fetches the keys.
func (k *KeysURL) get(ctx context.Context) (map[string]Key, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := k.client.Do(req)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // without the URL, which may be that of a redirect
		}
		return nil, fmt.Errorf("%s: %w", k.url, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", k.url, res.Status)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxFetched+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.url, err)
	}
	if len(data) > maxFetched {
		return nil, fmt.Errorf("%s answers more than %d bytes", k.url, maxFetched)
	}
	keys, err := parseJWKS(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.url, err)
	}
	return keys, nil
}
