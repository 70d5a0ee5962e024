package front

import (
	"fmt"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
)

// Config says which proxy is believed, and how it tells who somebody is.
type Config struct {
	From         []string `yaml:"from"`          // addresses, or ranges such as 10.1.2.0/28: the proxies that are believed
	User         string   `yaml:"user"`          // the header with the name of the user
	Groups       string   `yaml:"groups"`        // the header with the names of the groups; "": they are in none
	Separator    string   `yaml:"separator"`     // stands between two groups
	SecretFile   string   `yaml:"secret_file"`   // what a proxy has to say besides, one secret in a line; "": nothing
	SecretHeader string   `yaml:"secret_header"` // the header with the secret
}

// Default is the configuration of which nothing is said.
func Default() Config {
	return Config{User: "X-Forwarded-User", Separator: ",", SecretHeader: "X-Front-Secret"}
}

// Check reports all that is wrong with the values themselves: the key, and what
// to do about it.
func (c Config) Check(report func(key, problem string)) {
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			report(key, fmt.Sprintf(format, args...))
		}
	}
	check(len(c.From) > 0, "from", "name the addresses of the proxies that are believed, such as 10.1.2.3")
	here := false
	for i, text := range c.From {
		prefix, err := parseRange(text)
		check(err == nil, fmt.Sprintf("from[%d]", i), "%v", err)
		here = here || err == nil && isHere(prefix)
	}
	check(!here || c.SecretFile != "", "secret_file", "every program on this machine comes from there and could be anybody: give the proxy a secret, and name the file that holds it")
	check(c.User != "", "user", "name the header that has the user, such as X-Forwarded-User")
	seen := map[string]string{}
	for _, h := range []struct{ key, name string }{{"user", c.User}, {"groups", c.Groups}, {"secret_header", c.SecretHeader}} {
		if h.name == "" && h.key != "secret_header" {
			continue
		}
		check(isHeader(h.name), h.key, "%q is not a header that a proxy can set for this: use letters, digits and '-', and none that has a meaning already", h.name)
		name := textproto.CanonicalMIMEHeaderKey(h.name)
		check(seen[name] == "", h.key, "%s is the header for %s already", h.name, seen[name])
		seen[name] = h.key
	}
	check(c.Separator != "" && !strings.ContainsFunc(c.Separator, isControl), "separator", "%q cannot separate groups: use one such as \",\" or \"|\"", c.Separator)
}

// isHere reports whether programs of this machine come from a range, whoever they
// are of.
func isHere(prefix netip.Prefix) bool {
	return prefix.Overlaps(netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)) || prefix.Contains(netip.IPv6Loopback())
}

// The widest ranges that can be those of proxies: 10.0.0.0/8 and fc00::/7.
const (
	widest4 = 8
	widest6 = 7
)

// parseRange reads an address or a range.
func parseRange(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if addr, alone := netip.ParseAddr(text); alone == nil && addr.Zone() == "" {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is no address and no address range such as 10.1.2.0/28", text)
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4 address in the form of IPv6: write it as one of IPv4", text)
	case prefix.Addr().Is4() && prefix.Bits() < widest4, prefix.Addr().Is6() && prefix.Bits() < widest6:
		return netip.Prefix{}, fmt.Errorf("%s would believe half the world: name only the proxies", text)
	}
	return prefix.Masked(), nil
}

// taken are headers that mean something else. Proxies and clients set them anyway.
var taken = []string{ //nolint:gochecknoglobals // a table, never written
	"Accept", "Authorization", "Connection", "Content-Length", "Content-Type", "Cookie", "Forwarded", "Host", "Origin",
	"Proxy-Authorization", "Range", "Referer", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "Via",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id",
}

// isHeader reports whether a header can be one of those: with nothing in its name
// that looks like something else to others, such as an underscore.
func isHeader(name string) bool {
	other := func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}
	return name != "" && len(name) <= maxHeader && !strings.ContainsFunc(name, other) && !slices.Contains(taken, textproto.CanonicalMIMEHeaderKey(name))
}

// maxHeader bounds the name of a header, in bytes.
const maxHeader = 100
