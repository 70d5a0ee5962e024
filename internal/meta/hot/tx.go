package hot

import (
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// watched is a transaction that tells what it changes about manifests and tags.
type watched struct {
	meta.Tx
	writer *writer
}

func (t *watched) PutManifest(repo string, m meta.Manifest, refs []meta.Reference) error {
	t.writer.touch(repo)
	return t.Tx.PutManifest(repo, m, refs)
}

func (t *watched) DeleteManifest(repo string, d oci.Digest) error {
	t.writer.touch(repo)
	return t.Tx.DeleteManifest(repo, d)
}

func (t *watched) SetTag(repo string, tag meta.Tag) error {
	t.writer.touch(repo)
	return t.Tx.SetTag(repo, tag)
}

func (t *watched) DeleteTag(repo, name, by string, now time.Time) error {
	t.writer.touch(repo)
	return t.Tx.DeleteTag(repo, name, by, now)
}
