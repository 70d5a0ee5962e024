package htpasswd

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	hashes "github.com/tg123/go-htpasswd"
)

// Bounds on what is checked at each login.
const (
	maxBcryptCost   = 17        // seconds of work; what Apache's htpasswd writes at most
	maxCryptRounds  = 5_000_000 // about the same
	maxPassword     = 1024      // bytes
	maxBcryptLength = 72        // bytes; bcrypt ignores what follows
)

// Kinds of hashes.
const (
	Bcrypt      = "bcrypt"       // $2a$, $2b$, $2y$
	APR1        = "apr1"         // $apr1$, the MD5 of Apache
	MD5Crypt    = "md5-crypt"    // $1$
	SHA1        = "sha1"         // {SHA}
	SSHA1       = "ssha1"        // {SSHA}, with salt
	SHA256Crypt = "sha256-crypt" // $5$
	SHA512Crypt = "sha512-crypt" // $6$
)

// errUnknownHash does not say what the hash was: it may be a password.
var errUnknownHash = errors.New("not a known password hash (bcrypt, apr1, SHA, SSHA, MD5/SHA crypt)")

// format is one way of writing a hash. Shapes are exact, because the parsers
// behind them take much that they cannot check, or fail on it later.
type format struct {
	kind  string
	shape *regexp.Regexp // its first group, if any, is the cost
	max   int            // bound on the cost
	parse hashes.PasswdParser
}

var formats = []format{ //nolint:gochecknoglobals // a lookup table
	{Bcrypt, regexp.MustCompile(`^\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}$`), maxBcryptCost, hashes.AcceptBcrypt},
	{APR1, regexp.MustCompile(`^\$apr1\$[!-#%-9;-~]{1,8}\$[./A-Za-z0-9]{22}$`), 0, hashes.AcceptMd5},
	{MD5Crypt, regexp.MustCompile(`^\$1\$[!-#%-9;-~]{1,8}\$[./A-Za-z0-9]{22}$`), 0, hashes.AcceptMd5},
	{SHA1, regexp.MustCompile(`^\{SHA\}[A-Za-z0-9+/]{27}=$`), 0, hashes.AcceptSha},
	{SSHA1, regexp.MustCompile(`^\{SSHA\}[A-Za-z0-9+/]{27,200}={0,2}$`), 0, hashes.AcceptSsha},
	{SHA256Crypt, regexp.MustCompile(`^\$5\$(?:rounds=([1-9][0-9]{3,8})\$)?[!-#%-9;-~]{1,16}\$[./A-Za-z0-9]{43}$`), maxCryptRounds, hashes.AcceptCryptSha},
	{SHA512Crypt, regexp.MustCompile(`^\$6\$(?:rounds=([1-9][0-9]{3,8})\$)?[!-#%-9;-~]{1,16}\$[./A-Za-z0-9]{86}$`), maxCryptRounds, hashes.AcceptCryptSha},
}

// secret is a stored hash.
type secret struct {
	kind  string
	cost  int // of bcrypt; rounds of SHA crypt if the hash names them; else 0
	text  string
	check hashes.EncodedPasswd
}

// parseSecret reads a stored hash. Its errors never hold the hash.
func parseSecret(text string) (secret, error) {
	for _, f := range formats {
		m := f.shape.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		s := secret{kind: f.kind, text: text}
		if len(m) > 1 && m[1] != "" {
			s.cost, _ = strconv.Atoi(m[1]) // the shape has only digits, and few
			if s.cost > f.max {
				return secret{}, fmt.Errorf("the cost %d of the %s hash is more than %d: too slow for a login", s.cost, f.kind, f.max)
			}
		}
		var err error
		if s.check, err = f.parse(text); err != nil || s.check == nil {
			return secret{}, errUnknownHash // err would print the hash
		}
		return s, nil
	}
	return secret{}, errUnknownHash
}

// matches reports whether s is a hash of password, at the cost of the hash.
//
// Passwords that the C libraries cut (at a zero byte, and bcrypt after 72
// bytes) match nothing: otherwise many passwords would open one account.
func (s secret) matches(password string) bool {
	if len(password) > maxPassword || strings.ContainsRune(password, 0) {
		return false
	}
	if s.kind == Bcrypt && len(password) > maxBcryptLength {
		return false
	}
	return s.check.MatchesPassword(password)
}
