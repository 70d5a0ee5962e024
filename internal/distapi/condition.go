package distapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

// notModified reports whether the client says that it has d already
// (RFC 9110, section 13.1.2).
func notModified(r *http.Request, d oci.Digest) bool {
	any, tags := entityTags(r.Header.Values("If-None-Match"), false)
	if any {
		return true
	}
	for _, t := range tags {
		if t == d {
			return true
		}
	}
	return false
}

// checkMatch fails if the client wants only something else than d (RFC 9110,
// section 13.1.1). The error is of kind PreconditionFailed.
func checkMatch(r *http.Request, d oci.Digest) error {
	if p := precondition(r); p.Match != nil && !slices.Contains(p.Match, d) {
		return oci.Errorf(oci.PreconditionFailed, "the content is not what If-Match names: it is %s", d)
	}
	return nil
}

// precondition reads what a push requires of the tag (RFC 9110, section 13.1).
func precondition(r *http.Request) registry.Precondition {
	var p registry.Precondition
	if values := r.Header.Values("If-Match"); len(values) > 0 {
		var tags []oci.Digest
		if p.Exists, tags = entityTags(values, true); !p.Exists {
			p.Match = append([]oci.Digest{}, tags...) // asked, even if nothing can match
		}
	}
	p.Absent, p.Differ = entityTags(r.Header.Values("If-None-Match"), false)
	return p
}

// entityTags reads a list of entity tags, or the "*" that stands for any. Our
// own are digests in quotes; digests have no commas. A strong comparison leaves
// weak tags out.
func entityTags(values []string, strong bool) (any bool, tags []oci.Digest) {
	for value := range strings.SplitSeq(strings.Join(values, ","), ",") {
		value = strings.TrimSpace(value)
		if value == "*" {
			return true, nil
		}
		plain, weak := strings.CutPrefix(value, "W/")
		if weak && strong {
			continue
		}
		if len(plain) >= 2 && plain[0] == '"' && plain[len(plain)-1] == '"' {
			tags = append(tags, oci.Digest(plain[1:len(plain)-1]))
		}
	}
	return false, tags
}
