package metatest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
)

func transactionTests() []test {
	return []test{
		{"update that fails leaves nothing", updateFails},
		{"update that panics leaves nothing and is an error", updatePanics},
		{"update sees its own changes", updateSeesItself},
		{"update is not seen before it ends", updateIsolated},
		{"update whose context has ended does not run", updateCancelled},
		{"update fails if its function keeps a fault to itself", updateFault},
		{"view sees one state", viewSnapshot},
		{"view does not write", viewWrites},
		{"view returns the error of its function", viewFails},
		{"view that panics does no harm", viewPanics},
		{"relaxed update is seen at once", updateRelaxed},
		{"closed store says so", closedStore},
	}
}

var errTest = errors.New("an error of the test")

func link(name string) func(meta.Tx) error {
	return func(tx meta.Tx) error { return tx.LinkBlob("app", digest(name), 1, now()) }
}

func updateFails(t *testing.T, s meta.Store) {
	update(t, s, func(tx meta.Tx) error { return push(tx, "app", manifest(1), "v1") })
	wantError(t, s, "Update", errTest, func(tx meta.Tx) error {
		err := errors.Join(
			push(tx, "app", manifest(2), "v1", "v2"), tx.DeleteTag("app", "v2", "", now()),
			link("x")(tx), save(upload("u"))(tx), tx.PutManifest("new", manifest(3), nil))
		if err != nil {
			return err
		}
		return errTest
	})
	wantAnswer(t, s, "tag", manifest(1), getByTag("app", "v1"))
	wantAnswer(t, s, "new repository", false, hasRepository("new"))
	wantNoManifest(t, s, "app", manifest(2).Digest)
	wantNoBlob(t, s, "app", digest("x"))
	wantAnswer(t, s, "uploads", 0, func(tx meta.Tx) (int, error) { return tx.CountUploads("user:alice") })
}

func updatePanics(t *testing.T, s meta.Store) {
	for _, run := range []func(context.Context, func(meta.Tx) error) error{s.Update, s.UpdateRelaxed} {
		err := run(t.Context(), func(tx meta.Tx) error {
			if err := link("x")(tx); err != nil {
				return err
			}
			panic("the cat is on the table")
		})
		if err == nil || !strings.Contains(err.Error(), "the cat is on the table") {
			t.Errorf("error %v, want one with the value of the panic", err)
		}
		wantNoBlob(t, s, "app", digest("x"))
	}
	update(t, s, link("x"))
	wantAnswer(t, s, "an update after it", 1, blobSize("app", digest("x")))
}

func updateSeesItself(t *testing.T, s meta.Store) {
	update(t, s, func(tx meta.Tx) error {
		if err := push(tx, "app", manifest(1), "v1"); err != nil {
			return err
		}
		m, err := tx.ManifestByTag("app", "v1")
		if err == nil && m.Digest != manifest(1).Digest {
			err = fmt.Errorf("tag points to %s", m.Digest)
		}
		return err
	})
}

func updateIsolated(t *testing.T, s meta.Store) {
	written, looked := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- s.Update(t.Context(), func(tx meta.Tx) error {
			err := link("x")(tx)
			close(written)
			<-looked
			return err
		})
	}()
	<-written
	wantAnswer(t, s, "repository meanwhile", false, hasRepository("app"))
	close(looked)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, s, "repository afterwards", true, hasRepository("app"))
}

func updateCancelled(t *testing.T, s meta.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	fn := func(meta.Tx) error {
		ran = true
		return nil
	}
	for name, run := range map[string]func(context.Context, func(meta.Tx) error) error{
		"Update": s.Update, "UpdateRelaxed": s.UpdateRelaxed, "View": s.View,
	} {
		if err := run(ctx, fn); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want %v", name, err, context.Canceled)
		}
	}
	if ran {
		t.Error("a function ran")
	}
}

func updateFault(t *testing.T, s meta.Store) {
	update(t, s, func(tx meta.Tx) error { return push(tx, "app", manifest(1), "v1") })
	err := s.Update(t.Context(), func(tx meta.Tx) error {
		if err := link("x")(tx); err != nil {
			return err
		}
		_ = tx.DeleteManifest("app", manifest(1).Digest) // its tag forbids that
		return nil
	})
	if err == nil {
		t.Error("a transaction with a fault was committed")
	}
	wantNoBlob(t, s, "app", digest("x"))
}

func viewSnapshot(t *testing.T, s meta.Store) {
	update(t, s, link("x"))
	err := s.View(t.Context(), func(tx meta.Tx) error {
		if _, err := tx.BlobSize("app", digest("x")); err != nil {
			return err
		}
		update(t, s, func(tx meta.Tx) error { return tx.UnlinkBlob("app", digest("x"), now()) })
		_, err := tx.BlobSize("app", digest("x"))
		return err
	})
	if err != nil {
		t.Errorf("what another transaction removed was gone from a snapshot: %v", err)
	}
	wantNoBlob(t, s, "app", digest("x"))
}

func viewWrites(t *testing.T, s meta.Store) {
	if err := s.View(t.Context(), link("x")); err == nil {
		t.Error("a write in a View was no error")
	}
	wantAnswer(t, s, "repository", false, hasRepository("app"))
	update(t, s, link("x"))
}

func viewFails(t *testing.T, s meta.Store) {
	if err := s.View(t.Context(), func(meta.Tx) error { return errTest }); err != errTest { //nolint:errorlint // as it is
		t.Errorf("error %v, want %v", err, errTest)
	}
}

func viewPanics(t *testing.T, s meta.Store) {
	for range 100 { // more often than there are connections
		func() {
			defer func() {
				if recover() == nil {
					t.Fatal("the panic did not come out")
				}
			}()
			_ = s.View(t.Context(), func(meta.Tx) error { panic("view") })
		}()
	}
	wantAnswer(t, s, "a view after them", false, hasRepository("app"))
}

func updateRelaxed(t *testing.T, s meta.Store) {
	for i := range 10 {
		u := upload("u")
		u.State.Offset = int64(i)
		run := s.UpdateRelaxed
		if i%3 == 2 {
			run = s.Update
		}
		if err := run(t.Context(), save(u)); err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, s, "upload", u, getUpload("u"))
	}
}

func closedStore(t *testing.T, s meta.Store) {
	update(t, s, link("x"))
	unlock, err := s.LockBlob(t.Context(), digest(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	unlock()
	for name, run := range map[string]func(context.Context, func(meta.Tx) error) error{
		"Update": s.Update, "UpdateRelaxed": s.UpdateRelaxed, "View": s.View,
	} {
		if err := run(t.Context(), func(meta.Tx) error { return nil }); err == nil {
			t.Errorf("%s of a closed store is no error", name)
		}
	}
	if _, err := s.LockBlob(t.Context(), digest(1)); err == nil {
		t.Error("LockBlob of a closed store is no error")
	}
}
