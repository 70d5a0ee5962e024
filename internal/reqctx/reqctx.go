// Package reqctx holds the two things that a request's context carries besides
// cancellation: its identifier, and how the client is connected.
package reqctx

import (
	"context"
	"net/netip"
)

// Client is how a client is connected, as far as trusted proxies tell.
type Client struct {
	Addr    netip.Addr // of the client itself; the zero value if it is not known
	Private bool       // nobody between can read along: TLS all the way, or the same machine
	TLS     bool       // the client speaks TLS, to us or to a trusted proxy
}

type (
	idKey     struct{}
	clientKey struct{}
)

// WithID returns a context that carries the identifier of the request.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey{}, id)
}

// ID returns the identifier of the request, or "".
func ID(ctx context.Context) string {
	id, _ := ctx.Value(idKey{}).(string)
	return id
}

// WithClient returns a context that carries how the client is connected.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientOf returns how the client is connected; the zero value if it is not
// known, which trusts nothing.
func ClientOf(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}
