package lockout

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// key is what is counted: a user at an address, or one of them with the other empty.
type key struct {
	user    string
	address netip.Addr
}

func (k key) ofUser() key    { return key{user: k.user} }
func (k key) ofAddress() key { return key{address: k.address} }

// kept returns a key that can be kept: the name that came with a request shares its
// memory with the password.
func (k key) kept() key { return key{strings.Clone(k.user), k.address} }

// maxName is how much of a name counts, in bytes.
const maxName = 255

// fold returns the form of a name that it shares with all those that a directory may
// take for the same: in another case, width or composition, with other accents or
// spaces, or with characters that nobody sees (RFC 4518, section 2). Two users who
// are counted as one lose little.
func fold(user string) string {
	if !plain(user) {
		// Some letters fold to themselves, and their capitals to another: ı and I.
		user = norm.NFKD.String(cases.Fold().String(strings.ToUpper(norm.NFKD.String(user))))
		user = strings.Map(visible, user)
	}
	if strings.ContainsFunc(user, unicode.IsSpace) {
		user = strings.Join(strings.Fields(user), " ")
	}
	return short(strings.ToLower(user))
}

// short cuts a name that is longer than it came: some characters stand for many.
func short(user string) string {
	if len(user) <= maxName {
		return user
	}
	return strings.TrimRight(strings.ToValidUTF8(user[:maxName], ""), " ")
}

// visible drops accents and what only directs others.
func visible(r rune) rune {
	if unicode.In(r, unicode.Mn, unicode.Cf) {
		return -1
	}
	return r
}

// plain reports whether a name is of ASCII alone, as most are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// networkBits is how much of an IPv6 address counts: the rest is the client's to
// choose (RFC 4291, section 2.5.1).
const networkBits = 64

// network returns the address that stands for all that one client can have.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(networkBits); err == nil {
			return p.Addr()
		}
	}
	return a
}

// networkText shows what network returned; "" for an address that is not known.
func networkText(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return ""
	case a.Is6():
		return netip.PrefixFrom(a, networkBits).String()
	default:
		return a.String()
	}
}
