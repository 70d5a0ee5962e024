// Package kubelet answers the kubelet of Kubernetes, which asks a program for
// credentials before it pulls an image (docs/recipes/kubernetes.md).
//
// The shapes are those of credentialprovider.kubelet.k8s.io/v1, as
// https://kubernetes.io/docs/reference/config-api/kubelet-credentialprovider.v1/ has
// them; service account tokens came with KEP-4412.
package kubelet

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/distribution/reference"
)

// What the version of the API is called.
const (
	apiVersion   = "credentialprovider.kubelet.k8s.io/v1"
	requestKind  = "CredentialProviderRequest"
	responseKind = "CredentialProviderResponse"
)

// Bounds, in bytes.
const (
	maxRequest = 1 << 20
	maxToken   = 16 << 10
)

// margin is how long before the end of a token the kubelet is to ask for another: a
// pull takes its time.
const margin = time.Minute

// request is a CredentialProviderRequest. Members that we do not know are skipped: later
// versions of the kubelet may send more.
type request struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Image      string `json:"image"`
	Token      string `json:"serviceAccountToken"`
}

// response is a CredentialProviderResponse. Auth is null where there is nothing for
// the image.
type response struct {
	APIVersion    string          `json:"apiVersion"`
	Kind          string          `json:"kind"`
	CacheKeyType  string          `json:"cacheKeyType"`
	CacheDuration string          `json:"cacheDuration"` // as time.Duration prints it
	Auth          map[string]auth `json:"auth,omitempty"`
}

// auth is an AuthConfig.
type auth struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Provider makes credentials for images.
type Provider struct {
	Registries []Pattern // that they are for; no others get any
	User       string    // the name to send with a token or a key

	// Key is what is sent for all images. "" sends the token of the service account
	// that the image is pulled for.
	Key string

	Cache time.Duration // for how long the kubelet may keep an answer, at most
	Now   func() time.Time
}

// Answer reads a request and writes the response to it. An error is for the log of the
// kubelet, and has no secret in it.
func (p *Provider) Answer(in io.Reader, out io.Writer) error {
	q, err := readRequest(in)
	if err != nil {
		return err
	}
	answer := response{APIVersion: apiVersion, Kind: responseKind, CacheKeyType: "Registry", CacheDuration: p.Cache.String()}
	host, err := registryOf(q.Image)
	if err != nil {
		return err
	}
	if p.isOurs(host) {
		password, life, err := p.password(q)
		if err != nil {
			return err
		}
		answer.CacheDuration = life.String()
		answer.Auth = map[string]auth{host: {Username: p.User, Password: password}}
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	_, err = out.Write(append(text, '\n'))
	return err
}

func readRequest(in io.Reader) (request, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxRequest+1))
	var q request
	switch {
	case err != nil:
		return request{}, fmt.Errorf("cannot read the request of the kubelet: %w", err)
	case len(data) > maxRequest:
		return request{}, fmt.Errorf("the request is longer than %d bytes", maxRequest)
	case len(data) == 0:
		return request{}, fmt.Errorf("no request on standard input: the kubelet runs this command, and sends a %s", requestKind)
	}
	if err := json.Unmarshal(data, &q); err != nil { // which may quote what is there
		return request{}, fmt.Errorf("the request of the kubelet is not the JSON of a %s", requestKind)
	}
	switch {
	case q.Kind != requestKind:
		return request{}, fmt.Errorf("the request is a %.80q, not a %s", q.Kind, requestKind)
	case q.APIVersion != apiVersion:
		return request{}, fmt.Errorf("the request is of %.80q: set apiVersion of this provider in the CredentialProviderConfig to %s", q.APIVersion, apiVersion)
	}
	return q, nil
}

// registryOf returns host and port of the registry of an image, as the image has them:
// the kubelet compares letter by letter when it looks up what it was answered.
func registryOf(image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("the image %.200q of the request has no name: %w", image, err)
	}
	return reference.Domain(named), nil
}

func (p *Provider) isOurs(host string) bool {
	for _, pattern := range p.Registries {
		if pattern.matches(host) {
			return true
		}
	}
	return false
}

// password returns what to send, and for how long the kubelet may keep it.
func (p *Provider) password(q request) (string, time.Duration, error) {
	if p.Key != "" {
		return p.Key, p.Cache, nil
	}
	if q.Token == "" {
		return "", 0, errors.New("the request has no serviceAccountToken: set tokenAttributes.serviceAccountTokenAudience of this provider in the CredentialProviderConfig, or give it a key by --key-file")
	}
	end, err := endOf(q.Token)
	if err != nil {
		return "", 0, fmt.Errorf("the serviceAccountToken of the request: %w", err)
	}
	left := end.Sub(p.Now())
	if left <= 0 {
		return "", 0, fmt.Errorf("the serviceAccountToken of the request was good until %s: compare the clocks of the node and the cluster", end.UTC().Format(time.RFC3339))
	}
	return q.Token, max(min(p.Cache, left-margin), 0).Truncate(time.Second), nil
}

// endOf returns when a token ends. The registry verifies it; here it is only read.
func endOf(token string) (time.Time, error) {
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 {
		return time.Time{}, fmt.Errorf("it is not a JWT of at most %d bytes", maxToken)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, errors.New("it is not a JWT")
	}
	var claims struct {
		Expires int64 `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Expires <= 0 {
		return time.Time{}, errors.New("it does not say when it ends (exp)")
	}
	return time.Unix(claims.Expires, 0), nil
}
