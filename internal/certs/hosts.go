package certs

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Hosts are the names that a certificate is for.
type Hosts struct {
	DNS []string // lower case; may begin with "*."
	IPs []net.IP
}

const (
	maxHosts    = 100
	maxHostName = 253 // RFC 1035, section 2.3.4
)

var (
	label     = regexp.MustCompile(`^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$`)
	allDigits = regexp.MustCompile(`^[0-9]+$`)
)

// ParseHosts reads host names, wildcards such as *.example.com, and IP
// addresses, without ports. It drops repetitions and keeps the order.
func ParseHosts(names []string) (Hosts, error) {
	var h Hosts
	for _, name := range names {
		if err := h.add(strings.TrimSpace(name)); err != nil {
			return Hosts{}, err
		}
	}
	switch n := len(h.DNS) + len(h.IPs); {
	case n == 0:
		return Hosts{}, fmt.Errorf("no host names; say what clients call this registry, such as registry.example.com")
	case n > maxHosts:
		return Hosts{}, fmt.Errorf("%d host names are more than %d", n, maxHosts)
	}
	return h, nil
}

func (h *Hosts) add(name string) error {
	bare := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if addr, err := netip.ParseAddr(bare); err == nil {
		if addr.Zone() != "" {
			return fmt.Errorf("host %q: an address in a certificate has no zone", name)
		}
		ip := net.IP(addr.Unmap().AsSlice())
		if !slices.ContainsFunc(h.IPs, ip.Equal) {
			h.IPs = append(h.IPs, ip)
		}
		return nil
	}
	dns := strings.ToLower(strings.TrimSuffix(name, "."))
	if err := checkDNS(dns); err != nil {
		return fmt.Errorf("host %q: %w", name, err)
	}
	if !slices.Contains(h.DNS, dns) {
		h.DNS = append(h.DNS, dns)
	}
	return nil
}

func checkDNS(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the name is empty")
	case strings.Contains(name, "/"):
		return fmt.Errorf("give the name alone, without https:// and path")
	case strings.Contains(name, ":"):
		return fmt.Errorf("give the name alone, without a port")
	case strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f }):
		return fmt.Errorf("give the name in its ASCII form (xn--…)")
	case len(name) > maxHostName:
		return fmt.Errorf("longer than %d bytes", maxHostName)
	}
	labels := strings.Split(strings.TrimPrefix(name, "*."), ".")
	for _, l := range labels {
		if strings.Contains(l, "*") {
			return fmt.Errorf("only the whole first part of a name may be *, as in *.example.com")
		}
		if !label.MatchString(l) {
			return fmt.Errorf("%q is not part of a host name", l)
		}
	}
	if allDigits.MatchString(labels[len(labels)-1]) {
		return fmt.Errorf("neither a host name nor an IP address")
	}
	return nil
}

// Strings returns all names, DNS names first.
func (h Hosts) Strings() []string {
	all := slices.Clone(h.DNS)
	for _, ip := range h.IPs {
		all = append(all, ip.String())
	}
	return all
}

// equal reports whether h and other are the same names in any order.
func (h Hosts) equal(other Hosts) bool {
	a, b := h.Strings(), other.Strings()
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
