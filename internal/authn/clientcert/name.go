package clientcert

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/moorgate/moorgate/internal/access"
)

// Bounds of what a certificate may say.
const (
	maxName   = 512 // bytes of a user name, or of a group
	maxGroups = 100
)

// Attributes of a subject (RFC 5280, appendix A.1).
var (
	commonName         = asn1.ObjectIdentifier{2, 5, 4, 3}  //nolint:gochecknoglobals // a name, never written
	organization       = asn1.ObjectIdentifier{2, 5, 4, 10} //nolint:gochecknoglobals // a name, never written
	organizationalUnit = asn1.ObjectIdentifier{2, 5, 4, 11} //nolint:gochecknoglobals // a name, never written
)

// identity returns whom a verified certificate names. Of several names none is
// chosen: which one is meant, its authority would have to say.
func (c Config) identity(source string, cert *x509.Certificate) (access.Identity, error) {
	if cert.IsCA {
		return access.Identity{}, errors.New("it is that of an authority, and names no client")
	}
	user, err := c.userOf(cert)
	if err != nil {
		return access.Identity{}, err
	}
	groups, err := c.groupsOf(cert)
	if err != nil {
		return access.Identity{}, err
	}
	return access.Identity{User: user, Groups: groups, Source: source}, nil
}

func (c Config) userOf(cert *x509.Certificate) (string, error) {
	switch c.User {
	case byDNS:
		return c.hostOf(cert.DNSNames)
	case byEmail:
		return c.emailOf(cert.EmailAddresses)
	case bySPIFFE:
		return c.spiffeOf(cert)
	}
	names, err := attributes(cert, commonName)
	if err != nil {
		return "", fmt.Errorf("its common name: %w", err)
	}
	return one("common name", names)
}

// one returns the only one of some names.
func one(what string, names []string) (string, error) {
	switch len(names) {
	case 0:
		return "", fmt.Errorf("it has no %s", what)
	case 1:
		return names[0], nil
	default:
		return "", fmt.Errorf("it has %d values for %s: which one is meant?", len(names), what)
	}
}

// attributes returns the values of one kind in the subject, which are names.
func attributes(cert *x509.Certificate, kind asn1.ObjectIdentifier) (values []string, err error) {
	for _, a := range cert.Subject.Names {
		if !a.Type.Equal(kind) {
			continue
		}
		text, ok := a.Value.(string)
		if !ok {
			return nil, errors.New("it is no text")
		}
		if err := access.CheckName(text, maxName); err != nil {
			return nil, err
		}
		values = append(values, text)
	}
	return values, nil
}

func (c Config) hostOf(names []string) (string, error) {
	name, err := one("DNS name", names)
	if err != nil {
		return "", err
	}
	host := strings.ToLower(name) // there is no difference (RFC 4343)
	if !isHost(host) {
		return "", errors.New("its DNS name is not that of one host")
	}
	if !below(host, c.Domains) {
		return "", errors.New("its DNS name is outside of domains")
	}
	return host, nil
}

func (c Config) emailOf(addresses []string) (string, error) {
	address, err := one("e-mail address", addresses)
	if err != nil {
		return "", err
	}
	mailbox, domain, _ := strings.Cut(address, "@")
	domain = strings.ToLower(domain)
	if len(mailbox) > maxMailbox || !mailboxes.MatchString(mailbox) || !isHost(domain) {
		return "", errors.New("its e-mail address is not of the form mailbox@domain")
	}
	if !below(domain, c.Domains) {
		return "", errors.New("its e-mail address is outside of domains")
	}
	return mailbox + "@" + domain, nil
}

// spiffeOf returns the SPIFFE ID of a leaf (X.509-SVID, sections 2, 4 and 5.2).
func (c Config) spiffeOf(cert *x509.Certificate) (string, error) {
	if cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 || cert.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return "", errors.New("it is no X.509-SVID: its key must be for digital signatures, and for signing neither certificates nor lists")
	}
	if len(cert.URIs) != 1 {
		return "", fmt.Errorf("it is no X.509-SVID: it has %d URIs, not one", len(cert.URIs))
	}
	id := cert.URIs[0].String()
	found := spiffeIDs.FindStringSubmatch(id)
	if found == nil || len(id) > maxName || hasDotSegment(found[2]) {
		return "", errors.New("its URI is no SPIFFE ID of a workload, such as spiffe://example.org/ci/build")
	}
	if found[1] != c.TrustDomain {
		return "", fmt.Errorf("its SPIFFE ID is of the trust domain %q, not of %s", found[1], c.TrustDomain)
	}
	return id, nil
}

func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func (c Config) groupsOf(cert *x509.Certificate) ([]string, error) {
	kind := organizationalUnit
	switch c.Groups {
	case "":
		return nil, nil
	case byO:
		kind = organization
	}
	groups, err := attributes(cert, kind)
	if err != nil {
		return nil, fmt.Errorf("a group (%s) of it: %w", c.Groups, err)
	}
	if len(groups) > maxGroups {
		return nil, fmt.Errorf("it names %d groups (%s), at most %d are allowed", len(groups), c.Groups, maxGroups)
	}
	return groups, nil
}

// The forms of names. A SPIFFE ID has a trust domain and a path (SPIFFE-ID, section
// 2).
var (
	hosts        = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)
	mailboxes    = regexp.MustCompile("^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+$")
	spiffeIDs    = regexp.MustCompile(`^spiffe://([a-z0-9._-]{1,255})((?:/[A-Za-z0-9._-]+)+)$`)
	trustDomains = regexp.MustCompile(`^[a-z0-9._-]{1,255}$`)
)

// Bounds of names, in bytes (RFC 1035, section 2.3.4; RFC 5321, section 4.5.3.1).
const (
	maxHost    = 253
	maxMailbox = 64
)

func isHost(name string) bool        { return len(name) <= maxHost && hosts.MatchString(name) }
func isTrustDomain(name string) bool { return trustDomains.MatchString(name) }
