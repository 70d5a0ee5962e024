// Package config is the configuration file: its form, its defaults, and what is
// wrong with it. It is plain data and has no effects.
package config

import (
	"fmt"
	"net/netip"
	"time"
)

// Config is all that can be configured. The yaml names are those of the file;
// docs/configuration.md describes them for operators.
type Config struct {
	Listen         string   `yaml:"listen"`          // host:port; ":5043" listens on all addresses
	Data           string   `yaml:"data"`            // the data directory
	Open           bool     `yaml:"open"`            // everybody may do everything: for development
	TLS            TLS      `yaml:"tls"`             //
	Login          []Login  `yaml:"login"`           // identity sources, asked in order
	TrustedProxies []Prefix `yaml:"trusted_proxies"` // whose forwarded headers count
	Registry       Registry `yaml:"registry"`        //
	Limits         Limits   `yaml:"limits"`          //
	Log            Log      `yaml:"log"`             //
}

// TLS says with which certificate the registry answers; with none, it speaks
// plain HTTP.
type TLS struct {
	Cert       string   `yaml:"cert"`        // PEM file: the certificate and its chain
	Key        string   `yaml:"key"`         // PEM file: its private key
	SelfSigned bool     `yaml:"self_signed"` // make one, and keep it in the data directory
	Hosts      []string `yaml:"hosts"`       // names and addresses of a self-signed one
}

// On reports whether the registry speaks TLS.
func (t TLS) On() bool { return t.Cert != "" || t.SelfSigned }

// Login is one identity source; exactly one field is set.
type Login struct {
	Htpasswd *Htpasswd `yaml:"htpasswd"`
}

// Htpasswd is a file of users and password hashes.
type Htpasswd struct {
	File string `yaml:"file"`
}

// Registry says how the registry treats content.
type Registry struct {
	Sparse bool `yaml:"sparse"` // take manifests that name content the repository lacks
	Delete bool `yaml:"delete"` // allow deleting manifests, tags and blobs
}

// Limits bound what clients may use.
type Limits struct {
	IdleTimeout    time.Duration `yaml:"idle_timeout"`     // a connection on which nothing moves is cut
	HeaderTimeout  time.Duration `yaml:"header_timeout"`   // the headers of a request must come within this
	HeaderBytes    int           `yaml:"header_bytes"`     // the headers of a request are at most so large
	StopTimeout    time.Duration `yaml:"stop_timeout"`     // how long running requests may take after SIGTERM
	UploadExpiry   time.Duration `yaml:"upload_expiry"`    // an unfinished upload that rests so long is dropped
	UploadsPerUser int           `yaml:"uploads_per_user"` // unfinished uploads of one user at a time
	PasswordChecks int           `yaml:"password_checks"`  // password hashes computed at once; 0: one per processor
	PasswordCache  time.Duration `yaml:"password_cache"`   // how long a verified password is remembered; 0: not at all
}

// Log says what is logged, and how.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
	Access bool   `yaml:"access"` // a line for each request
}

// Default is the configuration of "moorgate serve" without arguments.
func Default() Config {
	return Config{
		Listen:   "127.0.0.1:5000",
		Data:     "./moorgate-data",
		Registry: Registry{Delete: true},
		Limits: Limits{
			IdleTimeout:    2 * time.Minute,
			HeaderTimeout:  10 * time.Second,
			HeaderBytes:    64 << 10,
			StopTimeout:    30 * time.Second,
			UploadExpiry:   24 * time.Hour,
			UploadsPerUser: 1000,
			PasswordCache:  5 * time.Minute,
		},
		Log: Log{Level: "info", Format: "text", Access: true},
	}
}

// Prefix is an address range such as 10.0.0.0/8, or a single address.
type Prefix netip.Prefix

// UnmarshalText reads a range or an address.
func (p *Prefix) UnmarshalText(text []byte) error {
	s := string(text)
	if a, err := netip.ParseAddr(s); err == nil {
		*p = Prefix(netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("%q is no address and no address range such as 10.0.0.0/8", s)
	}
	*p = Prefix(prefix.Masked())
	return nil
}

// Proxies returns the trusted proxies as address ranges.
func (c Config) Proxies() []netip.Prefix {
	list := make([]netip.Prefix, len(c.TrustedProxies))
	for i, p := range c.TrustedProxies {
		list[i] = netip.Prefix(p)
	}
	return list
}

// ApplyEnv sets what the environment says: MOORGATE_LISTEN and MOORGATE_DATA.
// lookup is os.LookupEnv.
func (c *Config) ApplyEnv(lookup func(string) (string, bool)) {
	for name, field := range map[string]*string{"MOORGATE_LISTEN": &c.Listen, "MOORGATE_DATA": &c.Data} {
		if value, ok := lookup(name); ok && value != "" {
			*field = value
		}
	}
}
