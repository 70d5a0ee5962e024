package ldap

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

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

// explain adds to an error what to do about it.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultStrongAuthRequired) {
		return fmt.Errorf("%w: the directory wants TLS: use ldaps:// or start_tls", err)
	}
	// When TLS begins by start_tls the library leaves of an error its text alone.
	for _, remedy := range []struct{ text, do string }{
		{"certificate signed by unknown authority", "name its authority in ca"},
		{"certificate is valid for ", "use a name of the certificate in urls"},
		{"cannot validate certificate for ", "use a name of the certificate in urls"}, // it has no addresses
		{"certificate is not valid for any names", "make one for the name in urls"},
		{"certificate has expired or is not yet valid", "renew it, or mend the clock of this machine"},
		{"first record does not look like a TLS handshake", "this port has no TLS: use ldap:// with start_tls"},
	} {
		if strings.Contains(err.Error(), remedy.text) {
			return fmt.Errorf("%w: %s", err, remedy.do)
		}
	}
	return err
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
