package proxy

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/oci"
)

func testSealer(t testing.TB) *Sealer {
	t.Helper()
	l, err := NewSealer(bytes.Repeat([]byte{1}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAKeyOfTheWrongLengthIsRefused(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := NewSealer(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes is taken", n)
		}
	}
}

// The longest names still give an id that routes: a distribution registry writes
// the name of the repository twice.
func TestIDsOfLongNamesAreShortEnough(t *testing.T) {
	t.Parallel()
	repo := strings.Repeat("r", oci.MaxNameLength)
	state := strings.Repeat("s", (32+len(`{"Name":"","UUID":"","Offset":9223372036854775807,"StartedAt":"2006-01-02T15:04:05.999999999Z"}`)+36+len(repo))*4/3+4)
	s := seal{Repo: repo, Owner: strings.Repeat("o", 300), Location: "/v2/" + repo + "/blobs/uploads/" + strings.Repeat("u", 36) + "?_state=" + state}
	id, err := testSealer(t).seal(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(id) > 2000 || !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(id) {
		t.Errorf("the id has %d characters: %s", len(id), id)
	}
}

func TestAnotherKeyOpensNothing(t *testing.T) {
	t.Parallel()
	s := seal{Repo: "r", Owner: "o", Location: "/x", Started: time.Now()}
	id, err := testSealer(t).seal(s)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewSealer(make([]byte, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.open(id, s); !errors.Is(err, oci.ErrBlobUploadUnknown) {
		t.Errorf("open: %v", err)
	}
}

func FuzzSealer(f *testing.F) {
	l := testSealer(f)
	id, err := l.seal(seal{Prefix: "p", Repo: "p/r", Owner: "s:u", Location: "/x?y=z", Started: time.Now()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("p", "p/r", "s:u", "/x?y=z", id)
	f.Add("", "", "", "", "")
	f.Add("a", "b", "c", "\x00", strings.Repeat("A", 60))
	f.Fuzz(func(t *testing.T, prefix, repo, owner, location, text string) {
		// What opens was made here, for just these.
		if got, err := l.open(text, seal{Prefix: prefix, Repo: repo, Owner: owner}); err == nil &&
			(prefix != "p" || repo != "p/r" || owner != "s:u" || got.Location != "/x?y=z") {
			t.Errorf("open(%q) for %q, %q, %q: %+v", text, prefix, repo, owner, got)
		}
		made := seal{Prefix: prefix, Repo: repo, Owner: owner, Location: location, Started: time.UnixMicro(int64(len(text)))}
		sealed, err := l.seal(made)
		if err != nil {
			if len(location) < 1400 {
				t.Errorf("seal: %v", err)
			}
			return
		}
		got, err := l.open(sealed, seal{Prefix: prefix, Repo: repo, Owner: owner})
		if err != nil || got != made {
			t.Errorf("open: %+v, %v, want %+v", got, err, made)
		}
		if _, err := l.open(sealed, seal{Prefix: prefix, Repo: repo, Owner: owner + "x"}); err == nil {
			t.Error("somebody else's id opens")
		}
	})
}
