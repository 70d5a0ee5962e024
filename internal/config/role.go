package config

// Role is what a server is: it decides which settings count, and which it needs.
type Role string

// The roles, named as their commands.
const (
	Serve Role = "serve" // a registry
	Proxy Role = "proxy" // a gateway in front of other registries
	Token Role = "token" // a token server for other registries
)

// Roles returns all roles.
func Roles() []Role { return []Role{Serve, Proxy, Token} }

// Role returns the role that a configuration is for, as far as that can be told
// from what it holds.
func (c Config) Role() Role {
	switch {
	case len(c.Upstreams) > 0:
		return Proxy
	case len(c.Token.Services) > 0:
		return Token
	default:
		return Serve
	}
}
