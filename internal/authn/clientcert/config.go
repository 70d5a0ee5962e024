package clientcert

import (
	"fmt"
	"strings"
)

// Config says whose certificates count, and whom they name.
type Config struct {
	CA          string   `yaml:"ca"`           // PEM file of the authorities that vouch for clients
	CRL         string   `yaml:"crl"`          // file of revocation lists, PEM or DER; "": nothing is revoked
	User        string   `yaml:"user"`         // what names the user: cn, dns, email or spiffe
	Domains     []string `yaml:"domains"`      // for dns and email: names of these domains and below; none: all
	TrustDomain string   `yaml:"trust_domain"` // for spiffe: the one that counts
	Groups      string   `yaml:"groups"`       // what names the groups: ou or o; "": they are in none
}

// Files are those that a source reads.
func (c Config) Files() []string {
	if c.CRL == "" {
		return []string{c.CA}
	}
	return []string{c.CA, c.CRL}
}

// What may name a user, and what groups.
const (
	byCN     = "cn"
	byDNS    = "dns"
	byEmail  = "email"
	bySPIFFE = "spiffe"

	byOU = "ou"
	byO  = "o"
)

// Default is the configuration of which nothing is said.
func Default() Config { return Config{User: byCN} }

// Check reports all that is wrong with the values themselves: the key, and what
// to do about it.
func (c Config) Check(report func(key, problem string)) {
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			report(key, fmt.Sprintf(format, args...))
		}
	}
	check(c.CA != "", "ca", "name the PEM file of the authorities that sign the certificates of clients")
	switch c.User {
	case byCN, byDNS, byEmail:
		check(c.TrustDomain == "", "trust_domain", "only user: spiffe has one")
	case bySPIFFE:
		check(isTrustDomain(c.TrustDomain), "trust_domain", "%q is no trust domain: with user: spiffe, name the one that counts, such as example.org", c.TrustDomain)
	default:
		check(false, "user", "%q is not one of cn, dns, email, spiffe", c.User)
	}
	check(len(c.Domains) == 0 || c.User == byDNS || c.User == byEmail, "domains", "only user: dns and user: email have them")
	for i, domain := range c.Domains {
		check(isHost(domain), fmt.Sprintf("domains[%d]", i), "%q is no domain such as example.com, in lower case", domain)
	}
	check(c.Groups == "" || c.Groups == byOU || c.Groups == byO, "groups", "%q is not one of ou, o", c.Groups)
}

// below reports whether a host name is one of the domains or below one; all are, if
// there are none.
func below(host string, domains []string) bool {
	for _, domain := range domains {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return len(domains) == 0
}
