package config

import "fmt"

// ApplyEnv sets what the environment says: MOORGATE_LISTEN, MOORGATE_DATA and
// MOORGATE_UPSTREAM_PASSWORD. lookup is os.LookupEnv. An empty variable says
// nothing.
//
// Errors: a password, and several upstreams that it could be for.
func (f *File) ApplyEnv(lookup func(string) (string, bool)) error {
	set := func(name, path string, field *string) {
		if value, ok := lookup(name); ok && value != "" {
			*field = value
			f.Replaced(path)
		}
	}
	set("MOORGATE_LISTEN", "listen", &f.Config.Listen)
	set("MOORGATE_DATA", "data", &f.Config.Data)
	return f.Config.upstreamPassword(lookup)
}

// upstreamPassword sets the password of the only upstream.
func (c *Config) upstreamPassword(lookup func(string) (string, bool)) error {
	const name = "MOORGATE_UPSTREAM_PASSWORD"
	switch password, _ := lookup(name); {
	case password == "" || len(c.Upstreams) == 0:
	case len(c.Upstreams) > 1:
		return fmt.Errorf("%s is for a single upstream, and there are %d: give each its password_file", name, len(c.Upstreams))
	default:
		c.Upstreams[0].Password, c.Upstreams[0].PasswordFile = password, ""
	}
	return nil
}
