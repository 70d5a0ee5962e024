package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/moorgate/moorgate/torture/client"
)

// tags is how many images a worker keeps.
const tags = 8

// image is what a tag is about.
type image struct {
	blob     []byte
	manifest []byte
}

// worker is one user, who works in one repository and leaves it as large as it was:
// what a tag no longer names is deleted.
type worker struct {
	client *client.Client
	repo   string
	other  string // a repository to mount from
	shared []byte // a blob of both
	large  []byte // pushed again and again
	random *rand.Rand
	images map[string]image // by tag
	done   map[string]int
}

func newWorker(t *testing.T, s *server, i int, random *rand.Rand) *worker {
	t.Helper()
	w := &worker{
		client: client.New(t, s.URL), repo: fmt.Sprintf("team%d/app", i), other: fmt.Sprintf("team%d/base", i),
		shared: client.Random(1000), large: client.Random(2 << 20),
		random: random, images: map[string]image{}, done: map[string]int{},
	}
	w.client.User, w.client.Password = password(i)
	if err := w.client.PushBlob(t.Context(), w.other, w.shared); err != nil {
		t.Fatal(err)
	}
	return w
}

// run works until the end, at least one round.
func (w *worker) run(ctx context.Context, end time.Time) error {
	kinds := []struct {
		name string
		do   func(context.Context) error
	}{
		{"push", w.push},
		{"pull", w.pull},
		{"mount", w.mount},
		{"large push", w.pushLarge},
		{"token", w.token},
		{"list", w.list},
		{"give up", w.giveUp},
	}
	for i := 0; i < len(kinds) || time.Now().Before(end); i++ {
		kind := kinds[i%len(kinds)]
		if err := kind.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		w.done[kind.name]++
	}
	return nil
}

// push pushes an image, moves a tag to it, and deletes what the tag named before.
func (w *worker) push(ctx context.Context) error {
	tag := fmt.Sprintf("v%d", w.random.IntN(tags))
	blob := client.Random(1 + w.random.IntN(2000))
	push := w.client.PushBlob
	if w.random.IntN(2) == 0 {
		push = w.client.PushBlobAtOnce
	}
	if err := push(ctx, w.repo, blob); err != nil {
		return err
	}
	made := image{blob, client.Manifest(blob)}
	if err := w.client.PutManifest(ctx, w.repo, tag, made.manifest); err != nil {
		return err
	}
	old, moved := w.images[tag]
	w.images[tag] = made
	if !moved {
		return nil
	}
	if err := w.client.Delete(ctx, w.repo, "manifests", client.Digest(old.manifest)); err != nil {
		return err
	}
	return w.client.Delete(ctx, w.repo, "blobs", client.Digest(old.blob))
}

// pull pulls all that there is.
func (w *worker) pull(ctx context.Context) error {
	for tag, want := range w.images {
		if got, err := w.client.Manifest(ctx, w.repo, tag); err != nil || !bytes.Equal(got, want.manifest) {
			return fmt.Errorf("the manifest of %s has %d bytes, want %d: %w", tag, len(got), len(want.manifest), err)
		}
		if got, err := w.client.Blob(ctx, w.repo, client.Digest(want.blob)); err != nil || !bytes.Equal(got, want.blob) {
			return fmt.Errorf("the blob of %s has %d bytes, want %d: %w", tag, len(got), len(want.blob), err)
		}
	}
	return nil
}

// mount mounts a blob and deletes it.
func (w *worker) mount(ctx context.Context) error {
	d := client.Digest(w.shared)
	if err := w.client.Mount(ctx, w.repo, d, w.other); err != nil {
		return err
	}
	return w.client.Delete(ctx, w.repo, "blobs", d)
}

func (w *worker) pushLarge(ctx context.Context) error {
	if err := w.client.PushBlob(ctx, w.repo, w.large); err != nil {
		return err
	}
	got, err := w.client.Blob(ctx, w.repo, client.Digest(w.large))
	if err == nil && !bytes.Equal(got, w.large) {
		return fmt.Errorf("%d bytes came back, want %d", len(got), len(w.large))
	}
	return err
}

// token signs in as docker login does, uses what it got instead of the password,
// and reads with the token.
func (w *worker) token(ctx context.Context) error {
	scope := "repository:" + w.repo + ":pull"
	query := url.Values{"service": {"moorgate"}, "client_id": {"soak"}, "offline_token": {"true"}, "scope": {scope}}
	first, err := w.tokens(w.client.Want(ctx, http.StatusOK, http.MethodGet, "/token?"+query.Encode(), nil))
	if err != nil {
		return err
	}
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh},
		"service": {"moorgate"}, "client_id": {"soak"}, "scope": {scope},
	}
	// A user of its own: without a password.
	nobody := &client.Client{URL: w.client.URL, HTTP: w.client.HTTP}
	second, err := w.tokens(nobody.Want(ctx, http.StatusOK, http.MethodPost, "/token", strings.NewReader(form.Encode()),
		"Content-Type", "application/x-www-form-urlencoded"))
	if err != nil {
		return err
	}
	for _, token := range []string{first.Token, second.Token} {
		_, err := nobody.Want(ctx, http.StatusOK, http.MethodGet, "/v2/"+w.repo+"/tags/list", nil, "Authorization", "Bearer "+token)
		if err != nil {
			return err
		}
	}
	return nil
}

// tokens are what the token endpoint answers.
type tokens struct {
	Token   string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (w *worker) tokens(a client.Answer, err error) (tokens, error) {
	if err != nil {
		return tokens{}, err
	}
	var got tokens
	return got, json.Unmarshal(a.Body, &got)
}

func (w *worker) list(ctx context.Context) error {
	a, err := w.client.Want(ctx, http.StatusOK, http.MethodGet, "/v2/"+w.repo+"/tags/list", nil)
	if err != nil {
		return err
	}
	var got struct{ Tags []string }
	if err := json.Unmarshal(a.Body, &got); err != nil {
		return err
	}
	if len(got.Tags) != len(w.images) {
		return fmt.Errorf("%d tags, want %d", len(got.Tags), len(w.images))
	}
	return nil
}

// giveUp begins an upload and cancels it.
func (w *worker) giveUp(ctx context.Context) error {
	a, err := w.client.Want(ctx, http.StatusAccepted, http.MethodPost, "/v2/"+w.repo+"/blobs/uploads/", nil)
	if err != nil {
		return err
	}
	at := a.Header.Get("Location")
	if _, err := w.client.Want(ctx, http.StatusAccepted, http.MethodPatch, at, bytes.NewReader(client.Random(10_000))); err != nil {
		return err
	}
	_, err = w.client.Want(ctx, http.StatusNoContent, http.MethodDelete, at, nil)
	return err
}
