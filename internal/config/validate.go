package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Problem is one mistake in a configuration.
type Problem struct {
	Line    int    `json:"line"`    // in the file; 0 if it does not stand there
	Path    string `json:"path"`    // such as "tls.cert"
	Message string `json:"message"` // what is wrong, and what to do
}

func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.Path, p.Message)
	}
	return fmt.Sprintf("line %d: %s: %s", p.Line, p.Path, p.Message)
}

// validator collects problems.
type validator struct {
	problems []Problem
}

func (v *validator) check(ok bool, path, format string, args ...any) {
	if !ok {
		v.problems = append(v.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
	}
}

// Validate returns all mistakes that can be seen without looking at the machine.
func (c Config) Validate() []Problem {
	v := &validator{}
	v.listen(c)
	v.tls(c.TLS)
	v.login(c)
	v.limits(c.Limits)
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "text", "json")
	v.check(c.Data != "", "data", "name a directory")
	return v.problems
}

func (v *validator) listen(c Config) {
	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		v.check(false, "listen", "%q is not host:port, such as 127.0.0.1:5000 or :5043", c.Listen)
		return
	}
	n, err := strconv.Atoi(port)
	v.check(err == nil && n >= 0 && n <= 65535, "listen", "%q is not a port", port)
	plain := !c.TLS.On() && !c.Loopback() && len(c.TrustedProxies) == 0 && !c.Open
	v.check(!plain, "listen",
		"passwords would go over the network at %s for anybody to read: "+
			"give --tls-cert and --tls-key, or --tls-self-signed, or listen on 127.0.0.1, "+
			"or name the proxy that ends TLS in front of this registry in trusted_proxies", c.Listen)
}

// Loopback reports whether only this machine can reach the registry.
func (c Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (v *validator) tls(t TLS) {
	v.check(t.Cert == "" || t.Key != "", "tls.key", "missing: a certificate needs its key")
	v.check(t.Key == "" || t.Cert != "", "tls.cert", "missing: a key needs its certificate")
	v.check(!t.SelfSigned || t.Cert == "", "tls.self_signed", "choose one: a certificate of your own (tls.cert) or a self-signed one")
	v.check(len(t.Hosts) == 0 || t.SelfSigned, "tls.hosts", "only a self-signed certificate takes hosts")
}

func (v *validator) login(c Config) {
	v.check(!c.Open || len(c.Login) == 0, "open", "an open registry asks for no login: remove open, or remove login")
	for i, l := range c.Login {
		path := fmt.Sprintf("login[%d]", i)
		if l.Htpasswd == nil {
			v.check(false, path, "name an identity source, such as htpasswd")
			continue
		}
		v.check(l.Htpasswd.File != "", path+".htpasswd.file", "name the password file")
	}
}

func (v *validator) limits(l Limits) {
	v.atLeast("limits.idle_timeout", l.IdleTimeout, time.Second)
	v.atLeast("limits.header_timeout", l.HeaderTimeout, time.Second)
	v.atLeast("limits.stop_timeout", l.StopTimeout, 0)
	v.atLeast("limits.upload_expiry", l.UploadExpiry, time.Minute)
	v.atLeast("limits.password_cache", l.PasswordCache, 0)
	v.check(l.HeaderBytes >= 4<<10 && l.HeaderBytes <= 1<<20, "limits.header_bytes", "%d is not between 4096 and 1048576", l.HeaderBytes)
	v.check(l.UploadsPerUser >= 1, "limits.uploads_per_user", "at least 1")
	v.check(l.PasswordChecks >= 0, "limits.password_checks", "a number of hashes, or 0 for one per processor")
}

func (v *validator) atLeast(path string, d, least time.Duration) {
	v.check(d >= least, path, "%s is too short, at least %s", d, least)
}

func (v *validator) oneOf(path, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	v.check(false, path, "%q is not one of %v", value, allowed)
}
