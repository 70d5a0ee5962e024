package metatest

import (
	"cmp"
	"slices"
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

func referrersTests() []test {
	return []test{
		{"referrers are in byte order, without bodies", referrersWhole},
		{"referrers come in pages", referrersPages},
		{"referrers go with their manifest", referrersDelete},
	}
}

// putReferrers stores manifests with a subject, half of them of each type, and
// others that are not to be found. It returns them as Referrers should.
func putReferrers(t *testing.T, s meta.Store, subject oci.Digest) []meta.Manifest {
	t.Helper()
	var all []meta.Manifest
	update(t, s, func(tx meta.Tx) error {
		all = nil
		for i := range 12 {
			m := manifest(i)
			m.Subject = subject
			m.ArtifactType = []string{"text/signature", "text/sbom"}[i%2]
			m.Annotations = map[string]string{"n": m.Digest.Encoded()}
			elsewhere, plain := m, manifest(i+100)
			elsewhere.Subject = digest("another subject")
			if err := putAll(tx, "other", elsewhere); err != nil {
				return err
			}
			if err := putAll(tx, "app", m, plain); err != nil {
				return err
			}
			m.Body = nil
			all = append(all, m)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b meta.Manifest) int { return cmp.Compare(a.Digest, b.Digest) })
	return all
}

func putAll(tx meta.Tx, repo string, ms ...meta.Manifest) error {
	for _, m := range ms {
		if err := tx.PutManifest(repo, m, nil); err != nil {
			return err
		}
	}
	return nil
}

func ofType(ms []meta.Manifest, artifactType string) []meta.Manifest {
	return slices.DeleteFunc(slices.Clone(ms), func(m meta.Manifest) bool { return m.ArtifactType != artifactType })
}

func referrers(repo string, subject oci.Digest, artifactType string) func(meta.Tx) ([]meta.Manifest, error) {
	return func(tx meta.Tx) ([]meta.Manifest, error) {
		return tx.Referrers(repo, subject, artifactType, "", 100)
	}
}

func referrersWhole(t *testing.T, s meta.Store) {
	subject := digest("subject")
	wantAnswer(t, s, "none", nil, referrers("app", subject, ""))
	all := putReferrers(t, s, subject)
	wantAnswer(t, s, "all", all, referrers("app", subject, ""))
	wantAnswer(t, s, "of a type", ofType(all, "text/sbom"), referrers("app", subject, "text/sbom"))
	wantAnswer(t, s, "of no such type", nil, referrers("app", subject, "text/none"))
	wantAnswer(t, s, "in another repository", nil, referrers("other", subject, ""))
	wantAnswer(t, s, "in no repository", nil, referrers("none", subject, ""))
	wantAnswer(t, s, "of no subject", nil, referrers("app", "", ""))
}

func referrersPages(t *testing.T, s meta.Store) {
	subject := digest("subject")
	all := putReferrers(t, s, subject)
	for _, artifactType := range []string{"", "text/signature"} {
		var want []string
		for _, m := range all {
			if artifactType == "" || m.ArtifactType == artifactType {
				want = append(want, string(m.Digest))
			}
		}
		pages(t, s, want, func(tx meta.Tx, after string, limit int) ([]string, error) {
			ms, err := tx.Referrers("app", subject, artifactType, oci.Digest(after), limit)
			var names []string
			for _, m := range ms {
				names = append(names, string(m.Digest))
			}
			return names, err
		})
	}
}

func referrersDelete(t *testing.T, s meta.Store) {
	subject := digest("subject")
	all := putReferrers(t, s, subject)
	update(t, s, func(tx meta.Tx) error { return tx.DeleteManifest("app", all[3].Digest) })
	wantAnswer(t, s, "the others", slices.Delete(all, 3, 4), referrers("app", subject, ""))
}
