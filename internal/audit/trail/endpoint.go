package trail

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/moorgate/moorgate/internal/audit"
)

// endpoint is where a syslog server takes messages.
type endpoint struct {
	scheme string // unix, udp, tcp or tls
	at     string // a path, or host:port
	host   string // "" for a path
}

// parseEndpoint reads an address.
func parseEndpoint(text string) (endpoint, error) {
	u, err := url.Parse(text)
	if err == nil && u.User != nil { // a secret, maybe: it is not shown
		return endpoint{}, errors.New("the address of a syslog server has no user and no password")
	}
	if err == nil && u.RawQuery == "" && u.Fragment == "" {
		if to, ok := endpointOf(u); ok {
			return to, nil
		}
	}
	return endpoint{}, fmt.Errorf("%q is no address of a syslog server, such as unix:///dev/log, udp://logs.example.com:514, "+
		"tcp://logs.example.com:514 or tls://logs.example.com:6514", text)
}

// maxSocketPath bounds the path of a Unix socket, in bytes (unix(7)).
const maxSocketPath = 107

func endpointOf(u *url.URL) (endpoint, bool) {
	switch u.Scheme {
	case "unix":
		return endpoint{scheme: "unix", at: u.Path}, u.Host == "" && len(u.Path) > 1 && len(u.Path) <= maxSocketPath
	case "udp", "tcp", "tls":
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		to := endpoint{scheme: u.Scheme, at: net.JoinHostPort(u.Hostname(), u.Port()), host: u.Hostname()}
		return to, u.Hostname() != "" && err == nil && port > 0 && strings.Trim(u.Path, "/") == ""
	default:
		return endpoint{}, false
	}
}

// tagForm is the form of the name of a program, which both forms of messages take.
var tagForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

// facilities have the numbers of RFC 5424, section 6.2.1.
var facilities = map[string]int{ //nolint:gochecknoglobals // a lookup table, never written
	"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9,
	"authpriv": 10, "ftp": 11, "audit": 13,
	"local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}

// Severities (RFC 5424, section 6.2.1).
const (
	warning = 4
	notice  = 5
	info    = 6
)

// severityOf says how much somebody should care.
func severityOf(o audit.Outcome) int {
	switch o {
	case audit.Denied, audit.LoginFailed, audit.Unknown:
		return warning
	case audit.Allowed:
		return info
	default:
		return notice
	}
}
