package program

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// A program may say what it likes: no line with the password gets into the log,
// in whatever way programs write one.
func TestPasswordIsNotTold(t *testing.T) {
	t.Parallel()
	const user, password = "alice", `p"w'/<ü>😀 & secret\`
	inJSON, err := json.Marshal(password)
	if err != nil {
		t.Fatal(err)
	}
	for name, said := range map[string]string{
		"plain":            password,
		"among others":     "first\nuser alice, password " + password + ", no database\nlast",
		"in upper case":    strings.ToUpper(password),
		"Go":               string(inJSON),
		"Python":           `"p\"w'/<\u00fc>\ud83d\ude00 & secret\\"`,
		"PHP":              `"p\"w'\/<\u00fc>\ud83d\ude00 & secret\\"`,
		"shell with -x":    `+ verify alice 'p"w'\''/<ü>😀 & secret\'`,
		"query":            "GET /?p=" + url.QueryEscape(password),
		"path":             "GET /" + url.PathEscape(password),
		"hex":              hex.EncodeToString([]byte(password)),
		"base64":           base64.StdEncoding.EncodeToString([]byte(password)),
		"base64 in URLs":   base64.URLEncoding.EncodeToString([]byte(password)),
		"base64 of a line": base64.StdEncoding.EncodeToString([]byte(password + "\n")),
		"Basic":            "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)),
	} {
		for way, p := range map[string]*saying{
			"as a fault":   {err: &Fault{What: "it has ended", Said: said}},
			"as a message": {answer: messageOf(t, said)},
			"as a note":    {answer: `{"result":"wrong"}`, notes: said},
			"as a result":  {answer: strings.Replace(messageOf(t, said), `"message"`, `"other"`, 1)},
		} {
			s, log := open(t, p)
			_, err := s.VerifyPassword(t.Context(), user, password)
			text := fmt.Sprint(err) + log.String()
			for _, secret := range []string{"secret", "SECRET", "c2VjcmV0", hex.EncodeToString([]byte("secret"))} {
				if strings.Contains(text, secret) {
					t.Errorf("%s, %s: the log tells %s", name, way, text)
				}
			}
			if name == "among others" && way != "as a result" && (!strings.Contains(text, "first; (a line with the password in it); last")) {
				t.Errorf("%s: the log tells too little: %s", way, text)
			}
		}
	}
}

func messageOf(t *testing.T, said string) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{"result": "error", "message": said})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a program says is one line of bounded length, and no terminal is told
// anything by it.
func TestNotesAreBounded(t *testing.T) {
	t.Parallel()
	text := presentable("\x1b[31mred\x00\r\n\xff\n\n"+strings.Repeat("ü", 10*maxSaid)+"\nthe end", "alice", "secret")
	if len(text) > maxSaid+10 || !strings.HasSuffix(text, "the end") || strings.ContainsAny(text, "\x1b\n\r\x00") {
		t.Errorf("%q", text)
	}
	if got := presentable("\x1b[31mred\n", "alice", "secret"); got != "[31mred" {
		t.Errorf("%q", got)
	}
}

// A password of spaces is no reason to say nothing at all.
func TestBlankPassword(t *testing.T) {
	t.Parallel()
	if got := presentable("no_database\n", "alice", "  "); got != "no_database" {
		t.Errorf("%q", got)
	}
}

// Nothing that a program answers makes us panic, or lets in somebody else than was
// asked about.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"result":"ok","user":"alice","groups":["a"],"claims":{"a":[1,{"b":null}]},"stamp":"s"}`,
		`{"result":"wrong"}`, `{"result":"error","message":"secret"}`, `[]`, `{"a":`, "\xff", `{"result":"ok","user":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, log := open(t, &saying{answer: string(text), notes: string(text)})
		who, err := s.VerifyPassword(t.Context(), "alice", "a secret")
		if (err == nil) != (who.User == "alice") || len(who.Groups) > maxGroups {
			t.Errorf("%+v, %v", who, err)
		}
		if said := fmt.Sprint(err, log); strings.Contains(said, "a secret") {
			t.Errorf("the log tells %s", said)
		}
		for _, group := range who.Groups {
			if group == "" || !isPlain(group) {
				t.Errorf("a group is %q", group)
			}
		}
	})
}
