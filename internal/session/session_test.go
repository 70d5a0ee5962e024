package session_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/session"
	"github.com/moorgate/moorgate/internal/token"
)

const issuer = "gate.example"

// rig is a server's sessions and registry tokens, with a clock and a directory that
// the test changes.
type rig struct {
	*session.Sessions
	keys     *token.Keys
	registry *token.Verifier // of registry tokens of the same issuer

	mu     sync.Mutex
	now    time.Time
	people map[string]string // stamps, by source and user: "file alice"
	groups []string          // of everybody in the directory
	fault  error             // of the directory
	asked  int               // how often it was asked
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{now: time.Now().Truncate(time.Second), people: map[string]string{"file alice": "hash 1"}, groups: []string{"dev"}}
	keys, err := token.OpenKeys(t.TempDir(), token.KeysOptions{Now: r.clock})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := keys.Derive("sessions")
	if err != nil {
		t.Fatal(err)
	}
	r.keys = keys
	r.registry = &token.Verifier{Issuer: issuer, Audience: "moorgate", Keys: keys, Now: r.clock}
	r.Sessions = &session.Sessions{
		Issuer: issuer, Sign: keys.Sign, Users: r, Secret: secret, TTL: time.Hour, Now: r.clock,
		Verifier: &token.Verifier{Issuer: issuer, Audience: session.Audience, Keys: keys, Sessions: true, Now: r.clock},
	}
	return r
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// Lookup is the directory.
func (r *rig) Lookup(_ context.Context, source, user string) (access.Identity, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	stamp, ok := r.people[source+" "+user]
	switch {
	case r.fault != nil:
		return access.Identity{}, "", r.fault
	case source != "file":
		return access.Identity{}, "", authn.ErrCannotTell
	case !ok:
		return access.Identity{}, "", authn.ErrNoMatch
	}
	return access.Identity{User: user, Source: source, Groups: r.groups}, stamp, nil
}

func alice() access.Identity {
	return access.Identity{User: "alice", Source: "file", Groups: []string{"dev"}}
}

// robot is somebody whom a token vouches for, and of whom no directory knows.
func (r *rig) robot(end time.Duration) access.Identity {
	return access.Identity{User: "ci", Source: "oidc", Groups: []string{"robots"}, Until: r.clock().Add(end), Claims: map[string]any{"repository": "team/app"}}
}

func (r *rig) start(t *testing.T, who access.Identity) string {
	t.Helper()
	s, err := r.Issue(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	return s.Token
}

func TestASessionIsAPasswordOfItsUser(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := r.start(t, alice())
	if !r.Recognizes("alice", text) {
		t.Error("the session is not recognized")
	}
	who, err := r.VerifyPassword(t.Context(), "alice", text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(alice(), who); diff != "" {
		t.Error(diff)
	}
	for user, want := range map[string]error{"bob": authn.ErrWrongPassword, "": authn.ErrWrongPassword, "Alice": authn.ErrWrongPassword} {
		if _, err := r.VerifyPassword(t.Context(), user, text); !errors.Is(err, want) {
			t.Errorf("as %q: %v", user, err)
		}
	}
	r.advance(time.Hour)
	if _, err := r.VerifyPassword(t.Context(), "alice", text); !errors.Is(err, authn.ErrWrongPassword) || strings.Contains(err.Error(), text) {
		t.Errorf("after its end: %v", err)
	}
}

func TestASessionIsABearerTokenWithoutACeiling(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := r.start(t, alice())
	got, err := r.VerifyToken(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	want := authn.Token{Who: alice(), Expires: r.clock().Add(time.Hour)}
	if got.Ceiling != nil || !got.Expires.Equal(want.Expires) || cmp.Diff(want.Who, got.Who) != "" {
		t.Errorf("got %+v, want %+v", got, want)
	}
	r.advance(time.Hour)
	if got, err := r.VerifyToken(t.Context(), text); !errors.Is(err, authn.ErrExpired) || got.Who.User != "alice" {
		t.Errorf("after its end: %+v, %v", got, err) // an upload that began before may be finished
	}
}

// Who signed in with a token keeps what it says, and no longer than it.
func TestTheSessionOfAToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	robot := r.robot(10 * time.Minute)
	s, err := r.Issue(t.Context(), robot)
	if err != nil || !s.Expires.Equal(r.clock().Add(10*time.Minute)) {
		t.Fatalf("ends at %v: %v", s.Expires, err)
	}
	who, err := r.VerifyPassword(t.Context(), "ci", s.Token)
	if err != nil {
		t.Fatal(err)
	}
	robot.Until = time.Time{} // that is the end of the session now
	if diff := cmp.Diff(robot, who); diff != "" {
		t.Error(diff)
	}
	long, err := r.Issue(t.Context(), r.robot(2*time.Hour))
	if err != nil || !long.Expires.Equal(r.clock().Add(time.Hour)) {
		t.Errorf("of a token that lives longer: ends at %v, %v", long.Expires, err)
	}
	// The claims of a program are no token, whatever they are called.
	alice := alice()
	alice.Claims = map[string]any{"team": "core", "exp": 1}
	if of, err := r.Issue(t.Context(), alice); err != nil || !of.Expires.Equal(r.clock().Add(time.Hour)) {
		t.Errorf("of somebody with claims: ends at %v, %v", of.Expires, err)
	}
	if _, err := r.Issue(t.Context(), r.robot(0)); !errors.Is(err, authn.ErrExpired) {
		t.Errorf("of a token that has ended: %v", err)
	}
	if _, err := r.Issue(t.Context(), access.Anonymous()); err == nil {
		t.Error("a session of nobody")
	}
}

// What ends a session before its time: the user goes, or gets another password. That
// counts within seconds, and what a directory says now counts for groups.
func TestASessionEndsWithItsUser(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*rig)
		want   error // nil: it goes on
	}{
		"another password": {func(r *rig) { r.people["file alice"] = "hash 2" }, authn.ErrNoMatch},
		"no such user":     {func(r *rig) { delete(r.people, "file alice") }, authn.ErrNoMatch},
		"other groups":     {func(r *rig) { r.groups = []string{"interns"} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			text := r.start(t, alice())
			if _, err := r.VerifyPassword(t.Context(), "alice", text); err != nil {
				t.Fatal(err)
			}
			r.mu.Lock()
			tt.change(r)
			r.mu.Unlock()
			r.advance(10 * time.Second)
			who, err := r.VerifyPassword(t.Context(), "alice", text)
			if !errors.Is(err, tt.want) || tt.want == nil && !slices.Equal(who.Groups, r.groups) {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
}

func TestADirectoryIsAskedNowAndThen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := r.start(t, alice())
	r.advance(10 * time.Second) // until then it is believed what it has just said
	r.asked = 0
	for range 100 {
		if _, err := r.VerifyPassword(t.Context(), "alice", text); err != nil {
			t.Fatal(err)
		}
	}
	if r.asked != 1 {
		t.Errorf("asked %d times", r.asked)
	}
	// One that cannot answer is no reason to say that the password is wrong.
	r.advance(time.Minute)
	r.fault = errors.New("the directory is away")
	_, err := r.VerifyPassword(t.Context(), "alice", text)
	if !errors.Is(err, r.fault) || errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrWrongPassword) {
		t.Errorf("without the directory: %v", err)
	}
	if _, err := r.Issue(t.Context(), alice()); !errors.Is(err, r.fault) {
		t.Errorf("a new one without the directory: %v", err)
	}
}

// Where there are none any more, those from before are worth nothing, and are shown to
// no other source.
func TestSessionsThatWereSwitchedOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := r.start(t, alice())
	r.TTL = 0
	if _, err := r.VerifyPassword(t.Context(), "alice", text); !errors.Is(err, authn.ErrNoMatch) || !r.Recognizes("alice", text) {
		t.Errorf("error %v, recognized: %v", err, r.Recognizes("alice", text))
	}
	if _, err := r.VerifyToken(t.Context(), text); !errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("as a token: %v", err)
	}
}

// A colon cannot be in the name that a session is sent with.
func TestTheAccountOfAJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	job := r.robot(time.Hour)
	job.User = "repo:org/app:ref"
	text := r.start(t, job)
	account := session.Account(job.User)
	if who, err := r.VerifyPassword(t.Context(), account, text); strings.Contains(account, ":") || err != nil || who.User != job.User {
		t.Errorf("as %q: %+v, %v", account, who, err)
	}
	if _, err := r.VerifyPassword(t.Context(), "repo_org/other", text); !errors.Is(err, authn.ErrWrongPassword) {
		t.Errorf("as another job: %v", err)
	}
}

// Who is gone may still be remembered where they have signed in, and gets no session.
// One of which no directory will ever tell does, and a directory that is away is no
// reason to believe that it would not.
func TestWhoGetsASession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := r.Issue(t.Context(), access.Identity{User: "carol", Source: "file"}); !errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("who is gone: %v", err)
	}
	if _, err := r.Issue(t.Context(), r.robot(time.Hour)); err != nil {
		t.Errorf("who cannot be asked about: %v", err)
	}
	bound := r.start(t, alice())
	r.fault = errors.New("the directory is away")
	if _, err := r.Issue(t.Context(), alice()); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("without the directory: %v", err)
	}
	r.fault = authn.ErrCannotTell // the source is not configured any more
	r.advance(10 * time.Second)
	if _, err := r.VerifyPassword(t.Context(), "alice", bound); !errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("of a source that was removed: %v", err)
	}
}

// Who has another password uses the session of that one at once, though the one before
// was in use just now.
func TestANewSessionAfterANewPassword(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before := r.start(t, alice())
	if _, err := r.VerifyPassword(t.Context(), "alice", before); err != nil {
		t.Fatal(err)
	}
	r.people["file alice"] = "hash 2"
	if _, err := r.VerifyPassword(t.Context(), "alice", r.start(t, alice())); err != nil {
		t.Errorf("the new one: %v", err)
	}
	if _, err := r.VerifyPassword(t.Context(), "alice", before); !errors.Is(err, authn.ErrNoMatch) {
		t.Errorf("the one before: %v", err)
	}
}

// A session is for nothing else, and nothing else is a session, though one issuer
// signs both.
func TestSessionsAndRegistryTokensAreNotMistaken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := r.start(t, alice())
	lax := &token.Verifier{Issuer: issuer, Audience: session.Audience, Keys: r.keys, Now: r.clock}
	foreign := &token.Verifier{Issuer: issuer, Audience: session.Audience, Keys: r.keys, Now: r.clock, Source: "others"}
	for name, v := range map[string]authn.Bearer{"a registry": r.registry, "one named like sessions": lax, "a foreign server": foreign} {
		if got, err := v.VerifyToken(t.Context(), text); !errors.Is(err, authn.ErrNoMatch) {
			t.Errorf("%s takes a session: %+v, %v", name, got, err)
		}
	}
	claims := token.Claims{Issuer: issuer, Audience: "moorgate", Who: alice(), Expires: r.clock().Add(time.Minute)}
	for _, audience := range []string{"moorgate", session.Audience} {
		claims.Audience = audience
		registryToken, err := r.keys.Sign(claims, false)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Recognizes("alice", registryToken) {
			t.Error("a token of ours would be shown to others")
		}
		if got, err := r.VerifyPassword(t.Context(), "alice", registryToken); !errors.Is(err, authn.ErrNoMatch) {
			t.Errorf("a token for %s is a session: %+v, %v", audience, got, err)
		}
	}
}

func TestWhatASessionTells(t *testing.T) {
	t.Parallel()
	text := newRig(t).start(t, alice())
	// The other registries cannot be talked into anything by it.
	var body struct {
		Audience string `json:"aud"`
		Access   []any  `json:"access"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	if err != nil || json.Unmarshal(payload, &body) != nil || body.Audience != session.Audience || body.Access == nil || len(body.Access) > 0 {
		t.Errorf("%s: %v", payload, err)
	}
	if strings.Contains(string(payload), "hash 1") {
		t.Errorf("the session tells what is stored of the password: %s", payload)
	}
}

func TestMalloryMakesASession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := r.start(t, alice())
	parts := strings.Split(text, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	forged := parts[0] + "." + b64([]byte(strings.ReplaceAll(string(payload), "alice", "admin"))) + "." + parts[2]
	unbound := parts[0] + "." + b64([]byte(strings.ReplaceAll(string(payload), `"bound"`, `"bouNd"`))) + "." + parts[2]
	none := b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	other := newRig(t).start(t, alice()) // of another server with the same issuer
	for name, tt := range map[string]struct{ user, text string }{
		"another name":       {"admin", forged},
		"bound to nothing":   {"alice", unbound},
		"without signature":  {"alice", none},
		"of another server":  {"alice", other},
		"with something off": {"alice", text + "A"},
		"of two lines":       {"alice", parts[0] + "." + parts[1] + "." + parts[2][:10] + "\n" + parts[2][10:]},
	} {
		if who, err := r.VerifyPassword(t.Context(), tt.user, tt.text); !errors.Is(err, authn.ErrNoMatch) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	for name, password := range map[string]string{
		"a password": "secret", "dots": "a.b.c", "a token of others": "e30." + b64([]byte(`{"iss":"https://others"}`)) + ".x",
		"four parts": text + ".x", "too long": strings.Repeat("x", 20<<10) + text,
	} {
		if r.Recognizes("alice", password) {
			t.Errorf("%s is taken for one of ours", name)
		}
		if _, err := r.VerifyPassword(t.Context(), "alice", password); !errors.Is(err, authn.ErrNoMatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Rotation and a restart do not end sessions.
func TestSessionsOutliveARotation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := r.start(t, alice())
	if _, err := r.keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	again, err := r.keys.Derive("sessions")
	if err != nil || string(again) != string(r.Secret) {
		t.Fatalf("another secret: %v", err)
	}
	if other, err := r.keys.Derive("something else"); err != nil || string(other) == string(again) {
		t.Errorf("one secret for two purposes: %v", err)
	}
	if _, err := r.VerifyPassword(t.Context(), "alice", text); err != nil {
		t.Error(err)
	}
}
