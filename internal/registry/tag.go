package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// Tags returns the tags of a repository behind last, in byte order, at most
// limit of them, and whether there are more.
//
// Errors: NameUnknown.
func (r *Registry) Tags(ctx context.Context, repo, last string, limit int) (tags []string, more bool, err error) {
	err = r.meta.View(ctx, func(tx meta.Tx) error {
		has, err := tx.HasRepository(repo)
		if err != nil {
			return err
		}
		if !has {
			return oci.ErrNameUnknown.WithDetail(map[string]string{"name": repo})
		}
		tags, err = tx.TagNames(repo, last, limit+1)
		return err
	})
	if err != nil {
		return nil, false, fault("list tags", err)
	}
	if len(tags) > limit {
		return tags[:limit], true, nil
	}
	return tags, false, nil
}

// setTag makes or moves a tag inside a push.
func setTag(tx meta.Tx, put ManifestPut, t meta.Tag) error {
	old, err := tx.Tag(put.Repo, t.Name)
	exists := err == nil
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return err
	}
	if !put.If.holds(exists, old.Digest) {
		return oci.ErrPreconditionFailed.WithDetail(map[string]any{"tag": t.Name})
	}
	if exists && old.Digest != t.Digest {
		if err := put.Guard(Effect{Action: MoveTag, Repo: put.Repo, Tag: t.Name}); err != nil {
			return err
		}
	}
	return tx.SetTag(put.Repo, t)
}

func (p Precondition) holds(exists bool, d oci.Digest) bool {
	if p.Absent && exists {
		return false
	}
	if p.Exists && !exists {
		return false
	}
	if exists && slices.Contains(p.Differ, d) {
		return false
	}
	return p.Match == nil || (exists && slices.Contains(p.Match, d))
}

// deleteTag removes a tag if it is in the state that the caller requires, and returns
// what it has pointed to.
func deleteTag(tx meta.Tx, del ManifestDelete, now time.Time) (oci.Digest, error) {
	tag, err := tx.Tag(del.Repo, del.Reference.Tag)
	if err != nil {
		return "", err
	}
	if !del.If.holds(true, tag.Digest) {
		return "", oci.ErrPreconditionFailed.WithDetail(map[string]any{"tag": tag.Name, "digest": tag.Digest})
	}
	return tag.Digest, tx.DeleteTag(del.Repo, tag.Name, del.By, now)
}
