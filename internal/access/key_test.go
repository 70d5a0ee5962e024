package access_test

import (
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/access"
)

func TestNewKeyTellsMistakes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		robot bool
		may   []string
		says  string // "": none
	}{
		"a robot with nothing":    {true, nil, "without a user it has no rights but those"},
		"a person with nothing":   {false, nil, ""},
		"all is well":             {true, []string{"pull,push:team/app", "delete:team/**", "admin"}, ""},
		"no repositories":         {true, []string{"pull"}, `"pull": write actions and repositories`},
		"empty repositories":      {true, []string{"pull:"}, `"pull:": "": it is empty`},
		"nothing at all":          {true, []string{""}, `"": write actions and repositories`},
		"no action":               {true, []string{":team/app"}, `":team/app": there is no action ""`},
		"an unknown action":       {true, []string{"read:team/app"}, `"read:team/app": there is no action "read"`},
		"a tag":                   {true, []string{"push:team/app:v1"}, "not for tags"},
		"a bad glob":              {true, []string{"push:team/[a"}, `"push:team/[a": `},
		"upper case":              {true, []string{"push:Team/app"}, "no upper-case letters"},
		"a space":                 {true, []string{"push: team/app"}, `repository names have no ' '`},
		"several, and which":      {true, []string{"push:ok", "pull:B", "write:c"}, `"pull:B"`},
		"another variable":        {true, []string{"push:${group}/x"}, "no variable but ${user}"},
		"too many":                {true, make([]string, 101), "at most 100"},
		"longer than a glob":      {true, []string{"pull:" + strings.Repeat("a", 1<<20)}, "at most 512"},
		"quotes of SQL":           {true, []string{"pull:a' OR '1'='1"}, "repository names have no"},
		"a line of a log":         {true, []string{"pull:a\nb"}, "repository names have no"},
		"an entry that is so too": {false, []string{"pull:a", "pull:a"}, ""},
	} {
		k, err := access.NewKey("id", "ci", tt.robot, tt.may)
		switch {
		case tt.says == "" && (err != nil || k == nil):
			t.Errorf("%s: %v", name, err)
		case tt.says != "" && (err == nil || k != nil || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		case err != nil && len(err.Error()) > 1000:
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

// TestKeysBesideOtherPolicies: what a key may not do is denied where there are no
// rules too.
func TestKeysBesideOtherPolicies(t *testing.T) {
	t.Parallel()
	robot, err := access.NewKey("id", "ci", true, []string{"push:team/app"})
	if err != nil {
		t.Fatal(err)
	}
	mine, err := access.NewKey("id", "laptop", false, []string{"push:team/app"})
	if err != nil {
		t.Fatal(err)
	}
	people := map[string]access.Identity{
		"ci":    {User: "ci", Source: access.RobotSource, With: robot},
		"alice": {User: "alice", Source: "htpasswd", With: mine},
	}
	for user, who := range people {
		for name, p := range map[string]*access.Policy{"signed in": access.SignedIn(), "delegated": access.Delegated(), "open": access.Open()} {
			d := p.Decide(access.Question{Who: who, Scope: access.Scope{Action: access.Push, Repo: "team/app", Tag: "v1"}})
			if !d.Allowed {
				t.Errorf("%s, %s: %+v", user, name, d)
			}
			d = p.Decide(access.Question{Who: who, Scope: access.Scope{Action: access.Pull, Repo: "team/app"}})
			if want := "the key " + who.With.Name + " does not allow it"; d.Allowed || d.Rule != want {
				t.Errorf("%s, %s: %+v, want %q", user, name, d, want)
			}
		}
		if d := (&access.Policy{}).Decide(access.Question{Who: who, Scope: access.Scope{Action: access.Push, Repo: "team/app"}}); d.Allowed {
			t.Errorf("%s: the policy that allows nothing says %+v", user, d)
		}
	}
}

// FuzzNewKey: whatever is written, it is either understood or complained about, and
// nothing is allowed that no rule and no entry allows.
func FuzzNewKey(f *testing.F) {
	f.Add("ci", "pull,push:team/app", "admin")
	f.Add("a b", "*:**", "pull:${user}/[a-z]{b,c}")
	f.Add("", "pull:a:b", ":")
	f.Add("x\n", ",:,", "push:{a,b")
	f.Fuzz(func(t *testing.T, name, one, two string) {
		for _, robot := range []bool{false, true} {
			k, err := access.NewKey("id", name, robot, []string{one, two})
			if (k == nil) != (err != nil) {
				t.Fatalf("%+v, %v", k, err)
			}
			if err != nil {
				continue
			}
			who := access.Identity{User: "x", Source: "s", With: k}
			for _, s := range []access.Scope{{Action: access.Admin}, {Action: access.Pull, Repo: "team/app"}, {Action: access.List}} {
				d := access.SignedIn().Decide(access.Question{Who: who, Scope: s})
				if d.Rule == "" || strings.ContainsAny(d.Rule, "\n\r") {
					t.Errorf("rule %q", d.Rule)
				}
				if named := strings.Contains(one+two, "admin"); s.Action == access.Admin && d.Allowed && !named {
					t.Errorf("%q and %q administer", one, two)
				}
			}
		}
	})
}

// TestWithoutRulesARobotMayNothing: "access: {}" denies everything, whoever asks.
func TestWithoutRulesARobotMayNothing(t *testing.T) {
	t.Parallel()
	robot, err := access.NewKey("id", "ci", true, []string{"*:**", "admin"})
	if err != nil {
		t.Fatal(err)
	}
	for rules, want := range map[*access.Rules]bool{
		{}: false,
		{Groups: map[string][]string{"dev": {"alice"}}}:                                                      false,
		{Rules: []access.Rule{{Who: []string{"user:bob"}, May: []string{"pull"}, Repos: []string{"other"}}}}: true,
	} {
		p, _ := access.Compile(*rules)
		who := access.Identity{User: "ci", Source: access.RobotSource, With: robot}
		for _, s := range []access.Scope{{Action: access.Pull, Repo: "team/app"}, {Action: access.List}, {Action: access.Admin}} {
			if d := p.Decide(access.Question{Who: who, Scope: s}); d.Allowed != want || !want && d.Rule != access.NoRule {
				t.Errorf("with %d rules, %+v: %+v, want %v", len(rules.Rules), s, d, want)
			}
		}
	}
}
