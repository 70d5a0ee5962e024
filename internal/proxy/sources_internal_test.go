package proxy

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/route"
)

func TestSourcesRememberWhereBlobsWereSeen(t *testing.T) {
	t.Parallel()
	a, b := oci.SHA256.FromBytes([]byte("a")), oci.SHA256.FromBytes([]byte("b"))
	var s sources
	for _, seen := range []struct {
		request route.Request
		status  int
	}{
		{route.Request{Kind: route.BlobRead, Repo: "read", Digest: a}, http.StatusOK},
		{route.Request{Kind: route.BlobRead, Repo: "missing", Digest: a}, http.StatusNotFound},
		{route.Request{Kind: route.UploadFinish, Repo: "pushed", Digest: a}, http.StatusCreated},
		{route.Request{Kind: route.UploadFinish, Repo: "refused", Digest: a}, http.StatusBadRequest},
		{route.Request{Kind: route.UploadStart, Repo: "mounted", Mount: a, From: "x"}, http.StatusCreated},
		{route.Request{Kind: route.UploadStart, Repo: "not-mounted", Mount: a}, http.StatusAccepted},
		{route.Request{Kind: route.UploadStart, Repo: "whole", Digest: a}, http.StatusCreated},
		{route.Request{Kind: route.BlobRead, Repo: "read", Digest: a}, http.StatusOK},
		{route.Request{Kind: route.ManifestRead, Repo: "manifest", Digest: a}, http.StatusOK},
	} {
		s.note(&seen.request, seen.status)
	}
	if diff := cmp.Diff([]string{"read", "whole", "mounted", "pushed"}, s.of(a)); diff != "" {
		t.Errorf("the last one first (-want +got):\n%s", diff)
	}
	if got := s.of(b); got != nil {
		t.Errorf("a blob that was never seen is in %q", got)
	}
	for i := range 2 * maxSourceRepo {
		s.note(&route.Request{Kind: route.BlobRead, Repo: fmt.Sprint("r", i), Digest: b}, http.StatusOK)
	}
	if got := len(s.of(b)); got != maxSourceRepo {
		t.Errorf("%d repositories are remembered, want %d", got, maxSourceRepo)
	}
}
