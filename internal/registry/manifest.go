package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// Manifest returns a manifest with its body.
//
// Errors: ManifestUnknown, NameUnknown.
func (r *Registry) Manifest(ctx context.Context, repo string, ref oci.Reference) (meta.Manifest, error) {
	m, err := meta.ReadManifest(ctx, r.meta, repo, ref)
	if errors.Is(err, meta.ErrNotFound) {
		err = r.meta.View(ctx, func(tx meta.Tx) error { return unknown(tx, repo, ref) })
	}
	if err != nil {
		return meta.Manifest{}, fault("read manifest", err)
	}
	return m, nil
}

// unknown says what is missing: the repository, or something in it.
func unknown(tx meta.Tx, repo string, ref oci.Reference) error {
	has, err := tx.HasRepository(repo)
	if err != nil {
		return err
	}
	if !has {
		return oci.ErrNameUnknown.WithDetail(map[string]string{"name": repo})
	}
	return oci.ErrManifestUnknown.WithDetail(map[string]string{"name": repo, "reference": ref.String()})
}

// ManifestPut is a manifest to store.
type ManifestPut struct {
	Repo      string
	Reference oci.Reference
	Tags      []string // to set besides, when Reference is a digest
	Type      string   // the Content-Type it came with; may be empty
	Body      []byte
	By        string // who pushes it, for the tag history
	If        Precondition
	Guard     Guard
}

// Precondition is what must hold of the tags to set (RFC 9110, section 13.1).
type Precondition struct {
	Absent bool         // If-None-Match: *; the tag does not exist
	Exists bool         // If-Match: *; it exists
	Match  []oci.Digest // If-Match: it points to one of these; nil if not asked
	Differ []oci.Digest // If-None-Match: it points to none of these
}

// Pushed is a stored manifest.
type Pushed struct {
	Digest  oci.Digest
	Subject oci.Digest   // "" if it has none
	Tags    []string     // that point to it now because of the push
	Missing []oci.Digest // what it names and the repository lacks; only with Options.Sparse
}

// PutManifest stores a manifest and sets its tags, all or nothing.
//
// Errors: ManifestInvalid, ManifestBlobUnknown, DigestInvalid,
// PreconditionFailed, NoSpace; those of the guard.
func (r *Registry) PutManifest(ctx context.Context, put ManifestPut) (Pushed, error) {
	parsed, err := oci.ParseManifest(put.Type, put.Body)
	if err != nil {
		return Pushed{}, err
	}
	m := meta.Manifest{
		Digest: put.Reference.Digest, MediaType: parsed.MediaType, ArtifactType: parsed.ArtifactType,
		Subject: parsed.Subject, Annotations: parsed.Annotations,
		Size: int64(len(put.Body)), Body: put.Body, PushedAt: r.opts.Now(),
	}
	pushed := Pushed{Subject: parsed.Subject, Tags: put.Tags}
	if put.Reference.Tag != "" {
		m.Digest, pushed.Tags = oci.SHA256.FromBytes(put.Body), []string{put.Reference.Tag}
	} else if m.Digest.Algorithm().FromBytes(put.Body) != m.Digest {
		return Pushed{}, oci.ErrDigestInvalid.WithDetail(map[string]any{"digest": m.Digest})
	}
	pushed.Digest = m.Digest
	err = r.meta.Update(ctx, func(tx meta.Tx) error {
		var err error
		if pushed.Missing, err = r.checkReferences(tx, put.Repo, parsed); err != nil {
			return err
		}
		if err := checkStored(tx, put.Repo, m); err != nil {
			return err
		}
		if err := tx.PutManifest(put.Repo, m, references(parsed)); err != nil {
			return err
		}
		for _, tag := range pushed.Tags {
			if err := setTag(tx, put, meta.Tag{Name: tag, Digest: m.Digest, SetAt: m.PushedAt, SetBy: put.By}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Pushed{}, fault("put manifest", err)
	}
	return pushed, nil
}

// checkReferences returns what the manifest names and the repository lacks,
// which is an error unless it is allowed: a manifest cannot make foreign content
// readable. The subject need not exist (distribution-spec, "Pushing Manifests
// with Subject").
func (r *Registry) checkReferences(tx meta.Tx, repo string, m *oci.Manifest) ([]oci.Digest, error) {
	blobs, err := tx.MissingBlobs(repo, m.Blobs)
	if err != nil {
		return nil, err
	}
	manifests, err := tx.MissingManifests(repo, m.Manifests)
	if err != nil {
		return nil, err
	}
	missing := slices.Concat(blobs, manifests)
	if len(missing) == 0 || r.opts.Sparse {
		return missing, nil
	}
	const most = 20 // enough to see what is wrong
	return nil, oci.ErrManifestBlobUnknown.WithDetail(map[string]any{"missing": missing[:min(most, len(missing))], "count": len(missing)})
}

// checkStored sees to it that one digest has one meaning: what is stored as a
// manifest of one type cannot be pushed again as one of another.
func checkStored(tx meta.Tx, repo string, m meta.Manifest) error {
	stored, err := tx.Manifest(repo, m.Digest)
	if errors.Is(err, meta.ErrNotFound) {
		return nil
	}
	if err == nil && stored.MediaType != m.MediaType {
		return oci.Errorf(oci.ManifestInvalid, "this manifest is stored as %s and cannot be %s too: put a mediaType into it", stored.MediaType, m.MediaType)
	}
	return err
}

func references(m *oci.Manifest) []meta.Reference {
	refs := make([]meta.Reference, 0, len(m.Blobs)+len(m.Manifests))
	for _, d := range m.Blobs {
		refs = append(refs, meta.Reference{Digest: d})
	}
	for _, d := range m.Manifests {
		refs = append(refs, meta.Reference{Digest: d, Manifest: true})
	}
	return refs
}

// ManifestDelete is a tag or a manifest to remove.
type ManifestDelete struct {
	Repo      string
	Reference oci.Reference
	By        string       // who removes it, for the tag history
	If        Precondition // of the tag
	Guard     Guard
}

// DeleteManifest removes a tag, or a manifest together with all tags that point
// to it; the guard is asked about each of these. It is also asked about the tags
// that stay and need the manifest, such as that of an index it is part of:
// otherwise who may not touch a protected tag could break it by a delete by
// digest under it. It returns what was removed, or what the tag has pointed to.
//
// Errors: ManifestUnknown, NameUnknown, Unsupported, PreconditionFailed; those
// of the guard.
func (r *Registry) DeleteManifest(ctx context.Context, del ManifestDelete) (oci.Digest, error) {
	if err := r.deleting(); err != nil {
		return "", err
	}
	repo, ref := del.Repo, del.Reference
	gone := ref.Digest
	err := r.meta.Update(ctx, func(tx meta.Tx) error {
		var err error
		if ref.Tag != "" {
			gone, err = deleteTag(tx, del, r.opts.Now())
		} else {
			err = deleteWithTags(tx, repo, ref.Digest, del.By, r.opts.Now(), del.Guard)
		}
		if errors.Is(err, meta.ErrNotFound) {
			return unknown(tx, repo, ref)
		}
		return err
	})
	if err != nil {
		return "", fault("delete manifest", err)
	}
	return gone, nil
}

func deleteWithTags(tx meta.Tx, repo string, d oci.Digest, by string, now time.Time, guard Guard) error {
	// Nobody is asked about what is not there.
	missing, err := tx.MissingManifests(repo, []oci.Digest{d})
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return meta.ErrNotFound
	}
	if err := askUsers(tx, repo, d, guard); err != nil {
		return err
	}
	tags, err := tx.TagsOf(repo, d)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if err := tx.DeleteTag(repo, tag, by, now); err != nil {
			return err
		}
	}
	return tx.DeleteManifest(repo, d)
}

// askUsers asks the guard about each tag of repo that needs d, which is about to
// go.
func askUsers(tx meta.Tx, repo string, d oci.Digest, guard Guard) error {
	tags, err := tx.TagsUsing(repo, d)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if err := guard(Effect{Action: DeleteTag, Repo: repo, Tag: tag}); err != nil {
			return err
		}
	}
	return nil
}
