package token

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/moorgate/moorgate/internal/loopback"
)

// Bounds of a fetch.
const (
	fetchTimeout = 10 * time.Second // unless something else is said
	maxFetched   = 1 << 20          // bytes of an answer
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
	case u.Scheme == "http" && !allowHTTP && !loopback.Is(u.Hostname()):
		return nil, fmt.Errorf("the keys of a token server at %s could be changed on the way: use https", rawURL)
	}
	return u, nil
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

// location is where something is fetched from.
type location struct {
	url       *url.URL
	tokenFile string // "": nobody asks for a token there
}

// answer is what came from a location.
type answer struct {
	data []byte
	date time.Time // by the clock of who sent it; the zero value if that was not said
}

// get fetches the keys.
func (k *KeysURL) get(ctx context.Context) (map[string]Key, error) {
	keys, _, _, err := k.look(ctx)
	return keys, err
}

// look is get that says more.
func (k *KeysURL) look(ctx context.Context) (map[string]Key, location, answer, error) {
	ctx, cancel := context.WithTimeout(ctx, k.options.Timeout)
	defer cancel()
	at, err := k.locate(ctx)
	if err != nil {
		return nil, at, answer{}, err
	}
	a, err := k.read(ctx, at)
	if err != nil {
		return nil, at, a, err
	}
	keys, err := parseJWKS(a.data)
	if err != nil {
		return nil, at, a, fmt.Errorf("%s: %w", at.url, err)
	}
	return keys, at, a, nil
}

// read fetches what is at a location.
func (k *KeysURL) read(ctx context.Context, at location) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.url.String(), http.NoBody)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	if at.tokenFile != "" {
		token, err := readFile(at.tokenFile)
		if err != nil {
			return answer{}, fmt.Errorf("token for %s: %w", at.url, err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	res, err := k.client.Do(req)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // without the URL, which may be that of a redirect
		}
		return answer{}, fmt.Errorf("%s: %w", at.url, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("%s answers %s", at.url, res.Status)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxFetched+1))
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", at.url, err)
	}
	if len(data) > maxFetched {
		return answer{}, fmt.Errorf("%s answers more than %d bytes", at.url, maxFetched)
	}
	date, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		date = time.Time{}
	}
	return answer{data: data, date: date}, nil
}
