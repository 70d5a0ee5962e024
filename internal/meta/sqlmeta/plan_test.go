package sqlmeta

import (
	"strings"
	"testing"
)

// TestSQLitePlans checks that no query of the API looks at more rows than it
// returns: each step of its plan is a search in an index, and nothing is sorted
// afterwards.
func TestSQLitePlans(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	put(t, s, "app", 1)
	for name, query := range map[string]string{
		"repository":        selectRepository,
		"Catalog":           selectCatalog,
		"BlobSize":          selectBlobSize,
		"UnlinkBlob":        deleteBlobLink,
		"BlobHolders":       selectBlobHolders,
		"BlobReview":        selectReview,
		"DueReviews":        selectDueReviews,
		"DropReview":        deleteReview,
		"unheld blob":       deleteUnheldBlob,
		"MissingBlobs":      selectHeldBlobs + " (?, ?)",
		"Manifest":          selectManifest,
		"ManifestByTag":     selectManifestByTag,
		"PutManifest":       touchManifest,
		"showRepository":    showRepository,
		"DeleteManifest":    deleteManifest,
		"hideRepository":    hideEmptyRepository,
		"MissingManifests":  selectPresentManifests + " (?, ?)",
		"Referrers":         selectReferrers,
		"Referrers of type": selectReferrersOfType,
		"Tag":               selectTag,
		"SetTag":            upsertTag,
		"tag history":       insertTagHistory,
		"DeleteTag":         deleteTag,
		"TagNames":          selectTagNames,
		"TagsOf":            selectTagsOf,
		"Upload":            selectUpload,
		"SaveUpload":        updateUpload,
		"DeleteUpload":      deleteUpload,
		"ExpiredUploads":    selectExpiredUploads,
		"CountUploads":      countUploads,
		"RefreshToken":      selectRefresh,
		"DeleteRefresh":     deleteRefresh,
		"refresh tokens":    selectRefreshes,
		"of a user":         selectRefreshesOfUser,
		"CountRefresh":      countRefreshes,
		"DeleteExpired":     deleteExpiredRefreshes,
		"Key":               selectKey,
		"DeleteKey":         deleteKey,
		"keys":              selectKeys,
		"keys of an owner":  selectKeysOf,
		"NoteKeyUse":        noteKeyUse,
		"expired keys":      deleteExpiredKeys,
	} {
		plan := sqlitePlan(t, s, query)
		if strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") || !strings.Contains(plan, "SEARCH") {
			t.Errorf("%s does not only search in indexes:\n%s", name, plan)
		}
	}
	// Partial indexes are walked whole: they hold nothing but what is wanted.
	if plan := sqlitePlan(t, s, clearLeases); !strings.Contains(plan, "uploads_leased") {
		t.Errorf("clearing leases walks over all uploads:\n%s", plan)
	}
	// What the query itself has found is walked whole, and sorted at the end.
	plan := sqlitePlan(t, s, selectTagsUsing)
	if rest := strings.ReplaceAll(plan, "SCAN u\n", ""); strings.Contains(rest, "SCAN") || strings.Contains(rest, "AUTOMATIC") || !strings.Contains(rest, "manifest_refs_digest (repo=? AND digest=?)") {
		t.Errorf("TagsUsing walks over more than it finds:\n%s", plan)
	}
}

// sqlitePlan returns the plan of a query, a step on each line
// (https://sqlite.org/eqp.html).
func sqlitePlan(t *testing.T, s *Store, query string) string {
	t.Helper()
	args := make([]any, strings.Count(query, "?"))
	rows, err := s.engine.(*sqliteEngine).readDB.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
