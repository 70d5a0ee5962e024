package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
	"github.com/moorgate/moorgate/internal/upstream"
)

// exchange is one request on its way to an upstream and back.
type exchange struct {
	to      *Route
	call    *gate.Call
	asked   *route.Request // what the upstream is asked; may be less than the client did
	out     *http.Request
	started time.Time  // of the upload session that the answer tells about, if one
	pushed  oci.Digest // of the manifest in the body, if there is one
}

// newExchange prepares a request to the upstream: asked at the URI uri, with the
// headers of the client and without a body.
func newExchange(r *http.Request, to *Route, c *gate.Call, asked *route.Request, uri string) (*exchange, error) {
	out, err := newRequest(r, asked.Method(), uri)
	if err != nil {
		return nil, err
	}
	out.Header = upstreamHeader(r)
	return &exchange{to: to, call: c, asked: asked, out: out}, nil
}

// newRequest makes a request for an upstream: for the host that the client called,
// without headers and without a body.
func newRequest(r *http.Request, method, uri string) (*http.Request, error) {
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, fmt.Errorf("make upstream request: %w", err)
	}
	out, err := http.NewRequestWithContext(r.Context(), method, "/", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make upstream request: %w", err)
	}
	out.URL, out.Host = u, r.Host
	return out, nil
}

// forward is exchange with the request as the client sent it, to uri.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request, to *Route, c *gate.Call, uri string) error {
	x, err := newExchange(r, to, c, c.Request, uri)
	if err != nil {
		return err
	}
	return h.stream(w, r, x)
}

// stream is exchange with the body of the client, as it comes. Bodies of requests
// that have no use for one are left alone.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, x *exchange) error {
	if r.ContentLength == 0 || !takesBody(x.out.Method) {
		return h.exchange(w, x)
	}
	body := newClientBody(w, r)
	defer body.stop()
	x.out.Body, x.out.ContentLength = body, r.ContentLength
	resp, err := x.send()
	if r.ProtoMajor == 1 && !body.done() {
		// Or net/http would wait for the rest of the body before it answers.
		w.Header().Set("Connection", "close")
	}
	if err != nil {
		return body.explain(err)
	}
	defer resp.Body.Close()
	return h.answer(w, x, resp)
}

func takesBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// exchange sends the request of x, and the answer to the client.
func (h *Handler) exchange(w http.ResponseWriter, x *exchange) error {
	resp, err := x.send()
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return h.answer(w, x, resp)
}

func (x *exchange) send() (*http.Response, error) { return x.to.do(x.out, grantsFor(x.asked)) }

// do sends a request to the upstream.
//
// Errors: BadGateway, GatewayTimeout; SizeInvalid if the client's body fails.
func (to *Route) do(out *http.Request, needs []access.Grant) (*http.Response, error) {
	resp, err := to.Upstream.Do(out, needs)
	switch {
	case err == nil:
		return to.check(resp)
	case out.Context().Err() != nil: // the client is gone
		return nil, fmt.Errorf("ask upstream: %w", out.Context().Err())
	case errors.Is(err, upstream.ErrBody):
		return nil, oci.Errorf(oci.SizeInvalid, "the request body ended early").Because(err)
	case errors.Is(err, upstream.ErrTimeout):
		return nil, tooSlow(err)
	case errors.Is(err, upstream.ErrCredentials):
		return nil, oci.Errorf(oci.BadGateway, "the upstream registry does not accept the credentials of the gateway: tell its operator").Because(err)
	default:
		return nil, oci.Errorf(oci.BadGateway, "the upstream registry cannot be reached: try again later").Because(err)
	}
}

func tooSlow(err error) error {
	return oci.Errorf(oci.GatewayTimeout, "the upstream registry did not answer in time: try again later").Because(err)
}

// check keeps answers from the client that are about the gateway: it has asked
// with credentials of its own, or without any.
func (to *Route) check(resp *http.Response) (*http.Response, error) {
	refused := resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
	if resp.StatusCode >= http.StatusOK && (!refused || to.PassCredentials) {
		return resp, nil
	}
	defer resp.Body.Close()
	if !refused {
		return nil, oci.Errorf(oci.BadGateway, "the upstream registry answered with status %d, which makes no sense", resp.StatusCode)
	}
	said := firstMessage(resp)
	cause := fmt.Errorf("%w: it answered %s: %s", upstream.ErrCredentials, resp.Status, said)
	if resp.StatusCode == http.StatusUnauthorized {
		return nil, oci.Errorf(oci.BadGateway, "the upstream registry wants other credentials than those of the gateway: tell its operator").Because(cause)
	}
	return nil, oci.Errorf(oci.BadGateway, "the upstream registry refuses this to the gateway: %s", said).Because(cause)
}

// answer sends the upstream's answer to the client. Once it has begun, it is
// finished or broken off.
func (h *Handler) answer(w http.ResponseWriter, x *exchange, resp *http.Response) error {
	if err := h.rewrite(x, resp); err != nil {
		return err
	}
	h.sources.note(x.asked, resp.StatusCode)
	x.conclude(resp.StatusCode)
	copyToClient(w.Header(), resp.Header)
	if _, ok := resp.Header["Content-Type"]; !ok {
		w.Header()["Content-Type"] = nil // or net/http would guess one
	}
	w.WriteHeader(resp.StatusCode)
	if err := h.copyBody(w, resp); err != nil {
		if x.out.Context().Err() == nil {
			h.Log.WarnContext(x.out.Context(), "answer broken off", "path", x.out.URL.Path, "err", err)
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}

// conclude tells the call what has come of it. A 202 to the beginning of an upload
// says that there is more to come.
func (x *exchange) conclude(status int) {
	switch {
	case status >= http.StatusMultipleChoices:
		x.call.DidNot(status)
	case x.asked.Kind != route.UploadStart || status == http.StatusCreated:
		x.call.Did(x.pushed)
	}
}

const bufferSize = 256 << 10

// copyBody copies the body as it comes: what is there goes out before the next
// read waits for more.
func (h *Handler) copyBody(w http.ResponseWriter, resp *http.Response) error {
	buffer, ok := h.buffers.Get().(*[bufferSize]byte)
	if !ok {
		buffer = new([bufferSize]byte)
	}
	defer h.buffers.Put(buffer)
	control := http.NewResponseController(w)
	for total := int64(0); ; {
		n, err := resp.Body.Read(buffer[:])
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return fmt.Errorf("write to client: %w", err)
			}
			total += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read from upstream: %w", err)
		case n < bufferSize && total != resp.ContentLength:
			_ = control.Flush() // a writer that cannot shows it at the next write
		}
	}
}
