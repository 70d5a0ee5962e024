package oci

import (
	_ "crypto/sha256" // the algorithms that ParseDigest accepts
	_ "crypto/sha512"

	"github.com/opencontainers/go-digest"
)

// Digest is "algorithm:hex". Values in this program come from ParseDigest or
// from hashing, so they are always valid and of a known algorithm.
type Digest = digest.Digest

// Algorithm names a hash function for content.
type Algorithm = digest.Algorithm

// The algorithms Moorgate stores content under (image-spec,
// "Registered Algorithms").
const (
	SHA256 = digest.SHA256
	SHA512 = digest.SHA512
)

// ParseDigest reads s as a digest of sha256 or sha512 with its full length in
// lower-case hexadecimal. The error is of kind DigestInvalid.
func ParseDigest(s string) (Digest, error) {
	d, err := digest.Parse(s)
	if err != nil {
		return "", Errorf(DigestInvalid, "digest %s is not valid", quote(s))
	}
	if _, err := ParseAlgorithm(string(d.Algorithm())); err != nil {
		return "", err
	}
	return d, nil
}

// ParseAlgorithm reads the name of a digest algorithm: "sha256" or "sha512".
// The error is of kind DigestInvalid.
func ParseAlgorithm(s string) (Algorithm, error) {
	switch a := Algorithm(s); a {
	case SHA256, SHA512:
		return a, nil
	default:
		return "", Errorf(DigestInvalid, "digest algorithm %s is not supported: use sha256 or sha512", quote(s))
	}
}

// Reference is what stands behind /manifests/ in a URL: a tag or a digest,
// exactly one of them.
type Reference struct {
	Tag    string
	Digest Digest
}

// ParseReference reads a tag or a digest. A string with a colon can only be a
// digest. Errors are of kind DigestInvalid or TagInvalid.
func ParseReference(s string) (Reference, error) {
	for i := range len(s) {
		if s[i] == ':' {
			d, err := ParseDigest(s)
			return Reference{Digest: d}, err
		}
	}
	return Reference{Tag: s}, CheckTag(s)
}

// String is the reference as it stands in a URL.
func (r Reference) String() string {
	if r.Tag != "" {
		return r.Tag
	}
	return string(r.Digest)
}
