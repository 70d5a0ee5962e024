package oci

import (
	"encoding/json"
	"mime"
	"strings"
	"unicode/utf8"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Descriptor names content by media type, digest and size.
type Descriptor = v1.Descriptor

// Media types of the manifests that can be stored.
const (
	MediaTypeImageManifest  = v1.MediaTypeImageManifest
	MediaTypeImageIndex     = v1.MediaTypeImageIndex
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// MaxManifestSize is the largest manifest that is stored, in bytes
// (distribution-spec, "Pushing Manifests": at least 4 MiB).
const MaxManifestSize = 4 << 20

// maxReferences bounds how much one manifest may name.
const maxReferences = 10_000

// Manifest is what the registry needs to know of a manifest's JSON.
type Manifest struct {
	MediaType    string
	ArtifactType string            // as the referrers API shows it; may be empty
	Subject      Digest            // "" if it has none
	Annotations  map[string]string // nil if it has none
	Blobs        []Digest          // config and layers that the repository must hold
	Manifests    []Digest          // manifests that the repository must have
}

// manifestJSON joins the fields of image manifests and indexes, OCI and Docker.
type manifestJSON struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *Descriptor       `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Manifests     []Descriptor      `json:"manifests"`
	Subject       *Descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// ParseManifest reads and checks a manifest that was sent with the given
// Content-Type, which may have parameters, or be empty if the body says what it
// is. A body that can be read as two kinds of manifest, or in two ways by two
// JSON readers, is refused (CVE-2021-41190).
//
// Errors are of kind ManifestInvalid.
func ParseManifest(contentType string, body []byte) (*Manifest, error) {
	fields, err := checkJSON(body)
	if err != nil {
		return nil, err
	}
	var m manifestJSON
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, Errorf(ManifestInvalid, "manifest is not valid: %v", err)
	}
	mediaType, err := manifestType(contentType, m.MediaType)
	if err != nil {
		return nil, err
	}
	if m.SchemaVersion != 2 {
		return nil, Errorf(ManifestInvalid, "manifest has schemaVersion %d, only 2 is supported", m.SchemaVersion)
	}
	if n := len(m.Layers) + len(m.Manifests); n > maxReferences {
		return nil, Errorf(ManifestInvalid, "manifest names %d things, at most %d are allowed", n, maxReferences)
	}
	if err := checkMediaType(m.ArtifactType); err != nil {
		return nil, err
	}
	result := &Manifest{MediaType: mediaType, ArtifactType: m.ArtifactType, Annotations: m.Annotations}
	if m.Subject != nil {
		if err := checkDescriptor("subject", *m.Subject); err != nil {
			return nil, err
		}
		result.Subject = m.Subject.Digest
	}
	if isIndex(mediaType) {
		return result, result.readIndex(fields, m)
	}
	return result, result.readImage(fields, m)
}

func isIndex(mediaType string) bool {
	return mediaType == MediaTypeImageIndex || mediaType == MediaTypeDockerList
}

// manifestType joins the two places that name the media type. They must agree.
func manifestType(contentType, inBody string) (string, error) {
	mediaType := inBody
	if contentType != "" {
		sent, _, err := mime.ParseMediaType(contentType)
		if err != nil {
			return "", Errorf(ManifestInvalid, "Content-Type %s is not valid", quote(contentType))
		}
		mediaType = sent
	}
	if inBody != "" && inBody != mediaType {
		return "", Errorf(ManifestInvalid, "Content-Type %s and mediaType %s of the manifest differ", quote(mediaType), quote(inBody))
	}
	switch mediaType {
	case MediaTypeImageManifest, MediaTypeImageIndex, MediaTypeDockerManifest, MediaTypeDockerList:
		return mediaType, nil
	case "":
		return "", Errorf(ManifestInvalid, "the manifest has no media type: send a Content-Type")
	default:
		return "", Errorf(ManifestInvalid, "media type %s is not that of a supported manifest", quote(mediaType))
	}
}

func (r *Manifest) readImage(fields map[string]bool, m manifestJSON) error {
	if fields["manifests"] {
		return Errorf(ManifestInvalid, "an image manifest has no field manifests")
	}
	if m.Config == nil {
		return Errorf(ManifestInvalid, "the image manifest has no config")
	}
	if err := checkDescriptor("config", *m.Config); err != nil {
		return err
	}
	r.Blobs = append(r.Blobs, m.Config.Digest)
	for _, layer := range m.Layers {
		if err := checkDescriptor("layers", layer); err != nil {
			return err
		}
		if !isNonDistributable(layer.MediaType) {
			r.Blobs = append(r.Blobs, layer.Digest)
		}
	}
	if r.ArtifactType == "" {
		r.ArtifactType = m.Config.MediaType
	}
	return nil
}

func (r *Manifest) readIndex(fields map[string]bool, m manifestJSON) error {
	for _, name := range []string{"config", "layers"} {
		if fields[name] {
			return Errorf(ManifestInvalid, "an index has no field %s", name)
		}
	}
	for _, child := range m.Manifests {
		if err := checkDescriptor("manifests", child); err != nil {
			return err
		}
		r.Manifests = append(r.Manifests, child.Digest)
	}
	return nil
}

// isNonDistributable reports whether a layer is one that registries need not
// hold: clients get it elsewhere (image-spec, "Non-Distributable Layers").
func isNonDistributable(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.nondistributable.v1.tar") ||
		strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.foreign.diff.tar")
}

// checkDescriptor checks one descriptor of a manifest (image-spec,
// "OCI Content Descriptors").
func checkDescriptor(field string, d Descriptor) error {
	if _, err := ParseDigest(string(d.Digest)); err != nil {
		return Errorf(ManifestInvalid, "%s: digest %s is not valid", field, quote(string(d.Digest)))
	}
	if d.MediaType == "" {
		return Errorf(ManifestInvalid, "%s: %s has no mediaType", field, d.Digest)
	}
	if err := checkMediaType(d.MediaType); err != nil {
		return err
	}
	if d.Size < 0 {
		return Errorf(ManifestInvalid, "%s: %s has a negative size", field, d.Digest)
	}
	if len(d.Data) == 0 {
		return nil
	}
	if int64(len(d.Data)) != d.Size || d.Digest.Algorithm().FromBytes(d.Data) != d.Digest {
		return Errorf(ManifestInvalid, "%s: data of %s does not have its size and digest", field, d.Digest)
	}
	return nil
}

// checkMediaType refuses what can be no media type: it stands in headers, in
// logs and in databases.
func checkMediaType(s string) error {
	const most = 255 // RFC 6838, section 4.2: 127 on each side of the slash
	if len(s) > most || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) {
		return Errorf(ManifestInvalid, "media type %s is not valid", quote(s))
	}
	return nil
}
