// Package client speaks to a Moorgate from the machines of its users: it finds the
// server behind the name of a registry, and gets sessions there.
package client

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Host is a registry as clients name it: host and port in lower case, such as
// "registry.example.com:5043". It is fit to be the name of a file.
type Host string

// maxAddress bounds what is read as an address of a registry, in bytes.
const maxAddress = 2048

// hostForm is what a Host looks like.
var hostForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?$`)

// ParseHost reads the forms in which clients name a registry: with or without
// "https://", a path, or a repository behind it.
func ParseHost(address string) (Host, error) {
	text := strings.TrimSpace(address)
	if len(text) > maxAddress {
		return "", errors.New("the name of the registry is too long")
	}
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
			return "", errors.New("the address of the registry is not a URL such as https://registry.example.com, without a password in it")
		}
		text = u.Host
	} else {
		text, _, _ = strings.Cut(text, "/")
	}
	text = strings.ToLower(text)
	if !hostForm.MatchString(text) {
		return "", fmt.Errorf("%.80q is not a registry such as registry.example.com:5043", text)
	}
	return Host(text), nil
}

// name returns the host without its port.
func (h Host) name() string {
	u := url.URL{Host: string(h)}
	return u.Hostname()
}
