package powerloss

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/moorgate/moorgate/torture/client"
)

// look returns what each repository of the record shows. An error is an answer
// that no registry may give: a fault, or other bytes than those of the digest.
func (r *record) look(ctx context.Context, c *client.Client) (map[string]held, error) {
	seen := map[string]held{}
	for _, repo := range r.repos() {
		seen[repo] = held{}
		if err := r.lookAt(ctx, c, repo, seen[repo]); err != nil {
			return nil, fmt.Errorf("%s: %w", repo, err)
		}
	}
	var catalog struct{ Repositories []string }
	a, err := c.Want(ctx, http.StatusOK, http.MethodGet, "/v2/_catalog?n=1000", nil)
	if err == nil {
		err = json.Unmarshal(a.Body, &catalog)
	}
	for _, repo := range catalog.Repositories {
		if seen[repo] == nil {
			err = errors.Join(err, fmt.Errorf("nobody pushed to the repository %q", repo))
		}
	}
	return seen, err
}

func (r *record) lookAt(ctx context.Context, c *client.Client, repo string, h held) error {
	a, err := found(c.Do(ctx, http.MethodGet, "/v2/"+repo+"/tags/list?n=1000", nil))
	if err != nil {
		return err
	}
	var list struct{ Tags []string }
	if a != nil {
		err = json.Unmarshal(a, &list)
	}
	for _, tag := range list.Tags {
		body, e := c.Manifest(ctx, repo, tag)
		err = errors.Join(err, e)
		h["tag "+tag] = client.Digest(body)
	}
	for line := range r.lines(repo) {
		kind, d, _ := strings.Cut(line, " ")
		want, isManifest := r.manifests[d]
		switch {
		case kind == "tag":
			continue
		case !isManifest:
			want = r.blobs[d]
		}
		body, e := found(c.Do(ctx, http.MethodGet, "/v2/"+repo+"/"+kind+"s/"+d, nil))
		if body != nil && !bytes.Equal(body, want) {
			e = fmt.Errorf("%s: other bytes came back: %d of them, want %d", line, len(body), len(want))
		}
		err = errors.Join(err, e)
		if body != nil {
			h[line] = ""
		}
	}
	return err
}

// found returns the body of an answer; nil if the registry says that what was
// asked for is not there.
func found(a client.Answer, err error) ([]byte, error) {
	switch {
	case err != nil || a.Status == http.StatusNotFound:
		return nil, err
	case a.Status != http.StatusOK:
		return nil, &client.StatusError{What: "GET", Answer: a}
	default:
		return a.Body, nil
	}
}

// goOn does what clients do after a power loss: they go on with their uploads, or
// are told that these are gone, and push again what was not acknowledged.
func (r *record) goOn(ctx context.Context, c *client.Client, seen map[string]held) error {
	for _, s := range r.sessions {
		if err := s.goOn(ctx, c); err != nil {
			return fmt.Errorf("an upload that goes on: %w", err)
		}
	}
	const repo, most = "team/again", 2
	for _, d := range r.notIn(seen, most) {
		if err := c.PushBlob(ctx, repo, r.blobs[d]); err != nil {
			return fmt.Errorf("a push again: %w", err)
		}
		if body, err := c.Blob(ctx, repo, d); err != nil || !bytes.Equal(body, r.blobs[d]) {
			return fmt.Errorf("blob %s pushed again: %d bytes, %w", d, len(body), err)
		}
	}
	return nil
}

// notIn returns up to most blobs that no repository shows, and one that one does.
func (r *record) notIn(seen map[string]held, most int) (digests []string) {
	shown := map[string]bool{}
	for _, h := range seen {
		for line := range h {
			shown[strings.TrimPrefix(line, "blob ")] = true
		}
	}
	withOne := false
	for _, d := range slices.Sorted(maps.Keys(r.blobs)) {
		if !shown[d] && len(digests) < most {
			digests = append(digests, d)
		} else if shown[d] && !withOne {
			digests, withOne = append(digests, d), true
		}
	}
	return digests
}

func (s session) goOn(ctx context.Context, c *client.Client) error {
	a, err := c.Do(ctx, http.MethodGet, s.path, nil)
	if err != nil || a.Status == http.StatusNotFound {
		return err
	}
	if a.Status != http.StatusNoContent {
		return &client.StatusError{What: "GET of a session", Answer: a}
	}
	last, err := strconv.Atoi(strings.TrimPrefix(a.Header.Get("Range"), "0-"))
	if err != nil || last >= len(s.content) {
		return fmt.Errorf("Range %q of an upload of %d bytes: %w", a.Header.Get("Range"), len(s.content), err)
	}
	if last > 0 {
		last++ // the number of bytes
	}
	a, err = c.Do(ctx, http.MethodPatch, s.path, bytes.NewReader(s.content[last:]))
	if err != nil || a.Status == http.StatusNotFound {
		return err // its bytes did not outlive the power loss
	}
	if a.Status != http.StatusAccepted {
		return &client.StatusError{What: "PATCH of a session", Answer: a}
	}
	d := client.Digest(s.content)
	if _, err := c.Want(ctx, http.StatusCreated, http.MethodPut, s.path+"?digest="+d, nil); err != nil {
		return err
	}
	if body, err := c.Blob(ctx, s.repo, d); err != nil || !bytes.Equal(body, s.content) {
		return fmt.Errorf("%d bytes of a blob that was uploaded with a break: %w", len(body), err)
	}
	return nil
}
