package webhook

import (
	"fmt"
	"net/url"
	"time"

	"github.com/moorgate/moorgate/internal/loopback"
)

// Config says which service is asked about a login.
type Config struct {
	URL            string        `yaml:"url"`             // https://host/path; http only to this machine itself
	SecretFile     string        `yaml:"secret_file"`     // what questions and answers are signed with; read again when it changes
	CA             string        `yaml:"ca"`              // PEM file of the authorities to trust; "": those of the system; read again as key is
	Cert           string        `yaml:"cert"`            // PEM file of a certificate for the service to see; "": none
	Key            string        `yaml:"key"`             // PEM file of its key; the three are read again when they change
	Timeout        time.Duration `yaml:"timeout"`         // for an answer, with all that is tried again
	Retries        int           `yaml:"retries"`         // how often it is tried again where that may help
	MaxConnections int           `yaml:"max_connections"` // questions at the same time; who comes then waits
	Cache          time.Duration `yaml:"cache"`           // how long a verified password is remembered, with its groups; 0: not at all
}

// Default is the configuration of a service of which nothing is said.
func Default() Config {
	return Config{Timeout: 5 * time.Second, Retries: 2, MaxConnections: 16, Cache: time.Minute}
}

// TLSFiles returns the files that Source.ReloadTLS reads; none for a service of which
// those of the system are trusted, and which sees no certificate.
func (c Config) TLSFiles() (names []string) {
	for _, name := range []string{c.CA, c.Cert, c.Key} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Bounds of the configuration.
const (
	minTimeout     = 100 * time.Millisecond
	maxTimeout     = time.Minute // clients give up, too
	maxRetries     = 10
	maxConnections = 1000
)

// Check reports all that is wrong with the values themselves: the key, and what
// to do about it.
func (c Config) Check(report func(key, problem string)) {
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			report(key, fmt.Sprintf(format, args...))
		}
	}
	c.checkURL(func(format string, args ...any) { check(false, "url", format, args...) })
	check(c.SecretFile != "", "secret_file", "name a file with the secret that the service has too: %s", howToMake)
	check((c.Cert == "") == (c.Key == ""), "cert", "cert and key go together: give both, or none")
	check(c.Timeout >= minTimeout && c.Timeout <= maxTimeout, "timeout", "%s is not between %s and %s", c.Timeout, minTimeout, maxTimeout)
	check(c.Retries >= 0 && c.Retries <= maxRetries, "retries", "%d is not between 0 and %d", c.Retries, maxRetries)
	check(c.MaxConnections >= 1 && c.MaxConnections <= maxConnections, "max_connections", "%d is not between 1 and %d", c.MaxConnections, maxConnections)
	check(c.Cache >= 0, "cache", "a duration, or 0s for no memory")
}

func (c Config) checkURL(problem func(format string, args ...any)) {
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		problem("say where the service is, such as https://login.example.com/moorgate")
	case err != nil:
		problem("this cannot be read as a URL, such as https://login.example.com/moorgate") // there may be a password in it
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		problem("%q is not a URL such as https://login.example.com/moorgate", u.Redacted())
	case u.User != nil:
		problem("a name and a password in the URL are not sent: the secret is in secret_file")
	case u.Fragment != "":
		problem("what stands behind # is not sent: remove it")
	case u.Scheme == "http" && !loopback.Is(u.Hostname()):
		problem("passwords would be sent to %s for others to read: use https", u.Host)
	case u.Scheme == "http" && (c.CA != "" || c.Cert != ""):
		problem("ca and cert are for https: use it, or remove them")
	}
}
