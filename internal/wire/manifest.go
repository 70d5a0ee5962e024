package wire

import (
	"bytes"
	"io"
	"net/http"

	"github.com/moorgate/moorgate/internal/oci"
)

// ReadManifest reads a body of at most oci.MaxManifestSize bytes.
//
// Errors: ManifestTooLarge, SizeInvalid.
func ReadManifest(r *http.Request) ([]byte, error) {
	tooLarge := oci.Errorf(oci.ManifestTooLarge, "the manifest is larger than %d bytes", oci.MaxManifestSize)
	if r.ContentLength > oci.MaxManifestSize {
		return nil, tooLarge
	}
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(io.LimitReader(r.Body, oci.MaxManifestSize+1)); err != nil {
		return nil, oci.Errorf(oci.SizeInvalid, "the request body ended early").Because(err)
	}
	if body.Len() > oci.MaxManifestSize {
		return nil, tooLarge
	}
	return body.Bytes(), nil
}
