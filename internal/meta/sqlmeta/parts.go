package sqlmeta

import (
	"strings"

	"github.com/moorgate/moorgate/internal/oci"
)

// missing returns those of ds that a query does not return, in their order and
// each once. The query ends in "IN" and selects digests of the repository that
// is its first argument.
func (t *tx) missing(query, repo string, ds []oci.Digest) ([]oci.Digest, error) {
	seen := make(map[oci.Digest]bool, len(ds))
	for rest := ds; len(rest) > 0; {
		var part []oci.Digest
		part, rest = takePart(rest)
		args := append(make([]any, 0, len(part)+1), repo)
		for _, d := range part {
			args = append(args, d)
		}
		found, err := list(t, column[oci.Digest], query+" ("+marks(len(part))+")", args...)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			seen[d] = true
		}
	}
	var missing []oci.Digest
	for _, d := range ds {
		if !seen[d] {
			seen[d] = true
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// takePart cuts off the front of all for one statement. The part has one of
// three lengths, filled up by its last element, so that there are only that
// many statements to prepare.
func takePart[T any](all []T) (part, rest []T) {
	const small, large = 8, 64
	switch n := len(all); {
	case n == 1:
		return all, nil
	case n >= large:
		return all[:large], all[large:]
	case n <= small:
		return fill(all, small), nil
	default:
		return fill(all, large), nil
	}
}

func fill[T any](all []T, n int) []T {
	full := append(make([]T, 0, n), all...)
	for len(full) < n {
		full = append(full, all[len(all)-1])
	}
	return full
}

// marks returns n placeholders: "?, ?".
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }
