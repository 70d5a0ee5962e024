package oci_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/oci"
)

func TestRepositoryNames(t *testing.T) {
	t.Parallel()
	for name, valid := range map[string]bool{
		"app": true, "team/app": true, "a/b/c/d": true, "a.b": true, "a_b": true, "a__b": true, "a---b": true, "0": true,
		strings.Repeat("a", oci.MaxNameLength): true, "team/blobs/uploads": true,
		"": false, "/": false, "a/": false, "/a": false, "a//b": false, "App": false, "a..b": false, "a___b": false,
		".a": false, "a.": false, "-a": false, "a-": false, "a/../b": false, "..": false, "a b": false, "a\nb": false,
		"a\x00": false, "ä": false, "a:b": false, "a@b": false, "_catalog": false,
		strings.Repeat("a", oci.MaxNameLength+1): false,
	} {
		err := oci.CheckRepository(name)
		if (err == nil) != valid {
			t.Errorf("CheckRepository(%.40q) = %v, want valid=%v", name, err, valid)
		}
		if err != nil && !errors.Is(err, oci.Errorf(oci.NameInvalid, "")) {
			t.Errorf("CheckRepository(%.40q) is of another kind: %v", name, err)
		}
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	for tag, valid := range map[string]bool{
		"latest": true, "v1.2.3": true, "_x": true, "A-Z": true, "1": true, strings.Repeat("t", 128): true,
		"": false, ".a": false, "-a": false, "a/b": false, "a:b": false, "a b": false, "a\n": false, "ä": false,
		strings.Repeat("t", 129): false,
	} {
		if err := oci.CheckTag(tag); (err == nil) != valid {
			t.Errorf("CheckTag(%.40q) = %v, want valid=%v", tag, err, valid)
		}
	}
}

func TestDigests(t *testing.T) {
	t.Parallel()
	hex64, hex128 := strings.Repeat("0a", 32), strings.Repeat("0a", 64)
	for s, valid := range map[string]bool{
		"sha256:" + hex64: true, "sha512:" + hex128: true,
		"": false, "sha256:": false, "sha256:" + hex128: false, "sha512:" + hex64: false,
		"sha256:" + strings.ToUpper(hex64): false, "sha384:" + strings.Repeat("0a", 48): false,
		"md5:" + strings.Repeat("0a", 16): false, hex64: false, "sha256:" + hex64 + "\n": false,
		"sha256:../../" + hex64[6:]: false, "SHA256:" + hex64: false,
	} {
		d, err := oci.ParseDigest(s)
		if (err == nil) != valid {
			t.Errorf("ParseDigest(%q) = %v, want valid=%v", s, err, valid)
		}
		if err == nil && string(d) != s {
			t.Errorf("ParseDigest(%q) = %q", s, d)
		}
		if err != nil && !errors.Is(err, oci.ErrDigestInvalid) {
			t.Errorf("ParseDigest(%q) is of another kind: %v", s, err)
		}
	}
}

func TestReferenceIsTagOrDigest(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0a", 32)
	for _, s := range []string{"latest", digest} {
		ref, err := oci.ParseReference(s)
		if err != nil {
			t.Fatal(err)
		}
		if ref.String() != s || (ref.Tag == "") == (ref.Digest == "") {
			t.Errorf("ParseReference(%q) = %+v", s, ref)
		}
	}
	if _, err := oci.ParseReference("sha256:abc"); !errors.Is(err, oci.ErrDigestInvalid) {
		t.Errorf("a bad digest is not a tag: %v", err)
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"a", "team/app", "a__b/c-d.e", "..", "a//b", "A", "a\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if oci.CheckRepository(s) != nil {
			return
		}
		if strings.Contains(s, "..") || strings.Contains(s, "//") || strings.ContainsAny(s, "\\\x00%?#:@ ") || strings.ToLower(s) != s {
			t.Errorf("%q is taken for a repository name", s)
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("0a", 32))
	f.Add("sha512:" + strings.Repeat("ff", 64))
	f.Add("latest")
	f.Add("sha256:zz")
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := oci.ParseReference(s)
		if err != nil {
			return
		}
		if ref.String() != s || strings.ContainsAny(s, "/\\ \x00%") {
			t.Errorf("ParseReference(%q) = %+v", s, ref)
		}
	})
}
