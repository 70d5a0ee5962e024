// Package config is the configuration file: its form, its defaults, and what is
// wrong with it. It is plain data and has no effects.
package config

import (
	"time"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/audit/trail"
	"github.com/moorgate/moorgate/internal/upstream"
)

// Config is all that can be configured. The yaml names are those of the file;
// docs/configuration.md describes them for operators.
type Config struct {
	Listen         string        `yaml:"listen"`          // host:port; ":5043" listens on all addresses
	URL            string        `yaml:"url"`             // how clients reach it: scheme and host; "": taken from each request
	Data           string        `yaml:"data"`            // the data directory
	Open           bool          `yaml:"open"`            // everybody may do everything: for development
	TLS            TLS           `yaml:"tls"`             //
	Login          []Login       `yaml:"login"`           // identity sources, asked in order
	Access         *access.Rules `yaml:"access"`          // who may do what; nil: whoever is signed in may do everything
	Token          Tokens        `yaml:"token"`           //
	Upstreams      []Upstream    `yaml:"upstreams"`       // what the gateway stands in front of
	TrustedProxies []Prefix      `yaml:"trusted_proxies"` // whose forwarded headers count
	Registry       Registry      `yaml:"registry"`        //
	Limits         Limits        `yaml:"limits"`          //
	Lockout        Lockout       `yaml:"lockout"`         //
	Health         Health        `yaml:"health"`          //
	Log            Log           `yaml:"log"`             //
	Audit          trail.Config  `yaml:"audit"`           // where decisions are recorded, beside the log
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

// Upstream is a registry behind the gateway.
type Upstream struct {
	Prefix          string `yaml:"prefix"` // its repositories: this one and those below it; "": all that no other has
	upstream.Config        // how to reach it
}

// Registry says how the registry treats content.
type Registry struct {
	Sparse    bool          `yaml:"sparse"`     // take manifests that name content the repository lacks
	Delete    bool          `yaml:"delete"`     // allow deleting manifests, tags and blobs
	FreeAfter time.Duration `yaml:"free_after"` // how long content stays that no repository holds any more; 0: until the next look
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

// Health says where the questions after the health are answered.
type Health struct {
	Listen string `yaml:"listen"` // host:port for /livez, /readyz and /metrics; "": nowhere
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
		Token:    defaultTokens(),
		Registry: Registry{Delete: true, FreeAfter: time.Hour},
		Limits: Limits{
			IdleTimeout:    2 * time.Minute,
			HeaderTimeout:  10 * time.Second,
			HeaderBytes:    64 << 10,
			StopTimeout:    30 * time.Second,
			UploadExpiry:   24 * time.Hour,
			UploadsPerUser: 1000,
			PasswordCache:  5 * time.Minute,
		},
		Lockout: defaultLockout(),
		Log:     Log{Level: "info", Format: "text", Access: true},
		Audit:   trail.Default(),
	}
}

// Sources returns the names of all identity sources. Without any there is a
// password file, made at the first start.
func (c Config) Sources() []string {
	var names []string
	for _, l := range c.Login {
		names = append(names, l.Source())
	}
	for _, a := range c.Token.Accept {
		names = append(names, a.Source())
	}
	if len(names) == 0 {
		names = append(names, Login{Htpasswd: &Htpasswd{}}.Source())
	}
	return names
}
