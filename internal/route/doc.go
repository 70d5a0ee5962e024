// Package route turns a request line into a Request, and a Request into the
// scopes it needs and the URL it came from.
//
// It is pure, and the only place that knows the URLs of the distribution API
// (distribution-spec, "Endpoints"). What follows, in the gate, in the handlers
// and in the logs, works on the Request alone.
package route
