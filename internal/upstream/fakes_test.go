package upstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// basicRegistry lets in only the user "gate", by Basic. It counts what it sees.
func basicRegistry(seen *sync.Map) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if seen != nil {
			n, _ := seen.LoadOrStore(fmt.Sprintf("%s %s %v", r.Method, r.URL.Path, ok), new(atomic.Int32))
			n.(*atomic.Int32).Add(1)
		}
		if user != "gate" || password != hidden {
			w.Header().Set("WWW-Authenticate", `basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}
}

func counts(m *sync.Map) map[string]int32 {
	all := map[string]int32{}
	m.Range(func(k, v any) bool { all[k.(string)] = v.(*atomic.Int32).Load(); return true })
	return all
}

// bearerRegistry is a registry and its token server in one.
type bearerRegistry struct {
	*httptest.Server
	dances   atomic.Int32
	probes   atomic.Int32
	requests atomic.Int32
	revoked  atomic.Pointer[string] // a token that is good no more
	realm    string                 // another realm to name
	open     bool                   // GET /v2/ needs no token
	early    bool                   // answers 401 without reading the body
	public   bool                   // anonymous users get tokens
	life     any                    // expires_in; nil leaves it out
	field    string                 // "token" or "access_token"
	status   int                    // of the token server; 0 for 200

	mu      sync.Mutex
	queries []string
}

func newBearer(t testing.TB, change func(*bearerRegistry)) *bearerRegistry {
	b := &bearerRegistry{field: "token", life: 300}
	if change != nil {
		change(b)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", b.token)
	mux.HandleFunc("/v2/", b.api)
	b.Server = httptest.NewServer(mux)
	t.Cleanup(b.Close)
	if b.realm == "" {
		b.realm = b.URL + "/token"
	}
	return b
}

func (b *bearerRegistry) token(w http.ResponseWriter, r *http.Request) {
	n := b.dances.Add(1)
	b.mu.Lock()
	b.queries = append(b.queries, r.URL.RawQuery)
	b.mu.Unlock()
	user, password, _ := r.BasicAuth()
	if !b.public && (user != "gate" || password != hidden) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if b.status != 0 {
		w.Header().Set("Location", "http://192.0.2.1/token")
		w.WriteHeader(b.status)
		return
	}
	reply := map[string]any{b.field: fmt.Sprintf("token-of-%d", n)}
	if b.life != nil {
		reply["expires_in"] = b.life
	}
	_ = json.NewEncoder(w).Encode(reply)
}

func (b *bearerRegistry) api(w http.ResponseWriter, r *http.Request) {
	counter := &b.requests
	if r.URL.Path == "/v2/" {
		counter = &b.probes
	}
	counter.Add(1)
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer token-of-")
	revoked := b.revoked.Load()
	if ok && (revoked == nil || *revoked != token) || b.open && r.URL.Path == "/v2/" {
		_, _ = io.Copy(w, r.Body)
		return
	}
	if !b.early {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="the registry",scope="repository:other:pull"`, b.realm))
	w.WriteHeader(http.StatusUnauthorized)
}

func (b *bearerRegistry) config() Config {
	return Config{URL: b.URL, Username: "gate", Password: hidden}
}
