package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// The user of all servers that ask for one.
const (
	userName = "bench"
	password = "a password of the bench"
)

// guard is how a server asks who is there: the cost of the bcrypt hash in its
// password file; 0 if it asks for nobody.
type guard int

// bearer is a guard by tokens of our own.
const bearer guard = -1

// lightGuard is the one that costs least.
const lightGuard guard = 5

func (g guard) String() string {
	switch g {
	case 0:
		return "no auth"
	case bearer:
		return "token"
	default:
		return fmt.Sprintf("bcrypt %d", int(g))
	}
}

// basic is what clients send that have a password.
func basic() http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(userName+":"+password))}}
}

// header is what clients send.
func (s *server) header() http.Header {
	switch s.guard {
	case 0:
		return nil
	case bearer:
		return http.Header{"Authorization": {"Bearer " + s.token}}
	default:
		return basic()
	}
}

// tokenPath is where a client asks for a token with which it may push and pull.
const tokenPath = "/token?service=moorgate&scope=repository:" + repo + ":pull,push"

// signIn gets a token, where one is needed.
func (s *server) signIn(ctx context.Context) error {
	if s.guard != bearer {
		return nil
	}
	var text bytes.Buffer
	if _, err := newClient(s.base, basic(), s.tls).do(ctx, http.StatusOK, http.MethodGet, tokenPath, http.NoBody, 0, nil, &text); err != nil {
		return err
	}
	var answer struct {
		Token string `json:"token"`
	}
	err := json.Unmarshal(text.Bytes(), &answer)
	s.token = answer.Token
	return err
}

// htpasswd returns the password file for a guard.
func (b *bench) htpasswd(g guard) string {
	return filepath.Join(b.dir, fmt.Sprintf("htpasswd.%d", int(g)))
}

// writeHtpasswd makes the password files of guards.
func (b *bench) writeHtpasswd(list ...guard) error {
	for _, g := range list {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), int(g))
		if err != nil {
			return err
		}
		line := userName + ":" + strings.Replace(string(hash), "$2a$", "$2y$", 1) + "\n" // as htpasswd(1) writes it
		if err := os.WriteFile(b.htpasswd(g), []byte(line), 0o644); err != nil {         //nolint:gosec // nginx reads it as another user; it opens nothing else
			return err
		}
	}
	return nil
}
