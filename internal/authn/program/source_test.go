package program

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/authn"
)

// saying is a program that answers everything in one way, and remembers what it
// was asked.
type saying struct {
	answer string
	notes  string
	err    error
	asked  []map[string]any
}

func (s *saying) Ask(_ context.Context, line []byte) (Reply, error) {
	var q map[string]any
	if err := json.Unmarshal(line, &q); err != nil || bytes.Count(line, []byte("\n")) != 1 {
		return Reply{}, fmt.Errorf("a question that is not one line of JSON: %w", err)
	}
	s.asked = append(s.asked, q)
	return Reply{Answer: []byte(s.answer), Notes: s.notes}, s.err
}

func open(t *testing.T, a Asker) (s *Source, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	return New("own", a, Limits{Timeout: time.Minute, AtOnce: 2}, slog.New(slog.NewTextHandler(log, nil))), log
}

// isAnswer reports whether an error says something about the user.
func isAnswer(err error) bool {
	return errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrWrongPassword)
}

func TestVerifyPassword(t *testing.T) {
	t.Parallel()
	alice := access.Identity{User: "alice", Source: "own"}
	inGroups := alice
	inGroups.Groups, inGroups.Claims = []string{"a", "b"}, map[string]any{"team": map[string]any{"Team": "x", "team": nil}}
	for name, tt := range map[string]struct {
		answer string
		want   access.Identity
		err    error
		fault  string // what the log is told
	}{
		"ok":             {`{"result":"ok","user":"alice"}`, alice, nil, ""},
		"all of it":      {`{"version":1,"result":"ok","user":"alice","groups":["b","a","b"],"claims":{"team":{"Team":"x","team":null}},"stamp":"s","message":"m"}` + "\n\n", inGroups, nil, ""},
		"no groups":      {`{"result":"ok","user":"alice","groups":[]}`, access.Identity{User: "alice", Source: "own", Groups: []string{}}, nil, ""},
		"wrong":          {`{"result":"wrong"}`, access.Identity{}, authn.ErrWrongPassword, ""},
		"unknown":        {`{"result":"unknown"}`, access.Identity{}, authn.ErrNoMatch, ""},
		"another name":   {`{"result":"ok","user":"Alice"}`, access.Identity{}, authn.ErrNoMatch, ""},
		"another person": {`{"result":"ok","user":"admin"}`, access.Identity{}, authn.ErrNoMatch, ""},

		"no name":             {`{"result":"ok"}`, access.Identity{}, nil, `has no "user"`},
		"cannot tell":         {`{"result":"error","message":"no database"}`, access.Identity{}, nil, "cannot tell: no database"},
		"unsupported":         {`{"result":"unsupported"}`, access.Identity{}, nil, "none of those"},
		"result of no one":    {`{"result":"yes","user":"alice"}`, access.Identity{}, nil, "none of those"},
		"no result":           {`{"user":"alice"}`, access.Identity{}, nil, `no "result"`},
		"nothing":             {" \n", access.Identity{}, nil, "answered nothing"},
		"no JSON":             {"yes\n", access.Identity{}, nil, "not JSON"},
		"half of it":          {`{"result":"ok","user":"alice"`, access.Identity{}, nil, "not JSON"},
		"a list":              {`["ok"]`, access.Identity{}, nil, "not a JSON object"},
		"two answers":         {`{"result":"unknown"}{"result":"ok","user":"alice"}`, access.Identity{}, nil, "something behind"},
		"two results":         {`{"result":"wrong","result":"ok","user":"alice"}`, access.Identity{}, nil, "twice"},
		"two results, hidden": {`{"result":"wrong","r\u0065sult":"ok","user":"alice"}`, access.Identity{}, nil, "twice"},
		"claims given twice":  {`{"result":"ok","user":"alice","claims":{"a":1,"a":2}}`, access.Identity{}, nil, "twice"},
		"misspelt":            {`{"result":"ok","user":"alice","group":["x"]}`, access.Identity{}, nil, "does not know: group"},
		"in another case":     {`{"Result":"ok","user":"alice"}`, access.Identity{}, nil, "does not know: Result"},
		"null groups":         {`{"result":"ok","user":"alice","groups":null}`, access.Identity{}, nil, "null"},
		"a null group":        {`{"result":"ok","user":"alice","groups":[null]}`, access.Identity{}, nil, "cannot be one"},
		"groups as a text":    {`{"result":"ok","user":"alice","groups":"a,b"}`, access.Identity{}, nil, "something else"},
		"group of two lines":  {`{"result":"ok","user":"alice","groups":["a\nb"]}`, access.Identity{}, nil, "cannot be one"},
		"half a character":    {`{"result":"ok","user":"alice","groups":["\ud800"]}`, access.Identity{}, nil, "cannot be one"},
		"not UTF-8":           {"{\"result\":\"ok\",\"user\":\"alice\",\"groups\":[\"\xff\"]}", access.Identity{}, nil, "cannot be one"},
		"another version":     {`{"version":2,"result":"ok","user":"alice"}`, access.Identity{}, nil, "version 2"},
		"too many groups":     {`{"result":"ok","user":"alice","groups":[` + strings.Repeat(`"g",`, maxGroups) + `"g"]}`, access.Identity{}, nil, "more than 1000 groups"},
		"too deep":            {`{"result":"ok","user":"alice","claims":` + strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100) + `}`, access.Identity{}, nil, "deep"},
		"a question, sent back": {
			`{"version":1,"operation":"verify","source":"own","user":"alice","password":"secret"}`, access.Identity{}, nil, "does not know",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := open(t, &saying{answer: tt.answer})
			who, err := s.VerifyPassword(t.Context(), "alice", "secret")
			if diff := cmp.Diff(tt.want, who); diff != "" {
				t.Error(diff)
			}
			switch {
			case tt.fault != "":
				if err == nil || isAnswer(err) || !strings.Contains(err.Error(), tt.fault) || !strings.HasPrefix(err.Error(), "program own: ") {
					t.Errorf("error %v; want a fault with %q", err, tt.fault)
				}
			case !errors.Is(err, tt.err):
				t.Errorf("error %v; want %v", err, tt.err)
			}
		})
	}
}

// A question is what the contract says, in a form that poor readers of JSON read
// too.
func TestQuestion(t *testing.T) {
	t.Parallel()
	line, err := question{Version: 1, Operation: verify, Source: "own", User: `a"<b>`, Password: `pass & "word" \ ü☃`}.encode()
	want := `{"version":1,"operation":"verify","source":"own","user":"a\"<b>","password":"pass & \"word\" \\ ü☃"}` + "\n"
	if err != nil || string(line) != want {
		t.Errorf("%s, %v; want %s", line, err, want)
	}
}

// Names that could be read in two ways reach no program, and passwords neither:
// another one stands in for them, so that an unknown user is still told from a
// wrong password.
func TestWhatReachesTheProgram(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"", "a:b", "a\nb", "a\x00", "a\x7f", "a\u0085b", "a\xff", "a\ufffd", strings.Repeat("a", maxName+1)} {
		p := &saying{answer: `{"result":"ok","user":"` + user + `"}`}
		s, _ := open(t, p)
		if _, err := s.VerifyPassword(t.Context(), user, "secret"); !errors.Is(err, authn.ErrNoMatch) || len(p.asked) > 0 {
			t.Errorf("%.20q: error %v, and the program is asked %v", user, err, p.asked)
		}
		if _, _, err := s.Lookup(t.Context(), "own", user); !errors.Is(err, authn.ErrNoMatch) || len(p.asked) > 0 {
			t.Errorf("lookup of %.20q: error %v, and the program is asked %v", user, err, p.asked)
		}
		if s.Stamp(user) != "" {
			t.Errorf("%.20q is remembered", user)
		}
	}
	for _, password := range []string{"", "a\x00", "a\nb", "\r", "\xff", "\xfe", "\ufffd", strings.Repeat("x", maxPassword+1)} {
		p := &saying{answer: `{"result":"wrong"}`}
		s, _ := open(t, p)
		if _, err := s.VerifyPassword(t.Context(), "alice", password); !errors.Is(err, authn.ErrWrongPassword) {
			t.Errorf("%.20q: error %v", password, err)
		}
		if shown := p.asked[0]["password"].(string); shown == password || len(shown) < 20 {
			t.Errorf("%.20q: the program is shown %q", password, shown)
		}
		p.answer = `{"result":"ok","user":"alice"}`
		if who, err := s.VerifyPassword(t.Context(), "alice", password); err == nil || isAnswer(err) || who.User != "" {
			t.Errorf("%.20q is let in by a program that takes any password: %+v, %v", password, who, err)
		}
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer string
		stamp  string
		err    error
		fault  string
	}{
		"there":           {`{"result":"ok","user":"alice","stamp":"1"}`, "1", nil, ""},
		"gone":            {`{"result":"unknown"}`, "", authn.ErrNoMatch, ""},
		"not offered":     {`{"result":"unsupported"}`, "", authn.ErrCannotTell, ""},
		"another":         {`{"result":"ok","user":"ALICE","stamp":"1"}`, "", authn.ErrNoMatch, ""},
		"without a stamp": {`{"result":"ok","user":"alice"}`, "", nil, `no "stamp"`},
		"huge stamp":      {`{"result":"ok","user":"alice","stamp":"` + strings.Repeat("x", maxStamp+1) + `"}`, "", nil, "stamp"},
		"wrong":           {`{"result":"wrong"}`, "", nil, "none of those"},
		"cannot tell":     {`{"result":"error"}`, "", nil, "cannot tell"},
	} {
		p := &saying{answer: tt.answer}
		s, _ := open(t, p)
		who, stamp, err := s.Lookup(t.Context(), "own", "alice")
		if stamp != tt.stamp || (who.User == "alice") != (tt.stamp != "") {
			t.Errorf("%s: %+v with stamp %q", name, who, stamp)
		}
		if tt.fault != "" && (err == nil || isAnswer(err) || !strings.Contains(err.Error(), tt.fault)) || tt.fault == "" && !errors.Is(err, tt.err) {
			t.Errorf("%s: error %v", name, err)
		}
		if _, told := p.asked[0]["password"]; told || p.asked[0]["operation"] != "lookup" {
			t.Errorf("%s: asked %v", name, p.asked)
		}
	}
}

// The first answer is to "probe", the second to "verify", the third to "lookup".
type script []string

func (s *script) Ask(context.Context, []byte) (Reply, error) {
	next := (*s)[0]
	*s = (*s)[1:]
	return Reply{Answer: []byte(next)}, nil
}

func TestProbe(t *testing.T) {
	t.Parallel()
	const ok, unknown, unsupported = `{"result":"ok"}`, `{"result":"unknown"}`, `{"result":"unsupported"}`
	for name, tt := range map[string]struct {
		answers script
		want    string
		fault   bool
	}{
		"good":                     {script{`{"result":"ok","message":"3 users"}`, unknown, unknown}, "3 users", false},
		"good, and says nothing":   {script{ok, unknown, unknown}, "it answers", false},
		"no probe":                 {script{unsupported, unknown, unsupported}, "there are no refresh tokens", false},
		"calls strangers wrong":    {script{ok, `{"result":"wrong"}`, unknown}, "no source behind it is asked", false},
		"cannot tell":              {script{`{"result":"error","message":"no database"}`}, "no database", true},
		"knows no probe":           {script{unknown}, "none of those", true},
		"verifies nothing":         {script{ok, `{"result":"error","message":"no table"}`}, "no table", true},
		"finds strangers":          {script{ok, unknown, ok}, "made up at random", true},
		"cannot look up":           {script{ok, unknown, `{"result":"error","message":"no index"}`}, "no index", true},
		"misunderstands the probe": {script{`ok`}, "not JSON", true},
	} {
		s, _ := open(t, &tt.answers)
		found, err := s.Probe(t.Context())
		if tt.fault {
			found = fmt.Sprint(err)
		}
		if (err != nil) != tt.fault || !strings.Contains(found, tt.want) {
			t.Errorf("%s: %q, %v", name, found, err)
		}
	}
}

// believer lets everybody in.
type believer struct{}

func (believer) Ask(_ context.Context, line []byte) (Reply, error) {
	var q question
	if err := json.Unmarshal(line, &q); err != nil {
		return Reply{}, err
	}
	return Reply{Answer: []byte(`{"result":"ok","user":"` + q.User + `"}`)}, nil
}

func TestProbeFindsAProgramThatLetsEverybodyIn(t *testing.T) {
	t.Parallel()
	s, _ := open(t, believer{})
	if found, err := s.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "has to compare passwords") {
		t.Errorf("%q, %v", found, err)
	}
}

// slow is a program that answers when it is told to.
type slow chan struct{}

func (p slow) Ask(ctx context.Context, _ []byte) (Reply, error) {
	select {
	case <-p:
		return Reply{Answer: []byte(`{"result":"wrong"}`)}, nil
	case <-ctx.Done():
		return Reply{}, &Fault{What: "it was ended", Said: "half an answer"}
	}
}

// Nobody waits for longer than twice the timeout: once for a turn, and once for the
// answer. Too many do not even wait.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := open(t, make(slow))
		const all = 500
		began := time.Now()
		errs := make(chan error, all)
		for range all {
			go func() {
				_, err := s.VerifyPassword(t.Context(), "alice", "secret")
				errs <- err
			}()
		}
		late, busy := 0, 0
		for range all {
			switch err := <-errs; {
			case errors.Is(err, authn.ErrBusy):
				busy++
			case err != nil && !isAnswer(err) && !errors.Is(err, context.DeadlineExceeded) &&
				strings.Contains(err.Error(), "has not answered within 1m0s (timeout): it was ended; half an answer"):
				late++
			default:
				t.Fatalf("error %v", err)
			}
		}
		// Two run at once; those whose turn comes just as their patience ends are either.
		if took := time.Since(began); took > 2*time.Minute || late < 2 || late > 4 {
			t.Errorf("after %s: %d were asked about and %d were sent away", took, late, busy)
		}
	})
}

func TestRequestThatIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := open(t, make(slow))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.VerifyPassword(ctx, "alice", "secret"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v; want that of the request", err)
		}
	})
}
