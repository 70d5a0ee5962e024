package audit_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit"
)

var when = time.Date(2026, 11, 27, 18, 0, 1, 2_003_999, time.FixedZone("", 3600))

func TestLine(t *testing.T) {
	t.Parallel()
	alice := access.Identity{User: "alice", Source: "ldap", Groups: []string{"staff"}, With: &access.Key{ID: "k1"}}
	for name, test := range map[string]struct {
		record audit.Record
		want   string
	}{
		"all": {
			audit.Record{
				Time: when, RequestID: "R", Client: netip.MustParseAddr("2001:db8::1"), Who: alice,
				Scope:  access.Scope{Action: access.Push, Repo: "team/app", Tag: "v1"},
				Digest: "sha256:0", From: "other/app", Operation: "manifest-put", Outcome: audit.Failed,
				Rule: "rule 2", Status: 400, Code: "MANIFEST_INVALID", Detail: "d",
			},
			`{"v":1,"time":"2026-11-27T17:00:01.002003Z","id":"R","outcome":"failed","operation":"manifest-put","action":"push",` +
				`"repo":"team/app","tag":"v1","digest":"sha256:0","from":"other/app","user":"alice","source":"ldap","key":"k1",` +
				`"client":"2001:db8::1","rule":"rule 2","status":400,"code":"MANIFEST_INVALID","detail":"d"}`,
		},
		"next to nothing": {
			audit.Record{Time: when.Truncate(time.Second), Outcome: audit.LoginFailed},
			`{"v":1,"time":"2026-11-27T17:00:01.000000Z","outcome":"login-failed"}`,
		},
	} {
		if diff := cmp.Diff(test.want, string(test.record.JSON())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// mallory are names by which somebody would make lines of their own, or have a
// terminal do things.
var mallory = map[string]string{
	"a line break":         "a\",\"outcome\":\"done\"}\r\n{\"user\":\"root\"}",
	"an escape":            "\x1b]0;title\x07\x1b[2J",
	"C1 controls":          "\u009b2J\u0085",
	"DEL and NUL":          "\x7f\x00",
	"direction":            "\u202eecila\u2066\u2029\u2028",
	"a tag beyond 16 bits": "\U000e0041",
	"no UTF-8":             "a\xff\xfe\xc3",
	"html":                 "<script>&amp;</script>",
}

func TestNamesCannotBreakOut(t *testing.T) {
	t.Parallel()
	for name, user := range mallory {
		text := audit.Record{Time: when, Outcome: audit.LoginFailed, Who: access.Identity{User: user}, Rule: user}.JSON()
		wantOneObject(t, name, text, strings.ToValidUTF8(user, "\ufffd"))
	}
}

func wantOneObject(t *testing.T, name string, text []byte, user string) {
	t.Helper()
	if i := bytes.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || !utf8.Valid(text) {
		t.Errorf("%s: something at byte %d that is not seen: %q", name, i, text)
	}
	var got struct {
		Outcome, User, Rule string
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&got); err != nil || dec.More() {
		t.Fatalf("%s: not one object: %v, %s", name, err, text)
	}
	if got.Outcome != "login-failed" || !sameRunes(got.User, user) {
		t.Errorf("%s: outcome %q of %q, want %q", name, got.Outcome, got.User, user)
	}
}

// sameRunes compares but for how many replacement characters stand for bytes that
// are no text.
func sameRunes(a, b string) bool {
	squeeze := func(s string) string { return strings.ReplaceAll(s, "\ufffd\ufffd", "\ufffd") }
	return squeeze(squeeze(a)) == squeeze(squeeze(b))
}

func TestFieldsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 100_000)
	text := audit.Record{
		Time: when, RequestID: long, Who: access.Identity{User: long, Source: long}, Scope: access.Scope{Repo: long, Tag: long},
		Digest: "d", From: long, Operation: long, Rule: long, Code: long, Detail: long,
	}.JSON()
	if len(text) > 6000 {
		t.Errorf("%d bytes", len(text))
	}
	var got struct{ User string }
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("é", 256) + "…"; got.User != want {
		t.Errorf("user %q", got.User)
	}
}

func FuzzLine(f *testing.F) {
	for _, user := range mallory {
		f.Add(user)
	}
	f.Fuzz(func(t *testing.T, user string) {
		text := audit.Record{Time: when, Outcome: audit.LoginFailed, Who: access.Identity{User: user}}.JSON()
		if bytes.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || !json.Valid(text) || !utf8.Valid(text) {
			t.Errorf("%q", text)
		}
	})
}
