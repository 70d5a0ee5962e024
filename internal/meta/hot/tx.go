package hot

import (
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// watched is a transaction that tells what it changes of what is remembered.
type watched struct {
	meta.Tx
	writer *writer
}

func (t *watched) PutManifest(repo string, m meta.Manifest, refs []meta.Reference) error {
	t.writer.touch(t.writer.store.manifests.slot(repo))
	return t.Tx.PutManifest(repo, m, refs)
}

func (t *watched) DeleteManifest(repo string, d oci.Digest) error {
	t.writer.touch(t.writer.store.manifests.slot(repo))
	return t.Tx.DeleteManifest(repo, d)
}

func (t *watched) SetTag(repo string, tag meta.Tag) error {
	t.writer.touch(t.writer.store.manifests.slot(repo))
	return t.Tx.SetTag(repo, tag)
}

func (t *watched) DeleteTag(repo, name, by string, now time.Time) error {
	t.writer.touch(t.writer.store.manifests.slot(repo))
	return t.Tx.DeleteTag(repo, name, by, now)
}

func (t *watched) UnlinkBlob(repo string, d oci.Digest, review time.Time) error {
	t.writer.touch(t.writer.store.blobs.slot(repo))
	return t.Tx.UnlinkBlob(repo, d, review)
}
