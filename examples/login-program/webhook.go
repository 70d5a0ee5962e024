package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// server answers webhooks. Questions and answers are signed as Standard Webhooks
// says (https://www.standardwebhooks.com), for which there are libraries in most
// languages.
type server struct {
	listen     string
	users      string
	secretFile string
	cert, key  string
	secret     []byte
}

func (s *server) run() error {
	text, err := os.ReadFile(s.secretFile)
	if err != nil {
		return err
	}
	encoded, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "whsec_")
	if s.secret, err = base64.StdEncoding.DecodeString(encoded); !ok || err != nil {
		return fmt.Errorf("%s is not whsec_ and a secret in base64", s.secretFile)
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.listen)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "login-program: listening on", l.Addr())
	web := &http.Server{Handler: http.HandlerFunc(s.serve), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	if s.cert != "" {
		return web.ServeTLS(l, s.cert, s.key)
	}
	return web.Serve(l)
}

const maxQuestion = 64 << 10 // bytes

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQuestion))
	if err != nil {
		http.Error(w, "the question is too long, or has broken off", http.StatusBadRequest)
		return
	}
	if err := s.check(r.Header, body); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var q Question
	if json.Unmarshal(body, &q) != nil {
		http.Error(w, "this is no question", http.StatusBadRequest)
		return
	}
	all, err := readUsers(s.users)
	if err != nil {
		http.Error(w, "the users cannot be read", http.StatusServiceUnavailable) // Moorgate asks again
		return
	}
	s.answer(w, r.Header.Get("webhook-id"), all.answer(q))
}

// leeway is how old a question may be.
const leeway = 5 * time.Minute

// check finds out whether a question comes from Moorgate, and is not an old one.
func (s *server) check(h http.Header, body []byte) error {
	at := h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > leeway {
		return errors.New("the time of the question is not that of this machine")
	}
	for signature := range strings.FieldsSeq(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(signature), []byte(s.sign(h.Get("webhook-id"), at, body))) {
			return nil
		}
	}
	return errors.New("the signature is not one of the secret")
}

// answer sends an answer, signed for the one question that it is for.
func (s *server) answer(w http.ResponseWriter, id string, a Answer) {
	body, err := json.Marshal(a)
	if err != nil {
		http.Error(w, "there is no answer", http.StatusInternalServerError)
		return
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("webhook-id", id)
	w.Header().Set("webhook-timestamp", at)
	w.Header().Set("webhook-signature", s.sign(id, at, body))
	_, _ = w.Write(body) // whoever has asked is gone otherwise
}

func (s *server) sign(id, at string, body []byte) string {
	mac := hmac.New(sha256.New, s.secret)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, at, body) // never fails
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
