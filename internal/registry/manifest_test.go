package registry_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

func TestMoveTagIsAskedWhenATagMoves(t *testing.T) {
	t.Parallel()
	moves := func(tags ...string) (effects []registry.Effect) {
		for _, tag := range tags {
			effects = append(effects, registry.Effect{Action: registry.MoveTag, Repo: "a", Tag: tag})
		}
		return effects
	}
	denied := errors.New("denied")
	for name, test := range map[string]struct {
		repo   string
		tags   []string // to set; the first alone is a push by tag
		byTag  bool
		denied string
		asked  []registry.Effect
	}{
		"by tag, new":                    {tags: []string{"new"}, byTag: true},
		"by tag, the same again":         {tags: []string{"same"}, byTag: true},
		"by tag, moved":                  {tags: []string{"old"}, byTag: true, asked: moves("old")},
		"by tag, moved, denied":          {tags: []string{"old"}, byTag: true, denied: "old", asked: moves("old")},
		"by digest, without tags":        {},
		"by digest, new and the same":    {tags: []string{"new", "same"}},
		"by digest, two moved":           {tags: []string{"old", "new", "older"}, asked: moves("old", "older")},
		"by digest, one of two denied":   {tags: []string{"new", "old", "older"}, denied: "older", asked: moves("old", "older")},
		"in a repository without it":     {repo: "b", tags: []string{"old", "same"}},
		"by tag, in a repository of old": {repo: "b", tags: []string{"old"}, byTag: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, registry.Options{})
			f.put(t, "a", index("old"), "old", "older")
			same := f.put(t, "a", index("same"), "same")
			f.put(t, "b", index("b"), "other")
			repo := "a"
			if test.repo != "" {
				repo = test.repo
			}
			before := f.tags(t, repo)
			g := &guard{denied: map[registry.Effect]error{{Action: registry.MoveTag, Repo: "a", Tag: test.denied}: denied}}
			put := registry.ManifestPut{Repo: repo, Reference: oci.Reference{Digest: same}, Tags: test.tags, Body: index("same"), Guard: g.ask}
			if test.byTag {
				put.Reference, put.Tags = oci.Reference{Tag: test.tags[0]}, nil
			}
			pushed, err := f.PutManifest(t.Context(), put)
			if diff := cmp.Diff(test.asked, g.asked); diff != "" {
				t.Errorf("the guard was asked (-want +got):\n%s", diff)
			}
			if test.denied != "" {
				if !errors.Is(err, denied) {
					t.Errorf("the error is %v", err)
				}
			} else {
				if err != nil || pushed.Digest != same {
					t.Errorf("pushed %+v: %v", pushed, err)
				}
				for _, tag := range test.tags {
					before[tag] = same
				}
			}
			if diff := cmp.Diff(before, f.tags(t, repo)); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
		})
	}
}

// A push that is denied stores nothing, not even the manifest.
func TestDeniedPushStoresNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	f.put(t, "a", index("old"), "v1")
	denied := errors.New("denied")
	body := index("new")
	_, err := f.PutManifest(t.Context(), registry.ManifestPut{
		Repo: "a", Reference: oci.Reference{Tag: "v1"}, Body: body, Guard: func(registry.Effect) error { return denied },
	})
	if !errors.Is(err, denied) {
		t.Errorf("the error is %v", err)
	}
	_, err = f.Manifest(t.Context(), "a", oci.Reference{Digest: oci.SHA256.FromBytes(body)})
	wantKind(t, "read", err, oci.ManifestUnknown)
}

// Who deletes a manifest deletes its tags, and needs the right to that.
func TestDeleteByDigestAsksForEachTag(t *testing.T) {
	t.Parallel()
	deletes := func(tags ...string) (effects []registry.Effect) {
		for _, tag := range tags {
			effects = append(effects, registry.Effect{Action: registry.DeleteTag, Repo: "a", Tag: tag})
		}
		return effects
	}
	denied := errors.New("denied")
	for name, test := range map[string]struct {
		denied string
		asked  []registry.Effect
	}{
		"all allowed":     {"", deletes("one", "three", "two")},
		"the last denied": {"two", deletes("one", "three", "two")},
		"the first one":   {"one", deletes("one")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, registry.Options{})
			d := f.put(t, "a", index("x"), "one", "two", "three")
			f.put(t, "a", index("other"), "other")
			f.put(t, "b", index("x"), "one")
			before := f.tags(t, "a")
			g := &guard{denied: map[registry.Effect]error{{Action: registry.DeleteTag, Repo: "a", Tag: test.denied}: denied}}
			_, err := f.DeleteManifest(t.Context(), registry.ManifestDelete{Repo: "a", Reference: oci.Reference{Digest: d}, By: "alice", Guard: g.ask})
			if diff := cmp.Diff(test.asked, g.asked); diff != "" {
				t.Errorf("the guard was asked (-want +got):\n%s", diff)
			}
			_, readErr := f.Manifest(t.Context(), "a", oci.Reference{Digest: d})
			if test.denied != "" {
				if !errors.Is(err, denied) {
					t.Errorf("the error is %v", err)
				}
				wantKind(t, "read", readErr, -1)
			} else {
				wantKind(t, "delete", err, -1)
				wantKind(t, "read", readErr, oci.ManifestUnknown)
				before = map[string]oci.Digest{"other": before["other"]}
			}
			if diff := cmp.Diff(before, f.tags(t, "a")); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
			if len(f.tags(t, "b")) != 1 {
				t.Error("the other repository lost its tag")
			}
		})
	}
}

// To remove one tag the request itself needs the right; nothing else goes.
func TestDeleteByTagAsksNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	d := f.put(t, "a", index("x"), "one", "two")
	g := &guard{}
	if _, err := f.DeleteManifest(t.Context(), registry.ManifestDelete{Repo: "a", Reference: oci.Reference{Tag: "one"}, By: "alice", Guard: g.ask}); err != nil {
		t.Error(err)
	}
	if len(g.asked) > 0 {
		t.Errorf("the guard was asked %v", g.asked)
	}
	if diff := cmp.Diff(map[string]oci.Digest{"two": d}, f.tags(t, "a")); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	body, other := index("new"), oci.SHA256.FromString("other")
	old := f.put(t, "a", index("old"))
	for name, test := range map[string]struct {
		exists bool
		p      registry.Precondition
		holds  bool
	}{
		"none, new":                    {false, registry.Precondition{}, true},
		"none, exists":                 {true, registry.Precondition{}, true},
		"absent, new":                  {false, registry.Precondition{Absent: true}, true},
		"absent, exists":               {true, registry.Precondition{Absent: true}, false},
		"exists, new":                  {false, registry.Precondition{Exists: true}, false},
		"exists, exists":               {true, registry.Precondition{Exists: true}, true},
		"match, new":                   {false, registry.Precondition{Match: []oci.Digest{old}}, false},
		"match, exists":                {true, registry.Precondition{Match: []oci.Digest{other, old}}, true},
		"match of another":             {true, registry.Precondition{Match: []oci.Digest{other}}, false},
		"match of none":                {true, registry.Precondition{Match: []oci.Digest{}}, false},
		"differ, new":                  {false, registry.Precondition{Differ: []oci.Digest{old}}, true},
		"differ, exists":               {true, registry.Precondition{Differ: []oci.Digest{other}}, true},
		"differ from what is there":    {true, registry.Precondition{Differ: []oci.Digest{other, old}}, false},
		"match and differ":             {true, registry.Precondition{Match: []oci.Digest{old}, Differ: []oci.Digest{other}}, true},
		"match and absent, impossible": {true, registry.Precondition{Match: []oci.Digest{old}, Absent: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f.put(t, "a", index("old"))
			if test.exists {
				f.put(t, "a", index("old"), "x")
			}
			_, err := f.PutManifest(t.Context(), registry.ManifestPut{
				Repo: "a", Reference: oci.Reference{Tag: "x"}, Body: body, If: test.p, Guard: anything,
			})
			tags := f.tags(t, "a")
			switch {
			case test.holds:
				wantKind(t, "push", err, -1)
				if tags["x"] != oci.SHA256.FromBytes(body) {
					t.Errorf("the tag is %q", tags["x"])
				}
			default:
				wantKind(t, "push", err, oci.PreconditionFailed)
				if _, ok := tags["x"]; ok != test.exists || ok && tags["x"] != old {
					t.Errorf("the tag is %q", tags["x"])
				}
			}
			if len(tags) > 0 {
				if _, err := f.DeleteManifest(t.Context(), registry.ManifestDelete{Repo: "a", Reference: oci.Reference{Tag: "x"}, By: "", Guard: anything}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
