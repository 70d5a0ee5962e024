// Package metatest is the contract of meta.Store as tests and benchmarks that
// every store runs.
package metatest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/meta"
	"github.com/moorgate/moorgate/internal/oci"
)

// Run checks a store against the contract. open returns an empty store that is
// closed when the test t ends; a test may have closed it before.
func Run(t *testing.T, open func(t testing.TB) meta.Store) {
	for _, test := range slices.Concat(repositoryTests(), blobTests(), reviewTests(), manifestTests(), referrersTests(),
		tagTests(), usingTests(), uploadTests(), refreshTokenTests(), keyTests(), transactionTests(), concurrencyTests(), lockTests()) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// test is one rule of the contract. It gets an empty store.
type test struct {
	name string
	run  func(t *testing.T, s meta.Store)
}

// now is the time of the tests, and later a bit later. They have the precision
// that a store keeps.
func now() time.Time { return time.Date(2026, 2, 3, 4, 5, 6, 789_123_000, time.UTC) }

func later(d time.Duration) time.Time { return now().Add(d) }

// digest returns the digest of some content. Different names, different digests.
func digest(name any) oci.Digest { return oci.SHA256.FromString(fmt.Sprint("content of ", name)) }

func digests(n int) []oci.Digest {
	ds := make([]oci.Digest, n)
	for i := range ds {
		ds[i] = digest(i)
	}
	return ds
}

// manifest returns a manifest that is different for each name.
func manifest(name any) meta.Manifest {
	body := []byte(fmt.Sprint(`{"name":"`, name, `"}`))
	return meta.Manifest{
		Digest:    oci.SHA256.FromBytes(body),
		MediaType: "application/vnd.oci.image.manifest.v1+json",
		Size:      int64(len(body)),
		Body:      body,
		PushedAt:  now(),
	}
}

// update runs fn in an Update that must succeed.
func update(t testing.TB, s meta.Store, fn func(meta.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// ask returns the answer to a question in a View, which must have one.
func ask[T any](t testing.TB, s meta.Store, question func(meta.Tx) (T, error)) T {
	t.Helper()
	var answer T
	err := s.View(t.Context(), func(tx meta.Tx) (err error) {
		answer, err = question(tx)
		return err
	})
	if err != nil {
		t.Fatalf("View: %v", err)
	}
	return answer
}

// wantAnswer compares the answer to a question with what it should be.
func wantAnswer[T any](t testing.TB, s meta.Store, what string, want T, question func(meta.Tx) (T, error)) {
	t.Helper()
	if diff := cmp.Diff(want, ask(t, s, question), emptyIsNil, wholeBytes); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// emptyIsNil makes no difference between empty and nil lists, maps and bytes.
var emptyIsNil = cmp.FilterValues(
	func(a, b any) bool { return length(a) == 0 && length(b) == 0 }, cmp.Ignore())

// wholeBytes compares bytes at once, not each by itself: bodies are large.
var wholeBytes = cmp.Comparer(bytes.Equal)

func length(v any) int {
	switch v := v.(type) {
	case []string:
		return len(v)
	case []oci.Digest:
		return len(v)
	case []meta.Manifest:
		return len(v)
	case []meta.Review:
		return len(v)
	case []meta.Upload:
		return len(v)
	case map[string]string:
		return len(v)
	default:
		return -1
	}
}

// wantError checks that fn fails in an Update, by want, and that the error is
// the one that Update returns.
func wantError(t testing.TB, s meta.Store, what string, want error, fn func(meta.Tx) error) {
	t.Helper()
	var inside error
	err := s.Update(t.Context(), func(tx meta.Tx) error {
		inside = fn(tx)
		return inside
	})
	if !errors.Is(inside, want) {
		t.Errorf("%s: error %v, want %v", what, inside, want)
	}
	if inside != err { //nolint:errorlint // Update returns it as it is
		t.Errorf("%s: Update returned %v, want the error of its function: %v", what, err, inside)
	}
}

// pages checks that a list comes whole and in the order of want, in pages of
// every size, and that it is empty behind its end.
func pages(t testing.TB, s meta.Store, want []string, list func(tx meta.Tx, after string, limit int) ([]string, error)) {
	t.Helper()
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page := ask(t, s, func(tx meta.Tx) ([]string, error) { return list(tx, after, limit) })
			if len(page) == 0 {
				break
			}
			if len(page) > limit || len(got) > len(want) {
				t.Fatalf("pages of %d: %d entries behind %q, after %d", limit, len(page), after, len(got))
			}
			got = append(got, page...)
		}
		if diff := cmp.Diff(want, got, emptyIsNil); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	wantAnswer(t, s, "a page of nothing", nil, func(tx meta.Tx) ([]string, error) { return list(tx, "", 0) })
}

// sorted returns names in byte order, which is that of Go strings.
func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// trickyNames are valid repository names and tags whose byte order differs from
// that of a dictionary.
func trickyNames() []string {
	return []string{"b", "a", "a-b", "a.b", "a_b", "ab", "a0", "a10", "a2", "0", "a--b", "z", "a.0"}
}
