package control_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
	"github.com/moorgate/moorgate/internal/control"
	"github.com/moorgate/moorgate/internal/refresh"
	"github.com/moorgate/moorgate/internal/token"
)

// held are refresh tokens: user by ID.
type held map[string]string

func (h held) List(_ context.Context, user string) (list []refresh.Entry, _ error) {
	for _, id := range []string{"one", "two", "three/../x y"} {
		if u, ok := h[id]; ok && (user == "" || u == user) {
			list = append(list, refresh.Entry{ID: id, User: u, IssuedAt: time.Unix(1000, 0).UTC()})
		}
	}
	return list, nil
}

func (h held) Revoke(_ context.Context, id string) error {
	if _, ok := h[id]; !ok {
		return refresh.ErrInvalid
	}
	delete(h, id)
	return nil
}

func (h held) RevokeUser(_ context.Context, user string) (n int, _ error) {
	for id, u := range h {
		if u == user {
			delete(h, id)
			n++
		}
	}
	return n, nil
}

type ring struct{ err error }

func (r ring) List() []token.KeyInfo {
	return []token.KeyInfo{{ID: "k1", Algorithm: "ES256", SignsNow: true}}
}

func (r ring) Rotate() (token.Rotation, error) {
	return token.Rotation{Made: &token.KeyInfo{ID: "k2"}, Removed: []token.KeyInfo{{ID: "k0"}}}, r.err
}

func (r ring) Revoke(id string) (token.Rotation, error) {
	if id != "k/1" {
		return token.Rotation{}, fmt.Errorf("no key %q: %w", id, token.ErrUnknownKey)
	}
	return token.Rotation{Made: &token.KeyInfo{ID: "k2"}, Removed: []token.KeyInfo{{ID: id}}}, r.err
}

// trail is what was recorded.
type trail struct {
	mu      sync.Mutex
	records []audit.Record
}

func (a *trail) take(_ context.Context, r audit.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records = append(a.records, r)
}

func (a *trail) list() []audit.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.records
}

// shortDir is a directory whose path leaves room for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// serve opens a door and returns a client in front of it.
func serve(t *testing.T, h *control.Handler) (*control.Client, *trail) {
	t.Helper()
	dir, seen := shortDir(t), &trail{}
	h.Audit, h.Log = seen.take, slog.New(slog.DiscardHandler)
	l, err := control.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Serve(ctx, l)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return control.Dial(dir), seen
}

func TestRefreshTokensAreListedAndRevoked(t *testing.T) {
	t.Parallel()
	tokens := held{"one": "alice", "two": "bob", "three/../x y": "alice"}
	client, seen := serve(t, &control.Handler{RefreshTokens: tokens})
	list, err := client.Tokens(t.Context(), "bob")
	want := []refresh.Entry{{ID: "two", User: "bob", IssuedAt: time.Unix(1000, 0).UTC()}}
	if diff := cmp.Diff(want, list); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := client.RevokeToken(t.Context(), "three/../x y"); err != nil || len(tokens) != 2 {
		t.Errorf("an ID is not taken as it is: %v, %v", err, tokens)
	}
	if err := client.RevokeToken(t.Context(), "none"); err == nil || err.Error() != refresh.ErrInvalid.Error() {
		t.Errorf("an unknown token: %v", err)
	}
	if n, err := client.RevokeUser(t.Context(), "alice"); n != 1 || err != nil {
		t.Errorf("alice: %d, %v", n, err)
	}
	if _, err := client.RevokeUser(t.Context(), ""); err == nil || len(tokens) != 1 {
		t.Errorf("nobody's tokens: %v, %v", err, tokens)
	}
	if list, err := client.Tokens(t.Context(), "carol"); list == nil || len(list) > 0 || err != nil {
		t.Errorf("carol: %v, %v", list, err)
	}
	operator := access.Identity{User: "operator", Source: "control"}
	admin := access.Scope{Action: access.Admin}
	if diff := cmp.Diff([]audit.Record{
		{Who: operator, Scope: admin, Operation: "token-revoke", Outcome: audit.Done, Detail: "refresh token three/../x y"},
		{Who: operator, Scope: admin, Operation: "token-revoke", Outcome: audit.Done, Detail: "all refresh tokens of alice: 1"},
	}, seen.list(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestKeysAreListedAndRotated(t *testing.T) {
	t.Parallel()
	h := &control.Handler{Keys: ring{}, RotateNow: func() (token.Rotation, error) {
		return token.Rotation{Made: &token.KeyInfo{ID: "at once"}}, nil
	}}
	client, seen := serve(t, h)
	keys, err := client.Keys(t.Context())
	if diff := cmp.Diff(ring{}.List(), keys); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if done, err := client.Rotate(t.Context(), false); err != nil || done.Made.ID != "k2" || done.Removed[0].ID != "k0" {
		t.Errorf("rotate: %+v, %v", done, err)
	}
	if done, err := client.Rotate(t.Context(), true); err != nil || done.Made.ID != "at once" {
		t.Errorf("rotate now: %+v, %v", done, err)
	}
	if done, err := client.RevokeKey(t.Context(), "k/1"); err != nil || done.Removed[0].ID != "k/1" {
		t.Errorf("revoke: %+v, %v", done, err)
	}
	if _, err := client.RevokeKey(t.Context(), "k9"); err == nil || !strings.Contains(err.Error(), `no key "k9"`) {
		t.Errorf("revoke what is not there: %v", err)
	}
	var told []string
	for _, r := range seen.list() {
		told = append(told, r.Operation+": "+r.Detail)
	}
	want := []string{"key-rotate: made signing key k2, removed k0", "key-rotate: made signing key at once", "key-revoke: made signing key k2, removed k/1"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}

// A change that fails in the middle is recorded as far as it went.
func TestHalfAChangeIsRecorded(t *testing.T) {
	t.Parallel()
	client, seen := serve(t, &control.Handler{Keys: ring{err: errors.New("the disk is full")}})
	if _, err := client.Rotate(t.Context(), false); err == nil || err.Error() != "the disk is full" {
		t.Error(err)
	}
	if got := seen.list(); len(got) != 1 || got[0].Detail != "made signing key k2, removed k0" {
		t.Errorf("recorded: %+v", got)
	}
}

// full is a ring that changes nothing.
type full struct{ ring }

func (full) Rotate() (token.Rotation, error) { return token.Rotation{}, errors.New("the disk is full") }

func TestWhatFailsIsNotRecorded(t *testing.T) {
	t.Parallel()
	client, seen := serve(t, &control.Handler{Keys: full{}})
	for name, c := range map[string]struct {
		do   func() error
		want string
	}{
		"a failing change": {func() error { _, err := client.Rotate(t.Context(), false); return err }, "the disk is full"},
		"no way to do it":  {func() error { _, err := client.Rotate(t.Context(), true); return err }, "not on this server: its keys change with an overlap only"},
		"no tokens":        {func() error { _, err := client.Tokens(t.Context(), ""); return err }, "not on this server: it issues no refresh tokens"},
		"nothing to end":   {func() error { return client.RevokeToken(t.Context(), "x") }, "not on this server: it issues no refresh tokens"},
		"no user to end":   {func() error { _, err := client.RevokeUser(t.Context(), "x"); return err }, "not on this server: it issues no refresh tokens"},
	} {
		if err := c.do(); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if recorded := seen.list(); len(recorded) > 0 {
		t.Errorf("recorded: %+v", recorded)
	}
	keyless, _ := serve(t, &control.Handler{RefreshTokens: held{}})
	if _, err := keyless.Keys(t.Context()); err == nil || err.Error() != "not on this server: it signs no tokens" {
		t.Errorf("no keys: %v", err)
	}
	if _, err := keyless.Rotate(t.Context(), false); err == nil || err.Error() != "not on this server: it signs no tokens" {
		t.Errorf("no keys to rotate: %v", err)
	}
}

func TestOnlyTheUserOfTheServerMayConnect(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	l, err := control.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "control.sock")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket stays behind: %v", err)
	}
}

func TestTheSocketOfADeadProcessIsReplaced(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path := filepath.Join(dir, "control.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Dial(dir).Keys(t.Context()); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("asking a dead process: %v", err)
	}
	l, err := control.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := control.Listen(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "belongs to a process that runs") {
		t.Errorf("the socket of a living process: %v, %v", second, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket of the living process is gone: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoSocketStays(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path := filepath.Join(dir, "control.sock")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "is something else") {
		t.Errorf("a file: %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "mine" || err != nil {
		t.Errorf("the file is now %q, %v", text, err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	empty, deep := shortDir(t), filepath.Join(shortDir(t), strings.Repeat("long/", 25))
	if _, err := control.Dial(empty).Keys(t.Context()); err == nil || err.Error() != "no moorgate runs on this data directory ("+empty+"): start it, or give --data" {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := control.Dial(filepath.Join(empty, "none")).Keys(t.Context()); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := control.Listen(t.Context(), deep); !errors.Is(err, control.ErrPathTooLong) {
		t.Errorf("listen: %v", err)
	}
	_, err := control.Dial(deep).Keys(t.Context())
	if !errors.Is(err, control.ErrPathTooLong) || !strings.HasPrefix(err.Error(), "the path is too long for a socket: ") {
		t.Errorf("ask: %v", err)
	}
}

func TestAnotherVersionIsTold(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	l, err := control.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	other := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- other.Serve(l) }()
	t.Cleanup(func() {
		_ = other.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	if _, err := control.Dial(dir).Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "404 Not Found: is it of another version") {
		t.Errorf("an unknown question: %v", err)
	}
}
