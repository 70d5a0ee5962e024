package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// failure is why a question has no answer.
type failure struct {
	err   error
	again bool          // to try again may help
	away  bool          // the service is not there for anybody, or wants to be left alone
	after time.Duration // when it wants to be asked again; 0: it does not say
}

// unanswered is the failure of a question that had no response at all. Until there
// is a connection the service has not seen the question, so that its words cannot
// have a secret in them.
func unanswered(err error) *failure {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		err = failed.Err // the URL is known
	}
	if advice := adviceOnTLS(err); advice != "" {
		return &failure{err: fmt.Errorf("it cannot be trusted: %w: %s", err, advice), away: true}
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		return &failure{err: fmt.Errorf("it cannot be reached: %w", err), again: true, away: true}
	}
	if isBroken(err) {
		return &failure{err: fmt.Errorf("it has not answered: %w", err), again: true}
	}
	// The text of the error may have a part of the answer in it, and that a part of
	// the password.
	return &failure{err: errors.New("it has not answered in HTTP that can be read"), again: true}
}

// isBroken reports whether a connection has ended too early.
func isBroken(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) || errors.Is(err, context.Canceled)
}

// adviceOnTLS says what to do about an error of TLS; "" if it is another one.
func adviceOnTLS(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &unknown):
		return "name its authority in ca"
	case errors.As(err, &host):
		return "use a name of the certificate in url"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew it, or mend the clock of this machine"
	case errors.As(err, &invalid):
		return "it needs another certificate"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "is it a port without TLS? Look at url"
	case errors.As(err, &op) && op.Op == "remote error":
		return "look whether it wants a certificate of ours (cert, key)"
	default:
		return ""
	}
}

// refused is the failure of a question that had a response without an answer.
func refused(res *http.Response, now time.Time) *failure {
	f := &failure{err: fmt.Errorf("it answers %d %s", res.StatusCode, http.StatusText(res.StatusCode))}
	switch res.StatusCode {
	case http.StatusServiceUnavailable:
		f.again, f.away, f.after = true, true, retryAfter(res.Header, now)
	case http.StatusTooManyRequests: // somebody guesses, which must not keep out the others
		f.again, f.after = true, retryAfter(res.Header, now)
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		f.again = true
	case http.StatusUnauthorized, http.StatusForbidden:
		f.err = fmt.Errorf("%w: look whether it has the secret of secret_file%s", f.err, skew(res.Header, now))
	case http.StatusBadRequest:
		if res.Request.URL.Scheme == "http" {
			f.err = fmt.Errorf("%w: if it speaks TLS, url begins with https://", f.err)
		}
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		f.err = fmt.Errorf("%w to POST: look at the path in url", f.err)
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		f.err = fmt.Errorf("%w: no password is sent elsewhere; name the right place in url", f.err)
	}
	return f
}

// maxSkew is how far clocks may be apart before it is worth a word.
const maxSkew = time.Minute

// skew says how far the clock of the service is from ours, if it is far: it does
// not take questions of another time.
func skew(h http.Header, now time.Time) string {
	there, err := http.ParseTime(h.Get("Date"))
	if err != nil || there.Sub(now).Abs() < maxSkew {
		return ""
	}
	return fmt.Sprintf(", and mend the clocks: its own is %s from that of this machine", there.Sub(now).Round(time.Second))
}

// retryAfter is when a service wants to be asked again (RFC 9110, section 10.2.3);
// 0 if it does not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
