package access_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/moorgate/moorgate/internal/access"
)

// TestTables asks the questions in testdata/*.txtar. A line of them is
//
//	USER[GROUP,...] ACTION REPO:TAG [from ADDRESS] [tls] [at TIME] [agent NAME] [claims JSON] [key MAY;MAY...] -> allow|deny [rule N]
//
// where the user "anonymous" is nobody, and the repository "-" the registry as a
// whole. A deny without a number is made by no rule. The user "robot:NAME" is a
// robot; others have the key "mine" if they come with one, and "key all" is one that
// may all that its owner may.
func TestTables(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no tables", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			rules, questions := readTable(t, file)
			policy, mistakes := access.Compile(rules)
			if policy == nil {
				t.Fatalf("%+v", mistakes)
			}
			asked := 0
			for _, line := range strings.Split(questions, "\n") {
				question, want, found := strings.Cut(line, "->")
				if !found {
					if line != "" && !strings.HasPrefix(line, "#") {
						t.Errorf("not a question: %s", line)
					}
					continue
				}
				asked++
				got := policy.Decide(readQuestion(t, question))
				if short := shortDecision(got); short != strings.TrimSpace(want) {
					t.Errorf("%s\n\tanswer: %s (%s)", line, short, got.Rule)
				}
			}
			if asked == 0 {
				t.Error("the table asks nothing")
			}
		})
	}
}

func shortDecision(d access.Decision) string {
	short := "deny"
	if d.Allowed {
		short = "allow"
	}
	if rule, _, found := strings.Cut(d.Rule, ":"); found {
		short += " " + rule
	}
	return short
}

func readTable(t *testing.T, file string) (access.Rules, string) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files) != 2 || archive.Files[0].Name != "rules.yaml" || archive.Files[1].Name != "questions" {
		t.Fatal("a table has rules.yaml and questions")
	}
	var rules access.Rules
	if err := yaml.UnmarshalWithOptions(archive.Files[0].Data, &rules, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return rules, string(archive.Files[1].Data)
}

func readQuestion(t *testing.T, text string) access.Question {
	t.Helper()
	words := strings.Fields(text)
	if len(words) < 3 {
		t.Fatalf("not a question: %s", text)
	}
	q := access.Question{Who: readWho(words[0]), Scope: access.Scope{Action: access.Action(words[1])}}
	if words[2] != "-" {
		q.Scope.Repo, q.Scope.Tag, _ = strings.Cut(words[2], ":")
	}
	var err error
	for rest := words[3:]; len(rest) > 0 && err == nil; rest = rest[1:] {
		if rest[0] == "tls" {
			q.At.TLS = true
			continue
		}
		if len(rest) < 2 {
			t.Fatalf("%s: %s of what?", text, rest[0])
		}
		switch rest[0] {
		case "from":
			q.At.Client, err = netip.ParseAddr(rest[1])
		case "at":
			q.At.Time, err = time.Parse(time.RFC3339, rest[1])
		case "agent":
			q.At.Agent = rest[1]
		case "claims":
			err = json.Unmarshal([]byte(rest[1]), &q.Who.Claims)
		case "key":
			q.Who, err = withKey(q.Who, rest[1])
		default:
			err = fmt.Errorf("what is %s?", rest[0])
		}
		rest = rest[1:]
	}
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return q
}

func readWho(text string) access.Identity {
	if text == "anonymous" {
		return access.Anonymous()
	}
	who := access.Identity{User: text, Source: "test"}
	if i := strings.LastIndex(text, "["); i > 0 && strings.HasSuffix(text, "]") {
		who.User, who.Groups = text[:i], strings.Split(text[i+1:len(text)-1], ",")
	}
	return who
}

// withKey returns somebody who comes with a key.
func withKey(who access.Identity, text string) (access.Identity, error) {
	name, robot := strings.CutPrefix(who.User, "robot:")
	who.User, who.With = name, nil
	var may []string
	if text != "all" {
		may = strings.Split(text, ";")
	}
	var err error
	if robot {
		who.Source = access.RobotSource
		who.With, err = access.NewKey("id", name, true, may)
	} else {
		who.With, err = access.NewKey("id", "mine", false, may)
	}
	return who, err
}
