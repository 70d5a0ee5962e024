package login

import "regexp"

// misplaced finds secrets that somebody has typed where the name belongs: a key, a
// refresh token, the secret of a login service, a signed token (RFC 7515, section 3.1),
// or what a bad paste has left of one. Real names may begin in the same way, so there has
// to be more of it than an ID.
var misplaced = regexp.MustCompile(`(?i)(mgk_)[a-z0-9]{16}[\w-]*|(mgr_)[a-z0-9]{16}_[\w-]*|(whsec_)[a-z0-9+/]{16}[\w+/=-]*|(eyJ)[\w-]{8,}\.[\w.-]+`)

// withoutSecrets returns a name as it may be on record, and whether it had a secret in
// it. Of that only the beginning is left, which says what it was.
func withoutSecrets(user string) (string, bool) {
	if !misplaced.MatchString(user) {
		return user, false
	}
	return misplaced.ReplaceAllString(user, "$1$2$3$4…"), true
}
