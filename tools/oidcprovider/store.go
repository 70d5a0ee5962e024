package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// store is the storage of the library's example with signing keys that rotate, a
// client for the device flow with refresh tokens, and groups of people.
type store struct {
	*storage.Storage

	people people
	issuer string

	mu   sync.Mutex
	keys []signingKey // the first one signs, all are published
}

// signingKey is an op.SigningKey.
type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signingKey) Key() any                                    { return k.key }
func (k signingKey) ID() string                                  { return k.id }

// publicKey is its op.Key.
type publicKey struct{ signingKey }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return &k.key.PublicKey }

// rotate makes another key that signs from now on; the others go, or stay published.
func (s *store) rotate(keep bool) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // the machine has no random numbers
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := []signingKey{{id: rand.Text(), key: key}}
	if keep {
		keys = append(keys, s.keys...)
	}
	s.keys = keys
}

// SigningKey returns the key that signs.
func (s *store) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[0], nil
}

// SignatureAlgorithms returns the algorithm of all keys.
func (s *store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

// KeySet returns the keys that are published.
func (s *store) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var public []op.Key
	for _, k := range s.keys {
		public = append(public, publicKey{k})
	}
	return public, nil
}

// client is a public client of the device flow.
type client struct{ op.Client }

func (c client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeDeviceCode, oidc.GrantTypeRefreshToken}
}
func (c client) IDTokenUserinfoClaimsAssertion() bool { return true } // there is no other place for them
func (c client) IsScopeAllowed(scope string) bool     { return scope == "groups" }

// GetClientByClientID returns the one client.
func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{found}, nil
}

// SetUserinfoFromRequest adds the groups of somebody to an ID token.
func (s *store) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	for _, scope := range scopes {
		if scope == "groups" {
			info.AppendClaims("groups", s.people[request.GetSubject()].groups)
		}
	}
	return s.Storage.SetUserinfoFromRequest(ctx, info, request, scopes)
}

// CreateAccessAndRefreshTokens makes a refresh token know its client, which the
// example forgets in the device flow.
func (s *store) CreateAccessAndRefreshTokens(ctx context.Context, request op.TokenRequest, current string) (string, string, time.Time, error) {
	id, refresh, expires, err := s.Storage.CreateAccessAndRefreshTokens(ctx, request, current)
	state, isDevice := request.(*op.DeviceAuthorizationState)
	if err != nil || !isDevice {
		return id, refresh, expires, err
	}
	made, err := s.TokenRequestByRefreshToken(ctx, refresh)
	if err != nil {
		return "", "", time.Time{}, err
	}
	if r, ok := made.(*storage.RefreshTokenRequest); ok {
		r.ApplicationID, r.AuthTime = state.ClientID, time.Now()
	}
	return id, refresh, expires, nil
}

// showDevice is the page that a person opens (RFC 8628, section 3.3).
func (s *store) showDevice(w http.ResponseWriter, _ *http.Request) {
	answer(w, "POST user_code, username, password, and action=allow or deny to this address.")
}

// decideDevice is what a person does there.
func (s *store) decideDevice(w http.ResponseWriter, r *http.Request) {
	user, code := r.PostFormValue("username"), r.PostFormValue("user_code")
	if err := s.CheckUsernamePasswordSimple(user, r.PostFormValue("password")); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	_, err := s.GetDeviceAuthorizationByUserCode(r.Context(), code)
	switch {
	case err != nil:
	case r.PostFormValue("action") == "allow":
		err = s.CompleteDeviceAuthorization(r.Context(), code, user)
	default:
		err = s.DenyDeviceAuthorization(r.Context(), code)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	answer(w, "done")
}

// signClaims answers with an ID token of the claims in the form, a JSON object, as a
// CI system gives one to a job. iss, iat and exp have defaults.
func (s *store) signClaims(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	claims := map[string]any{"iss": s.issuer, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	if err := json.Unmarshal([]byte(r.PostFormValue("claims")), &claims); err != nil {
		http.Error(w, "claims must be a JSON object: "+err.Error(), http.StatusBadRequest)
		return
	}
	token, err := s.sign(r.Context(), claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, token)
}

func answer(w http.ResponseWriter, text string) {
	_, _ = io.WriteString(w, text) // nobody is left to be told that the client is gone
}

func (s *store) sign(ctx context.Context, claims map[string]any) (string, error) {
	key, err := s.SigningKey(ctx)
	if err != nil {
		return "", err
	}
	signer, err := op.SignerFromKey(key)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
