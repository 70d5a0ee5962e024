package htpasswd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/moorgate/moorgate/internal/authn"
)

// known are hashes of "pass word", made with openssl, htpasswd and hashlib.
var known = map[string]string{
	"apr1":              "$apr1$saltsalt$qYpLAVWkBvXFyDme7.oc1/",
	"md5-crypt":         "$1$ab$.dJa9VJUx3tlDX5dzzu5c1",
	"sha256-crypt":      "$5$saltstring$Pr2/FkMue4pholsRSwxlRcDhMiu2AJpqw6sz37HLBXB",
	"sha256-crypt 6000": "$5$rounds=6000$mfx7Rw7n1qwmDFYK$z9dcwnA4ZN0WDWI4soSuVXSqN0Z1sDSkiuruiPwHmI9",
	"sha512-crypt":      "$6$saltstring$BLjMLrKPyfKBxh3hSPxqEOXfTCQzk3Cc4tfCYH5UnyvNu9oxNRVffkaQZJMzoNKe9XNggyY70IqAMh4BaAXA70",
	"sha512-crypt 1000": "$6$rounds=1000$XvwnWMt7HOjOm3ov$dHnaCWK0y5tLmCQe4qop9vj8MJNPFF1siFCCfrqkw2wkaUGQ1AYtQ2Jd/1c42IzhVCcb66gBUYfewxDqLNhTd/",
	"sha1":              "{SHA}2oguq15ANCGsJCWKX31fllwpyEk=",
	"ssha1":             "{SSHA}lQEcGP0xQcmNTvsuTn3Tvv1Lmfhzb2RpdW0=",
	"bcrypt 4":          "$2y$04$V0V0goxGHRJOEec5lMILB.BnDUiNpgZYUhTnflMej0J1B8/QRiR7u",
}

const des = "hvXxKSoApgWlA" // DES crypt, which nobody should use any more

func TestParseKnowsEachKindOfHash(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{
		"bcrypt 2a 4": strings.Replace(known["bcrypt 4"], "$2y$", "$2a$", 1),
		"bcrypt 2b 4": strings.Replace(known["bcrypt 4"], "$2y$", "$2b$", 1),
	}
	for kind, hash := range known {
		kinds[kind] = hash
	}
	for kind, hash := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			users, err := Parse(strings.NewReader("u:" + hash))
			if err != nil {
				t.Fatal(err)
			}
			e := users.Entries()[0]
			want := strings.Fields(kind)
			if e.Kind != want[0] || (len(want) > 1 && fmt.Sprint(e.Cost) != want[len(want)-1]) {
				t.Errorf("kind %s, cost %d; want %s", e.Kind, e.Cost, kind)
			}
			for password, want := range map[string]error{
				"pass word":           nil,
				"pass wore":           authn.ErrWrongPassword,
				"":                    authn.ErrWrongPassword,
				"pass word\x00":       authn.ErrWrongPassword,
				hash:                  authn.ErrWrongPassword,
				"pass word\x00pass w": authn.ErrWrongPassword,
			} {
				if err := users.Verify("u", password); !errors.Is(err, want) {
					t.Errorf("password %q: error %v; want %v", password, err, want)
				}
			}
		})
	}
}

func TestParseGrammar(t *testing.T) {
	t.Parallel()
	h := known["sha1"]
	tests := map[string]struct {
		file string
		want map[string]int // user: line
	}{
		"empty":                   {"", map[string]int{}},
		"only a comment":          {"# nobody yet\n", map[string]int{}},
		"no end of the last line": {"a:" + h, map[string]int{"a": 1}},
		"blank lines, comments":   {"\n  \n# c\n\t# d:x\na:" + h + "\n\n#b:" + h + "\nb:" + h + "\n", map[string]int{"a": 5, "b": 8}},
		"CR LF":                   {"# c\r\n\r\na:" + h + "\r\nb:" + h + "\r\n", map[string]int{"a": 3, "b": 4}},
		"more fields":             {"a:" + h + ":Alice A.:x\n", map[string]int{"a": 1}},
		"space at the end":        {"a:" + h + " \t\n", map[string]int{"a": 1}},
		"names":                   {"a b:" + h + "\nç@é.ü:" + h + "\n-x/..:" + h + "\n", map[string]int{"a b": 1, "ç@é.ü": 2, "-x/..": 3}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			users, err := Parse(strings.NewReader(tt.file))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for _, e := range users.Entries() {
				got[e.User] = e.Line
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("users (-want +got):\n%s", diff)
			}
			for user := range tt.want {
				if err := users.Verify(user, "pass word"); err != nil {
					t.Errorf("%s: %v", user, err)
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	h := known["sha1"]
	tests := map[string]struct{ file, want string }{
		"no colon":               {"a:" + h + "\nSECRET\n", "line 2: not USER:HASH, and not a comment (#)"},
		"no user":                {":" + h, "line 1: the user name is empty"},
		"no hash":                {"a:", `line 1: user "a": not a known password hash`},
		"a plain password":       {"a:SECRET", `line 1: user "a": not a known password hash`},
		"nginx {PLAIN}":          {"a:{PLAIN}SECRET", `line 1: user "a": not a known password hash`},
		"DES crypt":              {"a:" + des, `line 1: user "a": not a known password hash`},
		"yescrypt":               {"a:$y$j9T$SECRET$abc", `not a known password hash`},
		"bcrypt $2x$":            {"a:" + strings.Replace(known["bcrypt 4"], "2y", "2x", 1), `not a known password hash`},
		"bcrypt cut":             {"a:" + known["bcrypt 4"][:59], `not a known password hash`},
		"bcrypt cost 3":          {"a:" + strings.Replace(known["bcrypt 4"], "$04$", "$03$", 1), `not a known password hash`},
		"bcrypt cost 18":         {"a:" + strings.Replace(known["bcrypt 4"], "$04$", "$18$", 1), `the cost 18 of the bcrypt hash is more than 17`},
		"crypt rounds":           {"a:" + strings.Replace(known["sha512-crypt 1000"], "=1000", "=999999999", 1), `the cost 999999999 of the sha512-crypt hash`},
		"crypt rounds not shown": {"a:" + strings.Replace(known["sha512-crypt 1000"], "=1000", "=01000", 1), `not a known password hash`},
		"crypt rounds too few":   {"a:" + strings.Replace(known["sha512-crypt 1000"], "=1000", "=10", 1), `not a known password hash`},
		"crypt without salt":     {"a:$6$" + known["sha512-crypt"][14:], `not a known password hash`},
		"SHA not base64":         {"a:{SHA}SECRETSECRETSECRETSECRETSECRETSECRE", `not a known password hash`},
		"SSHA too short":         {"a:{SSHA}" + strings.Repeat("A", 24), `not a known password hash`},
		"SSHA not base64":        {"a:{SSHA}" + strings.Repeat("A", 29), `not a known password hash`},
		"twice":                  {"#\nb:" + h + "\na:" + h + "\nb:" + h, `line 4: user "b" is on line 2 already; keep one of them`},
		"space before":           {" a:" + h, `line 1: the user name " a" has space around it`},
		"control character":      {"a\x07b:" + h, `line 1: the user name "a\ab" has characters`},
		"not UTF-8":              {"a\xff:" + h, `characters that cannot be printed`},
		"byte order mark":        {"\ufeffa:" + h, `characters that cannot be printed`},
		"zero bytes":             {"\x00\x00\x00\x00", `not USER:HASH`},
		"a long name":            {strings.Repeat("a", 256) + ":" + h, `longer than 255 bytes`},
		"a huge file":            {strings.Repeat("#"+strings.Repeat(" ", 1<<10)+"\n", 9<<10), `larger than 8 MiB`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(strings.NewReader(tt.file))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v; want %q", err, tt.want)
			}
			for _, s := range []string{"SECRET", h, des, known["bcrypt 4"][10:]} {
				if strings.Contains(err.Error(), s) {
					t.Errorf("the error tells what the file holds: %v", err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
		})
	}
}

func TestParseBoundsTheNumberOfUsers(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range maxUsers + 1 {
		fmt.Fprintf(&b, "%d:%s\n", i, known["sha1"])
	}
	if _, err := Parse(strings.NewReader(b.String())); err == nil || !strings.Contains(err.Error(), "more than 100000 users") {
		t.Errorf("error %v", err)
	}
}

// x/crypto's bcrypt looks at 72 bytes and no more when it compares.
func TestBcryptPasswordsBeyond72BytesMatchNothing(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 72)
	hash, err := bcrypt.GenerateFromPassword([]byte(long), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users, err := Parse(strings.NewReader("u:" + string(hash)))
	if err != nil {
		t.Fatal(err)
	}
	if err := users.Verify("u", long); err != nil {
		t.Errorf("72 bytes: %v", err)
	}
	if err := users.Verify("u", long+"y"); !errors.Is(err, authn.ErrWrongPassword) {
		t.Errorf("73 bytes: error %v", err)
	}
}

// cheap reports whether a fuzzer may compute the hash.
func cheap(e Entry) bool {
	return e.Kind == Bcrypt && e.Cost <= bcrypt.MinCost || e.Kind != Bcrypt && e.Cost <= 5000
}

func FuzzParse(f *testing.F) {
	for _, hash := range known {
		f.Add("u:"+hash+"\n", "pass word")
	}
	f.Add("# comment\r\n\r\na:"+known["sha1"]+":more\r\nb c:"+known["apr1"], "")
	f.Add("a:"+des+"\nb\n:\n::\na:x:y\n", "x")
	f.Add("a:$5$rounds=1000$$\n", "\x00")
	f.Fuzz(func(t *testing.T, file, password string) {
		users, err := Parse(strings.NewReader(file))
		if err != nil {
			return
		}
		var b strings.Builder
		for i, e := range users.Entries() {
			fmt.Fprintf(&b, "%s:%s\n", e.User, e.secret.text)
			if i < 3 && cheap(e) && len(password) <= 100 {
				_ = users.Verify(e.User, password) // must not panic
			}
		}
		again, err := Parse(strings.NewReader(b.String()))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v\n%q", err, b.String())
		}
		if again.Len() != users.Len() {
			t.Fatalf("%d users became %d", users.Len(), again.Len())
		}
		for i, e := range users.Entries() {
			if a := again.Entries()[i]; a.User != e.User || a.secret.text != e.secret.text {
				t.Errorf("user %q became %q", e.User, a.User)
			}
		}
	})
}

func FuzzDocument(f *testing.F) {
	f.Add("# c\r\na:x\r\nb:y:z", "a")
	f.Add("a:x\n\na:y\n", "new")
	f.Add("", "a")
	f.Fuzz(func(t *testing.T, file, user string) {
		doc, err := readDocument(file)
		if err != nil || CheckUser(user) != nil {
			return
		}
		if doc.String() != file {
			t.Fatalf("%q became %q", file, doc.String())
		}
		doc.set(user, known["sha1"])
		for _, line := range doc.lines {
			if name, hash, ok, err := splitLine(line); err != nil || ok && name == user && hash != known["sha1"] {
				t.Errorf("after set: line %q, %v", line, err)
			}
		}
		if !doc.remove(user) {
			t.Error("the user that was set is not there")
		}
		if doc.remove(user) {
			t.Error("the user is there after remove")
		}
	})
}
