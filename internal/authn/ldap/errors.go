package ldap

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/go-ldap/ldap/v3"

	"github.com/moorgate/moorgate/internal/authn"
)

// refusedError says that the account that searches may not sign in.
type refusedError struct {
	dn  string
	err error
}

func (e *refusedError) Error() string {
	if ldap.IsErrorWithCode(e.err, ldap.LDAPResultInvalidCredentials) {
		return fmt.Sprintf("the directory refuses bind_dn %q: look whether it and password_file are right", e.dn)
	}
	return fmt.Sprintf("the directory refuses bind_dn %q: %v", e.dn, e.err)
}

func (e *refusedError) Unwrap() error { return e.err }

// explain adds to an error of the connection what to do about it.
func explain(err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: name its authority in ca", err)
	case errors.As(err, &host):
		return fmt.Errorf("%w: use a name of the certificate in urls", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w: renew it, or mend the clock of this machine", err)
	case errors.As(err, &record):
		return fmt.Errorf("%w: is it an ldap:// port? Use start_tls there", err)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultConfidentialityRequired):
		return fmt.Errorf("%w: the directory wants TLS: use ldaps:// or start_tls", err)
	default:
		return err
	}
}

// isAnswer reports whether an error is what the directory has said about a user.
func isAnswer(err error) bool {
	return errors.Is(err, authn.ErrNoMatch) || errors.Is(err, authn.ErrWrongPassword)
}

// isElsewhere reports whether another connection, or another server, may do
// better: this one is busy, or going down.
func isElsewhere(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.ErrorNetwork, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultServerDown)
}

// isRefusal reports whether a directory said that a password is not that of an
// entry, or that the entry cannot sign in.
func isRefusal(err error) bool {
	return ldap.IsErrorAnyOf(err,
		ldap.LDAPResultInvalidCredentials,
		ldap.LDAPResultNoSuchObject,
		ldap.LDAPResultInappropriateAuthentication, // it has no password
		ldap.LDAPResultConstraintViolation,         // locked by a password policy
		ldap.LDAPResultUnwillingToPerform,          // locked by the administrator (389)
		ldap.LDAPResultInvalidDNSyntax)
}

// maxPasswordFile bounds a password file, in bytes.
const maxPasswordFile = 4096

// readPassword returns the first line of a file.
func readPassword(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("the password of bind_dn (password_file): %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 || len(line) > maxPasswordFile {
		return "", fmt.Errorf("the password of bind_dn (password_file): the first line of %s must be a password", name)
	}
	return string(line), nil
}
