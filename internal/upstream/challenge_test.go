package upstream

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseOffers(t *testing.T) {
	t.Parallel()
	for header, want := range map[string][]offer{
		``:                           nil,
		`Basic`:                      {{scheme: "basic"}},
		`bAsIc realm="a, b=\"c\""`:   {{scheme: "basic", params: map[string]string{"realm": `a, b="c"`}}},
		`Negotiate abc==, Basic r=x`: {{scheme: "negotiate"}, {scheme: "basic", params: map[string]string{"r": "x"}}},
		`Negotiate, Basic`:           {{scheme: "negotiate"}, {scheme: "basic"}},
		` , Basic r = "x" , , s=y ,`: {{scheme: "basic", params: map[string]string{"r": "x", "s": "y"}}},
		`Digest a=b, Bearer REALM="u"`: {
			{scheme: "digest", params: map[string]string{"a": "b"}},
			{scheme: "bearer", params: map[string]string{"realm": "u"}},
		},
		`Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"`: {
			{scheme: "bearer", params: map[string]string{"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push"}},
		},
	} {
		got, err := parseOffers([]string{header})
		if err != nil {
			t.Errorf("%q: %v", header, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(offer{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", header, diff)
		}
	}
	for _, bad := range []string{
		`"Basic"`, `Bearer realm="x`, `Bearer realm="x" service="y"`, `Bearer realm="a",realm="b"`, `Bearer realm="a",Realm="b"`,
		`Bearer realm=,service=x`, `Bearer realm="a\`, "Bearer realm=\"a\x00\"", "Bearer realm=\"\\\x01\"", `Bearer @`, `Bearer=x`, `Bearer realm="a"b`, "Basic\trealm=x", `Bearer a b`,
	} {
		if got, err := parseOffers([]string{bad}); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func FuzzParseOffers(f *testing.F) {
	for _, s := range []string{`Basic realm="x"`, `Bearer realm="https://a/t",service="s", Basic`, `Negotiate abc==`, `a b=c,,d="\""`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		offers, err := parseOffers([]string{header})
		if err != nil && offers != nil {
			t.Errorf("offers %v with %v", offers, err)
		}
		for _, o := range offers {
			if o.scheme == "" {
				t.Errorf("%q: no scheme", header)
			}
		}
	})
}

func TestRealms(t *testing.T) {
	t.Parallel()
	type row struct {
		realm string
		ok    bool
		own   bool
	}
	for name, c := range map[string]struct {
		url    string
		realms []string
		rows   []row
	}{
		"https": {"https://Registry.example", []string{"auth.example", "other.example:5001", "plain.example"}, []row{
			{"https://registry.example/token?a=b", true, true},
			{"https://REGISTRY.example:443/token", true, true},
			{"https://registry.example:5001/token", false, false},
			{"http://registry.example:443/token", false, false},
			{"http://registry.example/token", false, false},
			{"https://auth.example/token", true, false},
			{"https://AUTH.example:9/token", true, false},
			{"https://other.example:5001/", true, false},
			{"https://other.example/", false, false},
			{"https://auth.example.evil.example/token", false, false},
			{"https://xauth.example/token", false, false},
			{"https://auth.example@evil.example/token", false, false},
			{"https://u:p@auth.example/token", false, false},
			{`https://evil.example\@auth.example/token`, false, false},
			{"http://plain.example/token", false, false},
			{"//auth.example/token", false, false},
			{"/token", false, false},
			{"ftp://auth.example/token", false, false},
			{"", false, false},
		}},
		"http": {"http://registry:5000", []string{"auth", "127.0.0.1:5001", "[::1]"}, []row{
			{"http://registry:5000/token", true, true},
			{"https://registry:5000/token", true, true},
			{"http://registry:5001/token", false, false},
			{"http://auth/token", false, false},
			{"https://auth/token", true, false},
			{"http://127.0.0.1:5001/token", true, false},
			{"http://127.0.0.1:5002/token", false, false},
			{"http://[::1]:5002/token", true, false},
		}},
		"socket": {"unix:/run/r.sock", nil, []row{
			{"http://localhost/token", true, true},
			{"http://localhost:5000/token", false, false},
			{"http://evil.example/token", false, false},
		}},
	} {
		at, err := Config{URL: c.url}.endpoint()
		if err != nil {
			t.Fatal(err)
		}
		allowed, err := newRealms(at, c.realms)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range c.rows {
			_, own, err := allowed.check(r.realm)
			if (err == nil) != r.ok || own != r.own {
				t.Errorf("%s: %q: own %v, error %v, want %v, %v", name, r.realm, own, err, r.own, r.ok)
			}
		}
	}
}
