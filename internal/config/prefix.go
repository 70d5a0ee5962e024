package config

import (
	"fmt"
	"net/netip"
)

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
func (c Config) Proxies() []netip.Prefix { return prefixes(c.TrustedProxies) }

func prefixes(from []Prefix) []netip.Prefix {
	list := make([]netip.Prefix, len(from))
	for i, p := range from {
		list[i] = netip.Prefix(p)
	}
	return list
}
