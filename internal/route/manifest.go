package route

import (
	"net/http"

	"github.com/moorgate/moorgate/internal/oci"
)

// maxTags bounds the tags that one manifest push may set. The specification
// asks for ten at least.
const maxTags = 100

func (p *parser) manifest(r *Request, reference string) error {
	err := p.methods(r, map[string]Kind{
		http.MethodGet: ManifestRead, http.MethodPut: ManifestPut, http.MethodDelete: ManifestDelete,
	})
	if err != nil {
		return err
	}
	if r.Reference, err = oci.ParseReference(reference); err != nil {
		return err
	}
	if r.Kind == ManifestPut {
		return p.tags(r)
	}
	return nil
}

// tags reads the tag parameters of a push by digest (distribution-spec,
// end-7b).
func (p *parser) tags(r *Request) error {
	tags := p.query["tag"]
	if len(tags) == 0 {
		return nil
	}
	if r.Reference.Tag != "" {
		return oci.Errorf(oci.TagInvalid, "the parameter tag goes with a push by digest, and this one is by tag")
	}
	if len(tags) > maxTags {
		return oci.Errorf(oci.TagInvalid, "%d tags are given, at most %d are allowed", len(tags), maxTags)
	}
	seen := map[string]bool{}
	for _, tag := range tags {
		if err := oci.CheckTag(tag); err != nil {
			return err
		}
		if !seen[tag] {
			seen[tag] = true
			r.Tags = append(r.Tags, tag)
		}
	}
	return nil
}
