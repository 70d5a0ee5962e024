package proxy

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
)

// Bounds of sources.
const (
	maxSources    = 10_000         // blobs
	maxSourceRepo = 8              // repositories of one blob
	sourceTTL     = 24 * time.Hour // after it was last seen
)

// sources remembers in which repositories blobs were seen lately: where a mount
// may come from if the client does not say. Who may read them is asked each time,
// and the upstream has the last word, so that an entry can do no harm when it is
// not true any more.
type sources struct {
	start sync.Once
	seen  *otter.Cache[oci.Digest, []string]
}

func (s *sources) cache() *otter.Cache[oci.Digest, []string] {
	s.start.Do(func() {
		s.seen = otter.Must(&otter.Options[oci.Digest, []string]{
			MaximumSize: maxSources, ExpiryCalculator: otter.ExpiryWriting[oci.Digest, []string](sourceTTL),
		})
	})
	return s.seen
}

// of returns the repositories where d was seen, the last one first.
func (s *sources) of(d oci.Digest) []string {
	repos, _ := s.cache().GetIfPresent(d)
	return repos
}

// note remembers the blob that an answer tells about, if it does.
func (s *sources) note(q *route.Request, status int) {
	var d oci.Digest
	switch {
	case q.Kind == route.BlobRead && status == http.StatusOK,
		q.Kind == route.UploadFinish && status == http.StatusCreated:
		d = q.Digest
	case q.Kind == route.UploadStart && status == http.StatusCreated && q.Mount != "":
		d = q.Mount
	case q.Kind == route.UploadStart && status == http.StatusCreated:
		d = q.Digest
	}
	if d == "" {
		return
	}
	repos := s.of(d)
	if len(repos) > 0 && repos[0] == q.Repo {
		return
	}
	others := slices.DeleteFunc(slices.Clone(repos), func(repo string) bool { return repo == q.Repo })
	repos = append([]string{q.Repo}, others...)
	s.cache().Set(d, repos[:min(len(repos), maxSourceRepo)])
}
