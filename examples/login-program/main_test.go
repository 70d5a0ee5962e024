package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestHash: what -hash prints is a hash of the password, and of no other.
func TestHash(t *testing.T) {
	t.Parallel()
	hash, err := hashOf("open sesame")
	if err != nil || !isHashOf(hash, "open sesame") || isHashOf(hash, "open sesame ") || isHashOf("", "") || isHashOf("1$00$zz", "") {
		t.Errorf("%q, %v", hash, err)
	}
}

// TestServerTakesSignedQuestions: those of whoever has the secret, and of now.
func TestServerTakesSignedQuestions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, other := &server{users: file, secret: []byte("a secret")}, &server{secret: []byte("another")}
	const body = `{"version":1,"operation":"verify","user":"alice","password":"x"}`
	for name, tt := range map[string]struct {
		by   *server
		age  time.Duration
		body string
		want int
	}{
		"good":         {s, 0, body, http.StatusOK},
		"other secret": {other, 0, body, http.StatusUnauthorized},
		"old":          {s, leeway + time.Minute, body, http.StatusUnauthorized},
		"of tomorrow":  {s, -24 * time.Hour, body, http.StatusUnauthorized},
		"changed":      {s, 0, strings.Replace(body, "alice", "admin", 1), http.StatusUnauthorized},
		"huge":         {s, 0, strings.Repeat(" ", maxQuestion+1), http.StatusBadRequest},
	} {
		at := strconv.FormatInt(time.Now().Add(-tt.age).Unix(), 10)
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(tt.body))
		r.Header.Set("webhook-id", "1")
		r.Header.Set("webhook-timestamp", at)
		r.Header.Set("webhook-signature", "v1,AAAA "+tt.by.sign("1", at, []byte(body)))
		w := httptest.NewRecorder()
		s.serve(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: status %d, want %d: %s", name, w.Code, tt.want, w.Body)
		}
		if w.Code == http.StatusOK && w.Header().Get("webhook-signature") != s.sign("1", w.Header().Get("webhook-timestamp"), w.Body.Bytes()) {
			t.Errorf("%s: the answer is not signed", name)
		}
	}
}
