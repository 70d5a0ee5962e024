package route

import (
	"net/http"
	"regexp"

	"github.com/moorgate/moorgate/internal/oci"
)

// uploadID is the form of the identifiers that we give out. Those of the gateway
// are long: they hold the session of the registry behind it, sealed.
var uploadID = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// maxUploadID bounds their length.
const maxUploadID = 2000

func (p *parser) upload(repo, id string) (*Request, error) {
	if id == "" {
		return p.inRepo(repo, p.uploadStart)
	}
	return p.inRepo(repo, func(r *Request) error { return p.session(r, id) })
}

func (p *parser) uploadStart(r *Request) error {
	if err := p.methods(r, map[string]Kind{http.MethodPost: UploadStart}); err != nil {
		return err
	}
	var err error
	if r.Digest, err = p.digest("digest"); err != nil {
		return err
	}
	if r.Mount, err = p.digest("mount"); err != nil {
		return err
	}
	if r.From, err = p.one("from", oci.NameInvalid); err != nil {
		return err
	}
	if r.From != "" {
		if err := oci.CheckRepository(r.From); err != nil {
			return err
		}
	}
	algorithm, err := p.one("digest-algorithm", oci.DigestInvalid)
	if err != nil || algorithm == "" {
		return err
	}
	r.Algorithm, err = oci.ParseAlgorithm(algorithm)
	return err
}

func (p *parser) session(r *Request, id string) error {
	err := p.methods(r, map[string]Kind{
		http.MethodPatch: UploadAppend, http.MethodPut: UploadFinish,
		http.MethodGet: UploadStatus, http.MethodDelete: UploadCancel,
	})
	if err != nil {
		return err
	}
	if len(id) > maxUploadID || !uploadID.MatchString(id) {
		return oci.ErrBlobUploadUnknown
	}
	r.UploadID = id
	if r.Kind != UploadFinish {
		return nil
	}
	if r.Digest, err = p.digest("digest"); err != nil {
		return err
	}
	if r.Digest == "" {
		return oci.Errorf(oci.DigestInvalid, "the parameter digest is missing")
	}
	return nil
}
