package kubelet_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/kubelet"
)

// now is when the kubelet asks: an hour before the token in testdata ends.
var now = time.Unix(1764248400, 0)

func provider(t *testing.T, registries ...string) *kubelet.Provider {
	t.Helper()
	p := &kubelet.Provider{User: "oidc", Cache: 10 * time.Minute, Now: func() time.Time { return now }}
	for _, text := range registries {
		pattern, err := kubelet.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Registries = append(p.Registries, pattern)
	}
	return p
}

// TestGolden has a request and the response to it in each folder of testdata, in the
// form of https://kubernetes.io/docs/reference/config-api/kubelet-credentialprovider.v1/
// as the kubelet writes and reads it.
func TestGolden(t *testing.T) {
	t.Parallel()
	keyed := provider(t, "registry.example.com:5043")
	keyed.User, keyed.Key = "node", "mgk_a-key"
	for name, p := range map[string]*kubelet.Provider{
		"service-account": provider(t, "registry.example.com:5043"),
		"with-a-key":      keyed,
		"not-ours":        provider(t, "registry.example.com:5043"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request, err := os.ReadFile(filepath.Join("testdata", name, "request.json"))
			if err != nil {
				t.Fatal(err)
			}
			response, err := os.ReadFile(filepath.Join("testdata", name, "response.json"))
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := p.Answer(bytes.NewReader(request), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parsed(t, response), parsed(t, got.Bytes())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func parsed(t *testing.T, data []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return v
}

// ask sends a request with that image and token.
func ask(t *testing.T, p *kubelet.Provider, image, token string) (map[string]any, error) {
	t.Helper()
	request, err := json.Marshal(map[string]any{
		"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderRequest",
		"image": image, "serviceAccountToken": token, "aFieldOfTomorrow": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := p.Answer(bytes.NewReader(request), &out); err != nil {
		if out.Len() > 0 {
			t.Errorf("an error, and an answer: %s", &out)
		}
		return nil, err
	}
	return parsed(t, out.Bytes()), nil
}

// token is a service account token that ends then.
func token(end time.Time) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"RS256"}`)) + "." + b64(fmt.Appendf(nil, `{"exp":%d,"sub":"system:serviceaccount:team:app"}`, end.Unix())) + ".c2ln"
}

func TestTheKubeletKeepsNothingLongerThanItIsGood(t *testing.T) {
	t.Parallel()
	p := provider(t, "registry.example.com")
	for life, want := range map[time.Duration]string{
		time.Hour: "10m0s", 11 * time.Minute: "10m0s", 5 * time.Minute: "4m0s", time.Minute: "0s", time.Second: "0s",
	} {
		got, err := ask(t, p, "registry.example.com/app", token(now.Add(life)))
		if err != nil || got["cacheDuration"] != want || got["cacheKeyType"] != "Registry" {
			t.Errorf("%s before its end: %v, %v; want %s", life, got, err, want)
		}
	}
}

func TestCredentialsGoToOurRegistriesOnly(t *testing.T) {
	t.Parallel()
	p := provider(t, "registry.example.com:5043", "*.apps.example.com", "mirror-*.example.org", "Capital.Example.com", "[::1]:5000", "[2001:DB8::5]")
	for image, want := range map[string]string{ // the host that gets them
		"registry.example.com:5043/team/app":                            "registry.example.com:5043",
		"registry.example.com:5043/team/app:v1":                         "registry.example.com:5043",
		"registry.example.com:5043/a@sha256:" + strings.Repeat("a", 64): "registry.example.com:5043",
		"REGISTRY.example.com:5043/team/app":                            "REGISTRY.example.com:5043", // as the kubelet looks it up
		"capital.example.com/app":                                       "capital.example.com",
		"CAPITAL.example.com/app":                                       "CAPITAL.example.com",
		"[::1]:5000/app":                                                "[::1]:5000",
		"[2001:db8::5]/app":                                             "[2001:db8::5]",
		"[::1]/app":                                                     "", // another port
		"[::1]:5001/app":                                                "",
		"[::2]:5000/app":                                                "",
		"[2001:db8::5]:443/app":                                         "",
		"eu.apps.example.com/app":                                       "eu.apps.example.com",
		"mirror-2.example.org/app":                                      "mirror-2.example.org",
		"registry.example.com/team/app":                                 "", // another port
		"registry.example.com:443/team/app":                             "",
		"registry.example.com.mallory.example:5043/app":                 "",
		"mallory.example/registry.example.com:5043/app":                 "", // no name at all
		"mallory.example/registry.example.com/app":                      "",
		"a.b.apps.example.com/app":                                      "",
		"apps.example.com/app":                                          "",
		"busybox":                                                       "",
		"docker.io/library/busybox":                                     "",
		"eu.apps.example.com:5000/app":                                  "",
		"registry.example.com:5043@mallory.example/app":                 "",
		"https://registry.example.com:5043/app":                         "",
		"":                                                              "",
	} {
		got, err := ask(t, p, image, token(now.Add(time.Hour)))
		auth, _ := got["auth"].(map[string]any)
		if want == "" {
			if len(auth) > 0 {
				t.Errorf("%q gets credentials: %v", image, got)
			}
			continue
		}
		if err != nil || len(auth) != 1 || auth[want] == nil {
			t.Errorf("%q: %v, %v; want credentials for %s", image, got, err, want)
		}
	}
}

func TestRequestsThatAreWrong(t *testing.T) {
	t.Parallel()
	secret := token(now.Add(-time.Second))
	ours := func(change string) string {
		return fmt.Sprintf(`{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderRequest","image":"registry.example.com/app"%s}`, change)
	}
	for name, tt := range map[string]struct{ request, says string }{
		"nothing":           {"", "the kubelet runs this command"},
		"no JSON":           {"image: x " + secret, "not the JSON"},
		"another kind":      {`{"apiVersion":"v1","kind":"Pod"}`, `"Pod"`},
		"an older version":  {strings.Replace(ours(""), "k8s.io/v1", "k8s.io/v1beta1", 1), "set apiVersion"},
		"no token":          {ours(""), "serviceAccountTokenAudience"},
		"an expired token":  {ours(`,"serviceAccountToken":"` + secret + `"`), "compare the clocks"},
		"no token at all":   {ours(`,"serviceAccountToken":"a-secret"`), "not a JWT"},
		"a token forever":   {ours(`,"serviceAccountToken":"e30.e30.c2ln"`), "exp"},
		"a token of others": {ours(`,"serviceAccountToken":"e30.!.c2ln"`), "not a JWT"},
		"a huge request":    {ours(`,"podAnnotations":"` + strings.Repeat("x", 2<<20) + `"`), "longer than"},
		"a huge token":      {ours(`,"serviceAccountToken":"` + strings.Repeat("x", 20<<10) + `.x.x"`), "at most"},
		"no image":          {`{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderRequest"}`, "image"},
	} {
		var out bytes.Buffer
		err := provider(t, "registry.example.com").Answer(strings.NewReader(tt.request), &out)
		if err == nil || !strings.Contains(err.Error(), tt.says) || out.Len() > 0 {
			t.Errorf("%s: %v, and %q; want an error with %q", name, err, &out, tt.says)
		}
		if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "a-secret") || len(err.Error()) > 1000) {
			t.Errorf("%s: the error tells too much: %v", name, err)
		}
	}
}

func TestPatternsThatAreWrong(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "*", "*.*", "*.*.*", "https://registry.example.com", "registry.example.com/team", "a..b", ":5000", "a b", "-a", "[a]", "registry:port",
		"[::1", "::1", "::1]:5000", "[::1]5000", "[*]:5000", "[a-z]:5000", "[]:5000", "[::1].example.com",
	} {
		if _, err := kubelet.ParsePattern(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
