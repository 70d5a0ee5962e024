package proxy

import (
	"encoding/json"
	"net/http"

	"github.com/moorgate/moorgate/internal/access"
	"github.com/moorgate/moorgate/internal/gate"
	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
)

// Bounds of what the gateway looks at before a deletion.
const (
	maxTags      = 10_000 // of a repository
	maxManifests = 20_000 // that are read
	maxDepth     = 8      // of indexes in indexes
)

// manifestDelete forwards the deletion of a tag, or of a manifest if no tag needs
// it that the caller may not delete.
func (h *Handler) manifestDelete(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	return h.deleteUnneeded(w, r, c, c.Request.Reference.Digest)
}

// blobDelete forwards the deletion of a blob if no tag needs it that the caller
// may not delete.
func (h *Handler) blobDelete(w http.ResponseWriter, r *http.Request, c *gate.Call) error {
	return h.deleteUnneeded(w, r, c, c.Request.Digest)
}

// deleteUnneeded forwards the deletion of d; "" for that of a tag, about which the
// gate has asked.
func (h *Handler) deleteUnneeded(w http.ResponseWriter, r *http.Request, c *gate.Call, d oci.Digest) error {
	to, err := h.pick(c.Request.Repo)
	if err != nil {
		return err
	}
	if d != "" && !c.May(access.Scope{Action: access.Delete, Repo: c.Request.Repo, Tag: access.EveryTag}) {
		if err := h.checkNeeds(r, to, c, d); err != nil {
			return err
		}
	}
	return h.forward(w, r, to, c, c.Request.URL())
}

// checkNeeds asks for the right to delete each tag that needs d.
//
// Errors: Denied; BadGateway and GatewayTimeout where that cannot be found out;
// Unavailable where it is too much to look at; TooManyRequests.
func (h *Handler) checkNeeds(r *http.Request, to *Route, c *gate.Call, d oci.Digest) error {
	leave, err := h.looks.Enter(r.Context())
	if err != nil {
		return err
	}
	defer leave()
	repo := c.Request.Repo
	tags, err := allTags(r, to, repo)
	if err != nil {
		return err
	}
	l := &look{r: r, to: to, repo: repo, wanted: d, known: map[oci.Digest]bool{}}
	for _, tag := range tags {
		scope := access.Scope{Action: access.Delete, Repo: repo, Tag: tag}
		if c.May(scope) {
			continue
		}
		needs, err := l.tagNeeds(tag)
		if err != nil {
			return err
		}
		if !needs {
			continue
		}
		if err := c.Can(scope); err != nil {
			return err
		}
	}
	return nil
}

// allTags returns the tags of a repository in the upstream.
func allTags(r *http.Request, to *Route, repo string) ([]string, error) {
	q := &route.Request{Kind: route.TagList, Repo: repo, Page: route.Page{N: maxPage}}
	var tags []string
	for more := true; more; {
		list, err := to.ask(r, q, maxList)
		if err != nil {
			return nil, err
		}
		if list.unknown("NAME_UNKNOWN") { // it holds nothing with a tag
			return nil, nil
		}
		var page tagsBody
		if list.status != http.StatusOK || json.Unmarshal(list.body, &page) != nil {
			return nil, list.unexpected("which tags " + repo + " has")
		}
		tags = append(tags, page.Tags...)
		if len(tags) > maxTags {
			return nil, oci.Errorf(oci.Unavailable, "%s has more than %d tags, which is too many to find out which of them need this: "+
				"delete tags instead, or let somebody delete it who may delete every tag", repo, maxTags)
		}
		if q.Page, more, err = nextPage(q.Page, list.header); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// look finds out which manifests of a repository need something.
type look struct {
	r      *http.Request
	to     *Route
	repo   string
	wanted oci.Digest

	known map[oci.Digest]bool // manifests by digest: whether they need it
	read  int                 // manifests that have been read
}

// tagNeeds reports whether a tag points to what is wanted, or to a manifest that
// needs it.
func (l *look) tagNeeds(tag string) (bool, error) {
	return l.needs(oci.Reference{Tag: tag}, 0)
}

// needs reads a manifest and those that it names. What is not there needs nothing.
func (l *look) needs(ref oci.Reference, depth int) (bool, error) {
	if l.read++; l.read > maxManifests || depth > maxDepth {
		return false, oci.Errorf(oci.Unavailable, "%s has too many manifests to find out which of them need this: "+
			"let somebody delete it who may delete every tag", l.repo)
	}
	q := &route.Request{Kind: route.ManifestRead, Repo: l.repo, Reference: ref}
	found, err := l.to.ask(l.r, q, oci.MaxManifestSize)
	if err != nil {
		return false, err
	}
	if found.unknown("MANIFEST_UNKNOWN", "NAME_UNKNOWN") {
		return false, nil
	}
	var m needed
	if found.status != http.StatusOK || json.Unmarshal(found.body, &m) != nil {
		return false, found.unexpected("what " + l.repo + " has as " + ref.String())
	}
	if found.header.Get("Docker-Content-Digest") == string(l.wanted) ||
		l.wanted.Algorithm().FromBytes(found.body) == l.wanted || m.names(l.wanted) {
		return true, nil
	}
	for _, child := range m.Manifests {
		if needs, err := l.childNeeds(child.Digest, depth+1); needs || err != nil {
			return needs, err
		}
	}
	return false, nil
}

// childNeeds is needs, once for each digest.
func (l *look) childNeeds(d oci.Digest, depth int) (bool, error) {
	if needs, ok := l.known[d]; ok {
		return needs, nil
	}
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return false, oci.Errorf(oci.BadGateway, "the upstream registry has an index that names content by a digest that the gateway does not know").Because(err)
	}
	needs, err := l.needs(oci.Reference{Digest: d}, depth)
	if err == nil {
		l.known[d] = needs
	}
	return needs, err
}

// needed is what manifests of all kinds name and cannot do without. A subject is
// nothing that one needs.
type needed struct {
	Config    named   `json:"config"`
	Layers    []named `json:"layers"`
	Blobs     []named `json:"blobs"` // of the artifact manifest of image-spec 1.1-rc
	Manifests []named `json:"manifests"`
	FSLayers  []struct {
		BlobSum oci.Digest `json:"blobSum"`
	} `json:"fsLayers"` // of docker schema 1
}

type named struct {
	Digest oci.Digest `json:"digest"`
}

func (m *needed) names(d oci.Digest) bool {
	if m.Config.Digest == d {
		return true
	}
	for _, list := range [][]named{m.Layers, m.Blobs, m.Manifests} {
		for _, entry := range list {
			if entry.Digest == d {
				return true
			}
		}
	}
	for _, layer := range m.FSLayers {
		if layer.BlobSum == d {
			return true
		}
	}
	return false
}
