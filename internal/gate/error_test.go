package gate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/reqctx"
)

func TestEveryKindOfErrorHasAStatusAndACode(t *testing.T) {
	t.Parallel()
	// distribution-spec, "Error Codes", and those of ours: what clients know by
	// other registries, and one for what is no endpoint.
	codes := []string{
		"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
		"MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED",
		"UNSUPPORTED", "TOOMANYREQUESTS", "UNKNOWN", "UNAVAILABLE", "PAGINATION_NUMBER_INVALID", "NOT_FOUND", "BAD_REQUEST",
	}
	for kind := range oci.Kind(oci.Kinds) {
		f := newFixture(access.Open())
		f.err = fmt.Errorf("wrapped: %w", oci.Errorf(kind, "message"))
		w := f.do(t, list)
		code, message, _ := firstError(t, w)
		if w.Code < 400 || w.Code > 599 || !slices.Contains(codes, code) {
			t.Errorf("kind %d: %d %q", kind, w.Code, code)
		}
		if kind != oci.Internal && message != "message" {
			t.Errorf("kind %d: message %q", kind, message)
		}
		later := w.Code == http.StatusTooManyRequests || w.Code == http.StatusServiceUnavailable || w.Code == http.StatusConflict
		if got := w.Header().Get("Retry-After"); (got != "") != later {
			t.Errorf("kind %d: status %d with Retry-After %q", kind, w.Code, got)
		}
		if got := w.Header().Get("WWW-Authenticate"); (got != "") != (w.Code == http.StatusUnauthorized) {
			t.Errorf("kind %d: status %d with WWW-Authenticate %q", kind, w.Code, got)
		}
		if logged := f.log.Len() > 0; logged != (w.Code >= 500) {
			t.Errorf("kind %d: status %d, logged: %v", kind, w.Code, logged)
		}
	}
}

// What went wrong inside is for the operator, who finds it by the identifier
// that the client is told.
func TestInternalErrorsAreToldToTheLog(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"unknown": errors.New("secret of the disk"),
		"marked":  oci.Errorf(oci.Internal, "secret of the disk"),
		"cause":   oci.ErrNoSpace.Because(errors.New("secret of the disk")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(access.Open())
			f.err = err
			w := f.do(t, list)
			code, message, _ := firstError(t, w)
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the client is told %s", w.Body)
			}
			if name != "cause" && (w.Code != 500 || code != "UNKNOWN" || !strings.Contains(message, "REQUEST-ID")) {
				t.Errorf("the client gets %d %s: %s", w.Code, code, message)
			}
			if log := f.log.String(); !strings.Contains(log, "secret of the disk") || !strings.Contains(log, "REQUEST-ID") {
				t.Errorf("the log says %s", log)
			}
		})
	}
}

// A client that went away is no fault of ours.
func TestClientsThatWentAwayAreNotLogged(t *testing.T) {
	t.Parallel()
	f := newFixture(access.Open())
	f.err = fmt.Errorf("read: %w", context.Canceled)
	f.do(t, list)
	if f.log.Len() > 0 {
		t.Errorf("the log says %s", f.log.String())
	}
}

func TestErrorDetail(t *testing.T) {
	t.Parallel()
	f := newFixture(access.Open())
	f.err = oci.ErrBlobUnknown.WithDetail(map[string]any{"name": "<a>"})
	if _, _, detail := firstError(t, f.do(t, list)); detail["name"] != "<a>" {
		t.Errorf("the detail is %v", detail)
	}
	f.err = oci.ErrBlobUnknown.WithDetail(make(chan int)) // a mistake of ours still answers
	if code, _, _ := firstError(t, f.do(t, list)); code == "" {
		t.Error("no code")
	}
}

// What a handler has set before it failed does not spoil the error.
func TestErrorAfterHeaders(t *testing.T) {
	t.Parallel()
	f := newFixture(access.Open())
	w := httptest.NewRecorder()
	h := w.Header()
	h.Set("Content-Length", "0")
	h.Set("Content-Type", "text/plain")
	f.WriteError(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), nil, oci.ErrBlobUnknown)
	firstError(t, w)
	if got := h.Get("Content-Length"); got != fmt.Sprint(w.Body.Len()) {
		t.Errorf("Content-Length is %s of %d", got, w.Body.Len())
	}
}

func TestDenialNamesTheRule(t *testing.T) {
	t.Parallel()
	f := newFixture(&access.Policy{})
	_, message, detail := firstError(t, f.do(t, "GET /v2/_catalog", alice.authorization...))
	want := map[string]any{"action": "list", "name": "", "tag": "", "rule": "no rule allows it"}
	if diff := cmp.Diff(want, detail); diff != "" {
		t.Errorf("detail of %q (-want +got):\n%s", message, diff)
	}
}

func TestCan(t *testing.T) {
	t.Parallel()
	scope := access.Scope{Action: access.Overwrite, Repo: "a", Tag: "v1"}
	f := newFixture(access.SignedIn())
	f.do(t, list, alice.authorization...)
	if err := f.passed[0].Can(scope); err != nil {
		t.Errorf("alice: %v", err)
	}
	f = newFixture(access.Open())
	f.do(t, list)
	if err := f.passed[0].Can(scope); err != nil {
		t.Errorf("anybody in an open registry: %v", err)
	}
}

// notes is a response writer that takes notes for a log, behind another one.
type notes struct {
	http.ResponseWriter
	list []string
}

func (n *notes) Annotate(key, value string) { n.list = append(n.list, key+"="+value) }

type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestAnnotations(t *testing.T) {
	t.Parallel()
	f := newFixture(access.SignedIn())
	n := &notes{ResponseWriter: httptest.NewRecorder()}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/", nil)
	r.Header.Set("Authorization", basic("alice", "wonderland"))
	f.ServeHTTP(wrapper{n}, r.WithContext(reqctx.WithClient(r.Context(), reqctx.Client{Private: true})))
	if diff := cmp.Diff([]string{"kind=ping", "user=alice"}, n.list); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// Where the token of the caller is what is missing, Try and Can say so, and the
// challenge names what a better one has to grant.
func TestWhatIsBeyondTheToken(t *testing.T) {
	t.Parallel()
	f := newFixture(house(t))
	f.Tokens = tokens{}
	f.TokenServer = func(*http.Request) (gate.TokenServer, bool) {
		return gate.TokenServer{Realm: "https://test/token", Service: "test"}, true
	}
	f.do(t, "POST /v2/a/blobs/uploads/?mount="+digest, "Bearer admin repository:a:pull,push")
	call := f.passed[0]
	source := access.Scope{Action: access.Pull, Repo: "b"}
	before := len(f.records)
	err := call.Try(source)
	if !errors.Is(err, oci.ErrUnauthorized) || call.May(source) || !call.Sees(source) {
		t.Errorf("Try: %v, May: %v, Sees: %v", err, call.May(source), call.Sees(source))
	}
	if len(f.records) != before {
		t.Error("an attempt is recorded")
	}
	if err := call.Can(source); !errors.Is(err, oci.ErrUnauthorized) || len(f.records) != before+1 {
		t.Errorf("Can: %v, %d records", err, len(f.records)-before)
	}
	f.err = err
	w := f.do(t, "POST /v2/a/blobs/uploads/?mount="+digest, "Bearer admin repository:a:pull,push")
	want := `Bearer realm="https://test/token",service="test",scope="repository:a:pull,push repository:b:pull",error="insufficient_scope"`
	if got := w.Header().Get("WWW-Authenticate"); w.Code != 401 || got != want {
		t.Errorf("status %d, challenge %s", w.Code, got)
	}
}
