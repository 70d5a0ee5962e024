package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Bounds of a conversation with a server.
const (
	answerTimeout = 30 * time.Second
	maxAnswer     = 64 << 10 // bytes
	maxSaid       = 300      // bytes of what a server says in an error
)

// NewHTTP returns a client that trusts as trust says, waits for half a minute, uses the
// proxies of the environment, and follows no redirects: a secret goes where it was
// sent to.
func NewHTTP(trust Trust) *http.Client {
	return &http.Client{
		Timeout: answerTimeout,
		Transport: naming{files: trust.Unread, next: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust.TLS, ForceAttemptHTTP2: true,
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswer,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// naming names files that could not be read where TLS fails, which may be for want of
// them.
type naming struct {
	files []string
	next  http.RoundTripper
}

func (n naming) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := n.next.RoundTrip(r)
	if err != nil && len(n.files) > 0 && r.URL.Scheme == "https" && isAboutTLS(err) {
		return nil, fmt.Errorf("%w; this user may not read %s", err, strings.Join(n.files, ", "))
	}
	return resp, err
}

// isAboutTLS reports whether a server was not trusted, or has ended a connection that
// stood: what it says about a certificate that it misses may be lost when it closes.
func isAboutTLS(err error) bool {
	var verify *tls.CertificateVerificationError
	var op *net.OpError
	return errors.As(err, &verify) || errors.Is(err, io.EOF) || errors.As(err, &op) && op.Op != "dial"
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// get asks for something that is no secret.
func (c *Client) get(ctx context.Context, where string) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil {
		return reply{}, err
	}
	return c.do(r)
}

// post sends a form.
func (c *Client) post(ctx context.Context, where string, form url.Values) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, where, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(r)
}

func (c *Client) do(r *http.Request) (reply, error) {
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "docker-credential-moorgate")
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", ErrUnreachable, err) // the error names the URL, which has no secret
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return reply{}, fmt.Errorf("%w: %s: %w", ErrUnreachable, r.URL, err)
	case len(body) > maxAnswer:
		return reply{}, fmt.Errorf("%s answers with more than %d bytes: it is no Moorgate", r.URL, maxAnswer)
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// problem is what a server says when it refuses.
func (r reply) problem() error {
	var said struct {
		Description string `json:"error_description"`
	}
	text := ""
	if json.Unmarshal(r.body, &said) == nil {
		text = Printable(said.Description)
	}
	switch {
	case r.status/100 == 3:
		return errors.New("it answers with a redirect, and no secret is sent elsewhere")
	case text == "":
		return fmt.Errorf("it answers with status %d", r.status)
	default:
		return errors.New(text)
	}
}

// Printable shows what others say on one line of bounded length.
func Printable(text string) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsGraphic(c) {
			return c
		}
		return ' '
	}, text)
	if len(text) > maxSaid {
		text = strings.ToValidUTF8(text[:maxSaid], "") + "..."
	}
	return text
}
