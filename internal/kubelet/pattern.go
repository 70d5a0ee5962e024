package kubelet

import (
	"fmt"
	"net"
	"path"
	"regexp"
	"strings"
)

// Pattern is a registry, or several, in the form of matchImages of the kubelet, without
// a path: each "*" stands for one part of a domain or some of it, and the port must be
// the same.
type Pattern struct {
	parts []string // of the domain
	port  string   // "" for none
}

// patternForm is what a pattern looks like in lower case.
var patternForm = regexp.MustCompile(`^([a-z0-9*]([a-z0-9.*-]*[a-z0-9*])?|\[[0-9a-f:]{2,39}\])(:[0-9]{1,5})?$`)

// ParsePattern reads a pattern, such as registry.example.com:5043, *.example.com or
// [2001:db8::5]:5043. Capital letters mean the same as small ones.
func ParsePattern(text string) (Pattern, error) {
	text = strings.ToLower(text)
	if !patternForm.MatchString(text) || strings.Contains(text, "..") {
		return Pattern{}, fmt.Errorf("%q is not a registry such as registry.example.com:5043 or *.example.com", text)
	}
	if strings.Trim(text, "*.") == "" {
		return Pattern{}, fmt.Errorf("%q is every registry, and each would get the credentials: name yours", text)
	}
	host, port := split(text)
	return Pattern{parts: strings.Split(host, "."), port: port}, nil
}

// split takes an address apart. An IPv6 address loses its brackets, which would mean
// something else in a pattern.
func split(address string) (host, port string) {
	if h, p, err := net.SplitHostPort(address); err == nil {
		return h, p
	}
	return strings.Trim(address, "[]"), ""
}

func (p Pattern) matches(address string) bool {
	host, port := split(strings.ToLower(address))
	parts := strings.Split(host, ".")
	if port != p.port || len(parts) != len(p.parts) {
		return false
	}
	for i, part := range parts {
		if ok, err := path.Match(p.parts[i], part); err != nil || !ok {
			return false
		}
	}
	return true
}
