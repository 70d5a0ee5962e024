package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
	"github.com/moorgate/moorgate/internal/lockout"
	"github.com/moorgate/moorgate/internal/metrics"
)

// source answers everybody with the same.
type source struct{ err error }

func (s source) VerifyPassword(_ context.Context, user, _ string) (access.Identity, error) {
	return access.Identity{User: user, Source: "s"}, s.err
}

func (s source) VerifyToken(context.Context, string) (authn.Token, error) {
	return authn.Token{Who: access.Identity{User: "alice"}}, s.err
}

func (s source) VerifyArrival(context.Context, authn.Arrival) (access.Identity, error) {
	return access.Identity{User: "alice"}, s.err
}

// keys is a source that recognizes its own.
type keys struct{ source }

func (keys) Recognizes(_, password string) bool { return password == "key" }

func TestAnswersAreCountedAndPassedOn(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	fault := errors.New("no answer")
	for _, err := range []error{
		nil, nil, authn.ErrNoMatch, authn.ErrWrongPassword, fmt.Errorf("why: %w", authn.ErrWrongPassword),
		authn.ErrBusy, authn.ErrExpired, errors.Join(authn.ErrWrongPassword, authn.ErrExpired), fault, context.DeadlineExceeded, context.Canceled,
	} {
		who, got := m.Password("file", source{err}).VerifyPassword(t.Context(), "alice", "x")
		if who.User != "alice" || who.Source != "s" || !errors.Is(got, err) {
			t.Errorf("password: %+v, %v, want %v", who, got, err)
		}
		token, got := m.Bearer("ci", source{err}).VerifyToken(t.Context(), "x")
		if token.Who.User != "alice" || !errors.Is(got, err) {
			t.Errorf("token: %+v, %v, want %v", token, got, err)
		}
		who, got = m.Presence("front", source{err}).VerifyArrival(t.Context(), authn.Arrival{})
		if who.User != "alice" || !errors.Is(got, err) {
			t.Errorf("arrival: %+v, %v, want %v", who, got, err)
		}
	}
	_, stranger := m.Presence("front", source{fmt.Errorf("%w: of others", authn.ErrNoMatch)}).VerifyArrival(t.Context(), authn.Arrival{})
	if !errors.Is(stranger, authn.ErrNoMatch) {
		t.Error(stranger)
	}
	want := "# HELP moorgate_logins_total Answers of identity sources, by the source, by what was shown (password, token, arrival), and by outcome (ok, wrong, unknown, expired, busy, fault, gone).\n" +
		"# TYPE moorgate_logins_total counter\n"
	for _, s := range []string{`by="token",outcome=%q,source="ci"`, `by="password",outcome=%q,source="file"`, `by="arrival",outcome=%q,source="front"`} {
		for outcome, n := range map[string]int{"ok": 2, "unknown": 1, "wrong": 2, "busy": 1, "expired": 2, "fault": 2, "gone": 1} {
			// To show nothing is no answer; to be a stranger is one.
			want += fmt.Sprintf("moorgate_logins_total{"+s+"} %d\n", outcome, n)
		}
	}
	if err := testutil.GatherAndCompare(m.Gatherer(), strings.NewReader(want), "moorgate_logins_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(m.Gatherer(), "moorgate_login_seconds"); err != nil || n != 3 {
		t.Errorf("%d histograms, %v; want one for each source", n, err)
	}
}

// What is wrapped stays what it was: secrets of one source are not shown to others.
func TestACountedSourceRecognizesItsOwn(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	r, ok := m.Password("keys", keys{}).(authn.Recognizer)
	if !ok || !r.Recognizes("alice", "key") || r.Recognizes("alice", "password") {
		t.Error("a counted source has lost what it recognizes")
	}
	if _, ok := m.Password("file", source{}).(authn.Recognizer); ok {
		t.Error("a source that recognizes nothing has become one that does")
	}
	others := &source{authn.ErrWrongPassword}
	chain := authn.Chain(m.Password("file", others), m.Password("keys", keys{}))
	if _, err := chain.VerifyPassword(t.Context(), "alice", "key"); err != nil {
		t.Errorf("the key was shown to another source: %v", err)
	}
}

// What by its form is no credential of a source is not counted there; what is, and what
// the source has an answer to anyway, is.
func TestOnlyWhatIsForASourceIsCounted(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	for _, tt := range []struct {
		password string
		err      error
	}{
		{"password", authn.ErrNoMatch},
		{"another", authn.ErrNoMatch},
		{"key", authn.ErrNoMatch},
		{"key", authn.ErrWrongPassword},
		{"key", nil},
		{"password", fmt.Errorf("%w: of others", authn.ErrNoMatch)},
	} {
		who, err := m.Password("keys", keys{source{tt.err}}).VerifyPassword(t.Context(), "alice", tt.password)
		if who.User != "alice" || !errors.Is(err, tt.err) {
			t.Errorf("%s: %+v, %v, want %v", tt.password, who, err, tt.err)
		}
	}
	want := "# HELP moorgate_logins_total Answers of identity sources, by the source, by what was shown (password, token, arrival), and by outcome (ok, wrong, unknown, expired, busy, fault, gone).\n" +
		"# TYPE moorgate_logins_total counter\n"
	for outcome, n := range map[string]int{"ok": 1, "unknown": 2, "wrong": 1, "busy": 0, "expired": 0, "fault": 0, "gone": 0} {
		want += fmt.Sprintf("moorgate_logins_total{by=\"password\",outcome=%q,source=\"keys\"} %d\n", outcome, n)
	}
	if err := testutil.GatherAndCompare(m.Gatherer(), strings.NewReader(want), "moorgate_logins_total"); err != nil {
		t.Error(err)
	}
}

func TestNobodyLooks(t *testing.T) {
	t.Parallel()
	var m *metrics.Metrics
	s := keys{}
	if m.Password("s", s) != authn.Password(s) || m.Bearer("s", s) != authn.Bearer(s) || m.Presence("s", s) != authn.Presence(s) {
		t.Error("where nobody looks something is in the way")
	}
	m.Lockouts(lockout.New(lockout.Options{}))
	m.Total("x", "x", nil)
}

func TestLockouts(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	g := lockout.New(lockout.Options{Failures: 2, First: time.Second, Longest: time.Hour, Forget: time.Hour, Now: time.Now})
	m.Lockouts(g)
	var hashes uint64 = 7
	m.Total("moorgate_password_hashes_total", "Password hashes that were computed.", func() uint64 { return hashes })
	for i := range 2 {
		a, _ := g.Begin("alice", netip.MustParseAddr("192.0.2.1"), fmt.Sprint(i))
		_ = a.Wrong()
	}
	for range 3 {
		if _, wait := g.Begin("alice", netip.MustParseAddr("192.0.2.1"), "right"); wait == 0 {
			t.Fatal("alice is not locked out")
		}
		g.Refuse()
	}
	want := `
# HELP moorgate_lockouts Locks in force after wrong passwords, by kind: pair (a user at an address), user, address.
# TYPE moorgate_lockouts gauge
moorgate_lockouts{kind="address"} 0
moorgate_lockouts{kind="pair"} 1
moorgate_lockouts{kind="user"} 0
# HELP moorgate_lockout_refused_total Passwords that were not looked at, as somebody had to wait.
# TYPE moorgate_lockout_refused_total counter
moorgate_lockout_refused_total 3
# HELP moorgate_password_hashes_total Password hashes that were computed.
# TYPE moorgate_password_hashes_total counter
moorgate_password_hashes_total 7
`
	if err := testutil.GatherAndCompare(m.Gatherer(), strings.NewReader(want),
		"moorgate_lockouts", "moorgate_lockout_refused_total", "moorgate_password_hashes_total"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(m.Gatherer())
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "moorgate_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

func BenchmarkPassword(b *testing.B) {
	s := source{}
	counted := metrics.New().Password("file", s)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = counted.VerifyPassword(b.Context(), "alice", "x")
	}
}
