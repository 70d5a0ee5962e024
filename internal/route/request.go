package route

import (
	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/oci"
)

// Kind is what a request wants. The comments name the endpoint in the
// specification's table.
type Kind int

// The kinds of request.
const (
	Ping           Kind = iota // GET, HEAD    /v2/                                  end-1
	BlobRead                   // GET, HEAD    /v2/<name>/blobs/<digest>              end-2
	BlobDelete                 // DELETE       /v2/<name>/blobs/<digest>              end-10
	UploadStart                // POST         /v2/<name>/blobs/uploads/              end-4a, 4b, 4c, 11
	UploadAppend               // PATCH        /v2/<name>/blobs/uploads/<id>          end-5
	UploadFinish               // PUT          /v2/<name>/blobs/uploads/<id>?digest=  end-6
	UploadStatus               // GET, HEAD    /v2/<name>/blobs/uploads/<id>          end-13
	UploadCancel               // DELETE       /v2/<name>/blobs/uploads/<id>          end-14
	ManifestRead               // GET, HEAD    /v2/<name>/manifests/<reference>       end-3
	ManifestPut                // PUT          /v2/<name>/manifests/<reference>       end-7a, 7b
	ManifestDelete             // DELETE       /v2/<name>/manifests/<reference>       end-9
	TagList                    // GET, HEAD    /v2/<name>/tags/list                   end-8a, 8b
	Referrers                  // GET, HEAD    /v2/<name>/referrers/<digest>          end-12a, 12b
	Catalog                    // GET, HEAD    /v2/_catalog                           reserved by the spec
	kindCount
)

// Kinds is the number of kinds: a table over Kind has this length.
const Kinds = int(kindCount)

// String is the name of the kind in logs and metrics.
func (k Kind) String() string {
	return [Kinds]string{
		"ping", "blob-read", "blob-delete", "upload-start", "upload-append", "upload-finish",
		"upload-status", "upload-cancel", "manifest-read", "manifest-put", "manifest-delete",
		"tag-list", "referrers", "catalog",
	}[k]
}

// Request is a parsed request of the distribution API. Fields that its kind has
// no use for are zero. Everything in it is valid as text; whether it exists is
// another question.
type Request struct {
	Kind      Kind
	Head      bool          // HEAD instead of GET
	Repo      string        // all but Ping and Catalog
	Reference oci.Reference // Manifest…
	Digest    oci.Digest    // Blob…, Referrers, UploadFinish; UploadStart with the content in its body
	UploadID  string        // Upload… but UploadStart
	Algorithm oci.Algorithm // UploadStart: what to hash with; "" if not said
	Mount     oci.Digest    // UploadStart: the blob to mount
	From      string        // UploadStart: the repository to mount from; may be ""
	Tags      []string      // ManifestPut by digest: tags to set
	Page      Page          // TagList, Catalog, Referrers

	ArtifactType string // Referrers: the filter; "" for all
}

// Page says which part of a list is wanted.
type Page struct {
	N    int    // at most so many entries; -1 if not said
	Last string // behind this entry; "" from the start
}

// Scopes returns what the caller must be allowed for the request to begin. What
// depends on stored state (a tag that would be moved, the source of a mount) is
// asked for later, by the guard.
func (r *Request) Scopes() []access.Scope {
	switch r.Kind {
	case Ping:
		return nil // whoever is let in at all
	case Catalog:
		return []access.Scope{{Action: access.List}}
	case TagList:
		return []access.Scope{{Action: access.List, Repo: r.Repo}}
	case BlobRead, Referrers:
		return []access.Scope{{Action: access.Pull, Repo: r.Repo}}
	case ManifestRead:
		return []access.Scope{{Action: access.Pull, Repo: r.Repo, Tag: r.Reference.Tag}}
	case UploadStart, UploadAppend, UploadFinish, UploadStatus, UploadCancel:
		return []access.Scope{{Action: access.Push, Repo: r.Repo}}
	case ManifestPut:
		return r.putScopes()
	case BlobDelete:
		return []access.Scope{{Action: access.Delete, Repo: r.Repo}}
	case ManifestDelete:
		return []access.Scope{{Action: access.Delete, Repo: r.Repo, Tag: r.Reference.Tag}}
	default:
		return []access.Scope{{Action: access.Admin}} // no such kind: nobody may
	}
}

func (r *Request) putScopes() []access.Scope {
	if len(r.Tags) == 0 {
		return []access.Scope{{Action: access.Push, Repo: r.Repo, Tag: r.Reference.Tag}}
	}
	scopes := make([]access.Scope, len(r.Tags))
	for i, tag := range r.Tags {
		scopes[i] = access.Scope{Action: access.Push, Repo: r.Repo, Tag: tag}
	}
	return scopes
}
