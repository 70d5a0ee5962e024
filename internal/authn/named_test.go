package authn_test

import (
	"errors"
	"testing"

	"github.com/moorgate/moorgate/internal/authn"
)

func TestNamed(t *testing.T) {
	t.Parallel()
	var asked []string
	for _, tt := range []struct {
		err  error
		want string // the source that the error names
	}{{nil, ""}, {authn.ErrNoMatch, ""}, {authn.ErrBusy, ""}, {authn.ErrWrongPassword, "file"}} {
		_, err := authn.Named("file", answering{"a", tt.err, &asked}).VerifyPassword(t.Context(), "alice", "x")
		if !errors.Is(err, tt.err) {
			t.Errorf("%v became %v", tt.err, err)
		}
		var of *authn.SourceError
		if errors.As(err, &of) != (tt.want != "") || of != nil && of.Source != tt.want {
			t.Errorf("%v is of %+v, want %q", tt.err, of, tt.want)
		}
	}
	if _, ok := authn.Named("file", answering{}).(authn.Recognizer); ok {
		t.Error("a source recognizes that does not")
	}
	keys, ok := authn.Named("keys", recognizing{answering{name: "keys"}}).(authn.Recognizer)
	if !ok || !keys.Recognizes("keys", "x") || keys.Recognizes("alice", "x") {
		t.Error("a source does not recognize what it did")
	}
}
