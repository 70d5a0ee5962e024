package gate_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/route"
)

const digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

// who is somebody who knocks.
type who struct {
	name          string
	authorization []string
}

var (
	anonymous    = who{name: "anonymous"}
	alice        = who{"alice", []string{basic("alice", "wonderland")}}
	wrong        = who{"alice with a wrong password", []string{basic("alice", "looking-glass")}}
	stranger     = who{"somebody unknown", []string{basic("jabberwock", "wonderland")}}
	malformed    = who{"malformed header", []string{"Basic !!!"}}
	empty        = who{"empty header", []string{""}}
	twoHeaders   = who{"two headers", []string{basic("alice", "wonderland"), basic("alice", "wonderland")}}
	bearer       = who{"a token where none are taken", []string{"Bearer eyJhbGciOiJub25lIn0.e30."}}
	bearerBeside = who{"a token beside a password", []string{"Bearer x", basic("alice", "wonderland")}}
)

// column is what each of them gets under one policy.
type column map[string]int

func everybody(status int) column { return column{anonymous.name: status, alice.name: status} }

// with adds those whose credentials are no good.
func (c column) with(status int, list ...who) column {
	for _, w := range list {
		c[w.name] = status
	}
	return c
}

// TestEveryKindOfRequest is the table of who gets what, for every kind of
// request. A new kind fails it until it has a row.
func TestEveryKindOfRequest(t *testing.T) {
	t.Parallel()
	unreadable := []who{malformed, empty, twoHeaders, bearer, bearerBeside}
	signedIn := column{anonymous.name: 401, alice.name: 200}.with(401, wrong, stranger).with(401, unreadable...)
	open := everybody(200).with(401, wrong, stranger).with(401, unreadable...)
	openNoLogin := everybody(200).with(200, wrong, stranger).with(401, unreadable...)
	// Who may do nothing does not learn which repositories there are.
	nothing := column{anonymous.name: 401, alice.name: 404}.with(401, wrong, stranger).with(401, unreadable...)
	nothingAtAll := column{anonymous.name: 401, alice.name: 403}.with(401, wrong, stranger).with(401, unreadable...)
	// But that a password is right may be found out, by its owner.
	greeted := signedIn

	type row struct {
		line                                 string
		signedIn, open, openNoLogin, nothing column
	}
	rows := map[route.Kind]row{
		route.Ping:           {"GET /v2/", signedIn, open, openNoLogin, greeted},
		route.Catalog:        {"GET /v2/_catalog", signedIn, open, openNoLogin, nothingAtAll},
		route.BlobRead:       {"GET /v2/a/blobs/" + digest, signedIn, open, openNoLogin, nothing},
		route.BlobDelete:     {"DELETE /v2/a/blobs/" + digest, signedIn, open, openNoLogin, nothing},
		route.UploadStart:    {"POST /v2/a/blobs/uploads/?digest=" + digest, signedIn, open, openNoLogin, nothing},
		route.UploadAppend:   {"PATCH /v2/a/blobs/uploads/x", signedIn, open, openNoLogin, nothing},
		route.UploadFinish:   {"PUT /v2/a/blobs/uploads/x?digest=" + digest, signedIn, open, openNoLogin, nothing},
		route.UploadStatus:   {"GET /v2/a/blobs/uploads/x", signedIn, open, openNoLogin, nothing},
		route.UploadCancel:   {"DELETE /v2/a/blobs/uploads/x", signedIn, open, openNoLogin, nothing},
		route.ManifestRead:   {"GET /v2/a/manifests/v1", signedIn, open, openNoLogin, nothing},
		route.ManifestPut:    {"PUT /v2/a/manifests/v1", signedIn, open, openNoLogin, nothing},
		route.ManifestDelete: {"DELETE /v2/a/manifests/v1", signedIn, open, openNoLogin, nothing},
		route.TagList:        {"GET /v2/a/tags/list", signedIn, open, openNoLogin, nothing},
		route.Referrers:      {"GET /v2/a/referrers/" + digest, signedIn, open, openNoLogin, nothing},
	}
	for kind := range route.Kind(route.Kinds) {
		t.Run(kind.String(), func(t *testing.T) {
			r, ok := rows[kind]
			if !ok {
				t.Fatal("this kind of request has no row: who may send it?")
			}
			knock(t, kind, r.line, newFixture(access.SignedIn()), "signed in", r.signedIn)
			knock(t, kind, r.line, newFixture(access.Open()), "open", r.open)
			f := newFixture(access.Open())
			f.Login.Passwords = nil
			knock(t, kind, r.line, f, "open, no login", r.openNoLogin)
			knock(t, kind, r.line, newFixture(&access.Policy{}), "no rules", r.nothing)
		})
	}
}

// knock sends one request as each of them.
func knock(t *testing.T, kind route.Kind, line string, f *fixture, policy string, want column) {
	t.Helper()
	for _, w := range []who{anonymous, alice, wrong, stranger, malformed, empty, twoHeaders, bearer, bearerBeside} {
		f.passed = nil
		status, ok := want[w.name]
		if !ok {
			t.Fatalf("%s has no column", w.name)
		}
		resp := f.do(t, line, w.authorization...)
		if resp.Code != status {
			t.Errorf("%s, %s: status %d, want %d", policy, w.name, resp.Code, status)
		}
		challenge := resp.Header().Get("WWW-Authenticate")
		if (status == http.StatusUnauthorized) != (challenge == `Basic realm="the \"test\" registry", charset="UTF-8"`) {
			t.Errorf("%s, %s: status %d with the challenge %q", policy, w.name, status, challenge)
		}
		if status != http.StatusOK {
			checkRefused(t, f, resp.Code, policy+", "+w.name, resp.Body.String())
			continue
		}
		if len(f.passed) != 1 || f.passed[0].Request.Kind != kind {
			t.Errorf("%s, %s: the handler is called with %v", policy, w.name, f.passed)
			continue
		}
		if signed := w.name == alice.name && f.Login.Passwords != nil; f.passed[0].Who.IsAnonymous() == signed {
			t.Errorf("%s, %s: the handler sees %+v", policy, w.name, f.passed[0].Who)
		}
	}
}

func checkRefused(t *testing.T, f *fixture, status int, what, body string) {
	t.Helper()
	if len(f.passed) != 0 {
		t.Errorf("%s: refused, and the handler was called", what)
	}
	code := map[int]string{401: `"UNAUTHORIZED"`, 403: `"DENIED"`, 404: `"NAME_UNKNOWN"`}[status]
	if !strings.Contains(body, `{"errors":[{"code":`+code) {
		t.Errorf("%s: status %d with %s", what, status, body)
	}
}

// What cannot be read as a request is answered before anybody is asked for a
// password: there is nothing to protect, and nothing is learned.
func TestWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]struct {
		status int
		code   string
	}{
		"GET /":                          {404, "NOT_FOUND"},
		"GET /v2/A/tags/list":            {400, "NAME_INVALID"},
		"GET /v2/a/manifests/.x":         {400, "MANIFEST_INVALID"},
		"GET /v2/a/blobs/x":              {400, "DIGEST_INVALID"},
		"GET /v2/a/tags/list?n=x":        {400, "PAGINATION_NUMBER_INVALID"},
		"GET /v2/a/blobs/uploads/a.b":    {404, "BLOB_UPLOAD_UNKNOWN"},
		"POST /v2/":                      {405, "UNSUPPORTED"},
		"PUT /v2/a/tags/list":            {405, "UNSUPPORTED"},
		"BREW /v2/a/blobs/" + digest:     {405, "UNSUPPORTED"},
		"GET /v2/a%2fb/tags/list":        {400, "NAME_INVALID"},
		"GET /v2/a/../b/tags/list":       {400, "NAME_INVALID"},
		"DELETE /v2/a/blobs/uploads/":    {405, "UNSUPPORTED"},
		"PUT /v2/a/blobs/uploads/x":      {400, "DIGEST_INVALID"},
		"PATCH /v2/a/manifests/v1":       {405, "UNSUPPORTED"},
		"POST /v2/a/referrers/" + digest: {405, "UNSUPPORTED"},
	} {
		f := newFixture(access.SignedIn())
		w := f.do(t, line, alice.authorization...)
		code, _, _ := firstError(t, w)
		if w.Code != want.status || code != want.code {
			t.Errorf("%s: %d %s, want %d %s", line, w.Code, code, want.status, want.code)
		}
		if (w.Code == http.StatusMethodNotAllowed) != (w.Header().Get("Allow") != "") {
			t.Errorf("%s: status %d with Allow %q", line, w.Code, w.Header().Get("Allow"))
		}
		if len(f.asked)+len(f.passed)+len(f.records) != 0 {
			t.Errorf("%s: goes on to %v %v %v", line, f.asked, f.passed, f.records)
		}
	}
}
