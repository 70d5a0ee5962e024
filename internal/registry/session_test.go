package registry_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/oci"
	"github.com/moorgate/moorgate/internal/registry"
)

func text(s string) registry.Chunk {
	return registry.Chunk{Start: -1, Length: -1, Body: strings.NewReader(s)}
}

func (f *fixture) start(t *testing.T, repo, owner string) registry.SessionKey {
	t.Helper()
	key, err := f.StartUpload(t.Context(), repo, owner, "")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// all runs each operation on a session and fails unless they all end like that.
func (f *fixture) all(t *testing.T, key registry.SessionKey, kind oci.Kind) {
	t.Helper()
	_, err := f.AppendUpload(t.Context(), key, text("intruder"))
	wantKind(t, "append", err, kind)
	_, err = f.FinishUpload(t.Context(), key, text(""), oci.SHA256.FromString("text"))
	wantKind(t, "finish", err, kind)
	wantKind(t, "cancel", f.CancelUpload(t.Context(), key), kind)
}

func TestSessionsBelongToOneOwnerAndRepository(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	key := f.start(t, "a", "test:alice")
	if _, err := f.AppendUpload(t.Context(), key, text("te")); err != nil {
		t.Fatal(err)
	}
	for _, other := range []registry.SessionKey{
		{Repo: "a", Owner: "test:mallory", ID: key.ID},
		{Repo: "a", Owner: "", ID: key.ID},
		{Repo: "a", Owner: "other:alice", ID: key.ID},
		{Repo: "b", Owner: key.Owner, ID: key.ID},
		{Repo: "a", Owner: key.Owner, ID: key.ID + "X"},
		{Repo: "a", Owner: key.Owner, ID: ""},
	} {
		f.all(t, other, oci.BlobUploadUnknown)
		_, err := f.UploadOffset(t.Context(), other)
		wantKind(t, "look", err, oci.BlobUploadUnknown)
	}
	if n, err := f.UploadOffset(t.Context(), key); n != 2 || err != nil {
		t.Errorf("the session has %d bytes: %v", n, err)
	}
	if _, err := f.FinishUpload(t.Context(), key, text("xt"), oci.SHA256.FromString("text")); err != nil {
		t.Error(err)
	}
}

func TestSessionsExpire(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{UploadExpiry: time.Hour})
	key := f.start(t, "a", "")
	for range 3 { // it lives on as long as something comes
		f.pass(time.Hour - time.Second)
		if _, err := f.AppendUpload(t.Context(), key, text("x")); err != nil {
			t.Fatal(err)
		}
	}
	f.pass(time.Hour - time.Second)
	if n, err := f.UploadOffset(t.Context(), key); n != 3 || err != nil {
		t.Errorf("the session has %d bytes: %v", n, err)
	}
	f.pass(time.Second)
	f.all(t, key, oci.BlobUploadUnknown)
	_, err := f.UploadOffset(t.Context(), key)
	wantKind(t, "look", err, oci.BlobUploadUnknown)
}

func TestUploadsPerOwner(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{UploadsPerOwner: 2})
	first := f.start(t, "a", "test:alice")
	f.start(t, "b", "test:alice")
	_, err := f.StartUpload(t.Context(), "c", "test:alice", "")
	wantKind(t, "start one more", err, oci.TooManyRequests)
	f.start(t, "a", "test:bob")
	f.start(t, "a", "")
	if _, err := f.FinishUpload(t.Context(), first, text("text"), oci.SHA256.FromString("text")); err != nil {
		t.Fatal(err)
	}
	f.start(t, "a", "test:alice")
}

// writing is a request that writes to a session and whose body the test sends.
type writing struct {
	io.Writer
	body *io.PipeWriter
	done chan error
}

// asked tells when somebody asks for more of a body, and so is done with what came
// before.
type asked struct {
	io.Reader
	more chan struct{}
}

func (a asked) Read(p []byte) (int, error) {
	select {
	case a.more <- struct{}{}:
	default: // nobody waits for it
	}
	return a.Reader.Read(p)
}

// write begins an append that is done with its first bytes, and waits for more,
// when it returns.
func (f *fixture) write(t *testing.T, key registry.SessionKey, first string) *writing {
	t.Helper()
	r, send := io.Pipe()
	w := &writing{Writer: send, body: send, done: make(chan error, 1)}
	body := asked{r, make(chan struct{}, 1)}
	go func() {
		_, err := f.AppendUpload(t.Context(), key, registry.Chunk{Start: -1, Length: -1, Body: body})
		_ = r.CloseWithError(io.ErrClosedPipe) // it never fails
		w.done <- err
	}()
	wait := func() {
		t.Helper()
		select {
		case <-body.more:
		case err := <-w.done:
			t.Fatalf("the append ends early: %v", err)
		}
	}
	wait()
	if _, err := io.WriteString(w, first); err != nil {
		t.Fatal(err)
	}
	wait()
	return w
}

// end says that the body is over and returns how the append ended.
func (w *writing) end(t *testing.T) error {
	t.Helper()
	w.body.Close() //nolint:errcheck // it never fails
	select {
	case err := <-w.done:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("the append does not end")
		return nil
	}
}

func TestOneWriterAtATime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	key := f.start(t, "a", "")
	w := f.write(t, key, "te")
	f.all(t, key, oci.BlobUploadBusy)
	f.pass(40 * time.Second)
	if _, err := io.WriteString(w, "x"); err != nil { // which keeps the lease
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "t"); err != nil { // the byte before has been taken when this one is
		t.Fatal(err)
	}
	f.pass(40 * time.Second)
	f.all(t, key, oci.BlobUploadBusy)
	if err := w.end(t); err != nil {
		t.Errorf("the one writer ends with %v", err)
	}
	if _, err := f.FinishUpload(t.Context(), key, text(""), oci.SHA256.FromString("text")); err != nil {
		t.Error(err)
	}
	if got := f.read(t, "a", oci.SHA256.FromString("text")); got != "text" {
		t.Errorf("the blob is %q", got)
	}
}

// Of many that append the same chunk at once exactly one does.
func TestManyWritersAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{})
	const writers = 8
	for range 5 {
		key := f.start(t, "a", "")
		release := make(chan struct{})
		results := make(chan error)
		for range writers {
			go func() {
				_, err := f.AppendUpload(t.Context(), key, registry.Chunk{Start: 0, Length: 4, Body: io.MultiReader(strings.NewReader("te"), waiting(release), strings.NewReader("xt"))})
				results <- err
			}()
		}
		for range writers - 1 {
			wantKind(t, "a loser", <-results, oci.BlobUploadBusy)
		}
		close(release)
		wantKind(t, "the winner", <-results, -1)
		_, err := f.AppendUpload(t.Context(), key, registry.Chunk{Start: 0, Length: 4, Body: strings.NewReader("text")})
		wantKind(t, "one that comes late", err, oci.RangeInvalid)
		if _, err := f.FinishUpload(t.Context(), key, text(""), oci.SHA256.FromString("text")); err != nil {
			t.Error(err)
		}
	}
}

// waiting is a reader of nothing that ends when the channel is closed.
type waiting chan struct{}

func (w waiting) Read([]byte) (int, error) {
	<-w
	return 0, io.EOF
}

// A writer that gives no sign of life loses the session to the next one, and
// then cannot add a byte to what that one writes.
func TestStalledWriterIsReplaced(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]func(t *testing.T, f *fixture, key registry.SessionKey){
		"by one that finishes": func(t *testing.T, f *fixture, key registry.SessionKey) {
			if _, err := f.FinishUpload(t.Context(), key, text("text"), oci.SHA256.FromString("text")); err != nil {
				t.Error(err)
			}
		},
		"by one that appends": func(t *testing.T, f *fixture, key registry.SessionKey) {
			if n, err := f.AppendUpload(t.Context(), key, text("text")); n != 4 || err != nil {
				t.Errorf("the second writer has %d bytes: %v", n, err)
			}
		},
		"by one that cancels": func(t *testing.T, f *fixture, key registry.SessionKey) {
			if err := f.CancelUpload(t.Context(), key); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, registry.Options{})
			key := f.start(t, "a", "")
			stalled := f.write(t, key, "dead")
			f.pass(time.Minute)
			second(t, f, key)
			_, _ = io.WriteString(stalled, "undead") // fails if it was noticed already
			switch err := stalled.end(t); kindOf(err) {
			case oci.BlobUploadBusy, oci.BlobUploadUnknown:
			default:
				t.Errorf("the stalled writer ends with %v", err)
			}
			switch name {
			case "by one that finishes":
				if got := f.read(t, "a", oci.SHA256.FromString("text")); got != "text" {
					t.Errorf("the blob is %q", got)
				}
			case "by one that appends":
				if _, err := f.FinishUpload(t.Context(), key, text(""), oci.SHA256.FromString("text")); err != nil {
					t.Errorf("the second writer cannot finish: %v", err)
				}
			case "by one that cancels":
				if files := f.files(t); files != nil {
					t.Errorf("files stay: %v", files)
				}
			}
		})
	}
}

// A push may take longer than an unfinished upload may rest.
func TestLongPushDoesNotExpire(t *testing.T) {
	t.Parallel()
	f := newFixture(t, registry.Options{UploadExpiry: time.Hour})
	key := f.start(t, "a", "test:alice")
	w := f.write(t, key, "slow")
	f.pass(50 * time.Minute)
	if _, err := io.WriteString(w, " but"); err != nil {
		t.Fatal(err)
	}
	f.pass(50 * time.Minute)
	if _, err := io.WriteString(w, " moving"); err != nil {
		t.Fatal(err)
	}
	if err := w.end(t); err != nil {
		t.Fatal(err)
	}
	f.pass(50 * time.Minute)
	d := oci.SHA256.FromString("slow but moving")
	if _, err := f.FinishUpload(t.Context(), key, text(""), d); err != nil {
		t.Fatal(err)
	}
	if got := f.read(t, "a", d); got != "slow but moving" {
		t.Errorf("read %q", got)
	}
}
