package oci

import (
	"fmt"
	"regexp"

	"github.com/distribution/reference"
)

// MaxNameLength bounds a repository name. The specification sets no limit;
// many clients refuse host and name over 255 characters together.
const MaxNameLength = 255

// anchoredName is the grammar of a repository name (distribution-spec,
// "Pulling manifests"), as the reference library spells it.
var anchoredName = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)

var anchoredTag = regexp.MustCompile(`^` + reference.TagRegexp.String() + `$`)

// CheckRepository reports whether name is a valid repository name.
// The error is of kind NameInvalid.
func CheckRepository(name string) error {
	if len(name) > MaxNameLength {
		return Errorf(NameInvalid, "repository name has %d characters, at most %d are allowed", len(name), MaxNameLength)
	}
	if !anchoredName.MatchString(name) {
		return Errorf(NameInvalid, "repository name %s is not valid: use lower-case letters, digits, single '.', '_', '-' between them, and '/'", quote(name))
	}
	return nil
}

// CheckTag reports whether tag is a valid tag: 128 characters at most, letters,
// digits, '_', '.', '-', the first one not '.' or '-'.
// The error is of kind TagInvalid.
func CheckTag(tag string) error {
	if !anchoredTag.MatchString(tag) {
		return Errorf(TagInvalid, "tag %s is not valid: use at most 128 letters, digits, '_', '.', '-', not starting with '.' or '-'", quote(tag))
	}
	return nil
}

// quote shows untrusted text in a message: escaped, and cut when long.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
