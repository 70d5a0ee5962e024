package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
	"github.com/moorgate/moorgate/internal/upstream"
	"github.com/moorgate/moorgate/internal/wire"
)

const (
	maxList    = 8 << 20  // bytes of one page of a list
	maxMessage = 64 << 10 // bytes of an error answer that the gateway reads
)

// manifestTypes are those that the gateway takes for a manifest. Registries leave
// out, or convert, what is not accepted, so all are named.
var manifestTypes = strings.Join([]string{ //nolint:gochecknoglobals // a constant
	oci.MediaTypeImageManifest, oci.MediaTypeImageIndex, oci.MediaTypeDockerManifest, oci.MediaTypeDockerList,
	"application/vnd.docker.distribution.manifest.v1+prettyjws", "application/vnd.docker.distribution.manifest.v1+json",
	"*/*",
}, ", ")

// reply is what an upstream answered to a question of the gateway.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// refusal is a reply that goes to the client, instead of the answer that it kept
// the gateway from making.
type refusal struct{ reply }

func (e *refusal) Error() string {
	return fmt.Sprintf("the upstream answered with status %d", e.status)
}

func (e *refusal) writeTo(w http.ResponseWriter) {
	e.header.Del("Location")
	copyToClient(w.Header(), e.header)
	w.WriteHeader(e.status)
	_, _ = w.Write(e.body) // the client may be gone; no body is sent for HEAD
}

// ask asks the upstream for something that the answer to r depends on, and reads
// at most limit bytes.
//
// Errors: BadGateway, GatewayTimeout.
func (to *Route) ask(r *http.Request, q *route.Request, limit int64) (*reply, error) {
	out, err := newRequest(r, q.Method(), q.URL())
	if err != nil {
		return nil, err
	}
	setForwarded(out.Header, r)
	out.Header.Set("User-Agent", r.UserAgent())
	if credentials, ok := r.Header["Authorization"]; ok {
		out.Header["Authorization"] = credentials // the Doer decides about it
	}
	switch q.Kind {
	case route.ManifestRead:
		out.Header.Set("Accept", manifestTypes)
	default:
		out.Header.Set("Accept", "application/json")
	}
	resp, err := to.do(out, grantsFor(q))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if errors.Is(err, upstream.ErrTimeout) {
		return nil, tooSlow(err)
	}
	if err != nil {
		return nil, oci.Errorf(oci.BadGateway, "the answer of the upstream registry ended early: try again").Because(err)
	}
	if int64(len(body)) > limit {
		return nil, oci.Errorf(oci.BadGateway, "the upstream registry answers with more than %d bytes", limit)
	}
	return &reply{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// unknown reports whether the upstream says, by one of the error codes, that
// something is not there. A 404 alone may come from something before it, which
// knows nothing about that.
func (a *reply) unknown(codes ...string) bool {
	var list wire.ErrorList
	return a.status == http.StatusNotFound && json.Unmarshal(a.body, &list) == nil &&
		slices.ContainsFunc(list.Errors, func(e wire.ErrorEntry) bool { return slices.Contains(codes, e.Code) })
}

// unexpected is for a reply that leaves a question of the gateway open. What
// depends on it is refused.
func (a *reply) unexpected(what string) error {
	return oci.Errorf(oci.BadGateway, "the upstream registry does not tell the gateway %s: it answers with status %d", what, a.status)
}

// firstMessage returns what an error answer says, for people.
func firstMessage(resp *http.Response) string {
	const most = 300
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	var list wire.ErrorList
	if err != nil || json.Unmarshal(body, &list) != nil || len(list.Errors) == 0 {
		return "it does not say why"
	}
	message := strings.ToValidUTF8(list.Errors[0].Message, "")
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	return message
}
