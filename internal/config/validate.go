package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// validator collects problems.
type validator struct {
	problems []Problem
}

func (v *validator) check(ok bool, path, format string, args ...any) {
	if !ok {
		v.problems = append(v.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
	}
}

func (v *validator) warn(ok bool, path, format string, args ...any) {
	if !ok {
		v.problems = append(v.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...), Warning: true})
	}
}

// Validate returns all mistakes for a role that can be seen without looking at
// the machine; "" is the role that the content tells.
func (c Config) Validate(role Role) []Problem {
	if role == "" {
		role = c.Role()
	}
	v := &validator{}
	v.listen(c)
	v.url(c.URL)
	v.tls(c.TLS)
	v.login(c)
	v.policy(c)
	v.tokens(c, role)
	v.upstreams(c)
	v.role(c, role)
	v.limits(c.Limits)
	v.lockout(c.Lockout)
	v.atLeast("registry.free_after", c.Registry.FreeAfter, 0)
	v.health(c)
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "text", "json")
	v.audit(c)
	v.check(c.Data != "", "data", "name a directory")
	return v.problems
}

// role reports what a role lacks, and what it has no use for.
func (v *validator) role(c Config, role Role) {
	v.check(role != Proxy || len(c.Upstreams) > 0, "upstreams", "a gateway needs a registry behind it: give --upstream, or name one here")
	v.warn(role == Proxy || len(c.Upstreams) == 0, "upstreams", "only \"moorgate proxy\" uses them")
	v.check(role != Token || len(c.Token.Services) > 0, "token.services", "a token server needs the registries that trust it: name them here")
	v.check(role != Token || len(c.Login) > 0, "login", "a token server needs to know its users: give --htpasswd, or name an identity source here")
	v.check(role != Token || !c.Open, "open", "a token server cannot be open: write access rules for anonymous instead")
}

// hostPort reports whether an address can be listened on.
func (v *validator) hostPort(path, address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		v.check(false, path, "%q is not host:port, such as 127.0.0.1:5000 or :5043", address)
		return false
	}
	n, err := strconv.Atoi(port)
	v.check(err == nil && n >= 0 && n <= 65535, path, "%q is not a port", port)
	return true
}

func (v *validator) listen(c Config) {
	if !v.hostPort("listen", c.Listen) {
		return
	}
	plain := !c.TLS.On() && !c.Loopback() && len(c.TrustedProxies) == 0 && !c.Open
	v.check(!plain, "listen",
		"passwords would go over the network at %s for anybody to read: "+
			"give --tls-cert and --tls-key, or --tls-self-signed, or listen on 127.0.0.1, "+
			"or name the proxy that ends TLS in front of this server in trusted_proxies", c.Listen)
}

func (v *validator) health(c Config) {
	if c.Health.Listen != "" && v.hostPort("health.listen", c.Health.Listen) {
		v.check(c.Health.Listen != c.Listen || strings.HasSuffix(c.Listen, ":0"), "health.listen", "%s is where the registry listens: choose another port", c.Listen)
	}
}

func (v *validator) audit(c Config) {
	c.Audit.Check(func(key, problem string) { v.check(false, "audit."+key, "%s", problem) })
	first := !c.Open && len(c.Login) == 0 && len(c.Token.Accept) == 0
	v.check(!c.Audit.Stdout || !first, "audit.stdout", "without an identity source the password of the first user is shown there: name a source in login")
}

func (v *validator) tls(t TLS) {
	v.check(t.Cert == "" || t.Key != "", "tls.key", "missing: a certificate needs its key")
	v.check(t.Key == "" || t.Cert != "", "tls.cert", "missing: a key needs its certificate")
	v.check(!t.SelfSigned || t.Cert == "", "tls.self_signed", "choose one: a certificate of your own (tls.cert) or a self-signed one")
	v.check(len(t.Hosts) == 0 || t.SelfSigned, "tls.hosts", "only a self-signed certificate takes hosts")
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
	v.check(false, path, "%q is not one of %s", value, strings.Join(allowed, ", "))
}
