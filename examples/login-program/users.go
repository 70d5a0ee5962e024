package main

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Question is what Moorgate asks.
type Question struct {
	Version   int    `json:"version"`
	Operation string `json:"operation"` // verify, lookup or probe; there may be others one day
	Source    string `json:"source"`    // the name of the entry in "login:"
	User      string `json:"user"`
	Password  string `json:"password"`
}

// Answer is what it wants to know.
type Answer struct {
	Result  string         `json:"result"` // ok, wrong, unknown, unsupported or error
	User    string         `json:"user,omitempty"`
	Groups  []string       `json:"groups,omitempty"`
	Claims  map[string]any `json:"claims,omitempty"`
	Stamp   string         `json:"stamp,omitempty"`
	Message string         `json:"message,omitempty"`
}

// users are those of the file, by name.
type users map[string]user

type user struct {
	Hash   string   `json:"hash"` // as hashOf makes it
	Groups []string `json:"groups"`
	Team   string   `json:"team"`
}

func readUsers(file string) (users, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all users
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

func (all users) answer(q Question) Answer {
	switch q.Operation {
	case "verify":
		return all.verify(q.User, q.Password)
	case "lookup":
		return all.lookup(q.User)
	case "probe":
		return Answer{Result: "ok", Message: fmt.Sprintf("%d users", len(all))}
	default:
		return Answer{Result: "unsupported"}
	}
}

func (all users) verify(name, password string) Answer {
	found, known := all[name]
	if !known { // comparing with the hash of somebody else takes as long
		for _, found = range all {
			break
		}
	}
	matches := isHashOf(found.Hash, password)
	switch {
	case !known:
		return Answer{Result: "unknown"}
	case !matches:
		return Answer{Result: "wrong"}
	default:
		return found.ok(name)
	}
}

// lookup tells whether somebody who signed in some time ago is still there. The
// stamp changes with the password, and is not the hash itself.
func (all users) lookup(name string) Answer {
	found, known := all[name]
	if !known {
		return Answer{Result: "unknown"}
	}
	a := found.ok(name)
	stamp := sha256.Sum256([]byte(found.Hash))
	a.Stamp = hex.EncodeToString(stamp[:])
	return a
}

// ok says the name as it stands in the file. A program whose users may be called
// alice and ALICE says "alice" for both, and Moorgate lets in the first.
func (u user) ok(name string) Answer {
	a := Answer{Result: "ok", User: name, Groups: u.Groups}
	if u.Team != "" {
		a.Claims = map[string]any{"team": u.Team}
	}
	return a
}

const iterations = 600_000

// hashOf returns ITERATIONS$SALT$HASH: PBKDF2 with SHA-256.
func hashOf(password string) (string, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	key, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	return fmt.Sprintf("%d$%x$%x", iterations, salt, key), err
}

func isHashOf(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 3 {
		return false
	}
	n, err1 := strconv.Atoi(parts[0])
	salt, err2 := hex.DecodeString(parts[1])
	want, err3 := hex.DecodeString(parts[2])
	if err1 != nil || err2 != nil || err3 != nil {
		return false
	}
	key, err := pbkdf2.Key(sha256.New, password, salt, n, sha256.Size)
	return err == nil && hmac.Equal(key, want) // in constant time
}
