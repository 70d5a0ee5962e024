package metatest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/moorgate/moorgate/internal/meta"
)

func concurrencyTests() []test {
	return []test{
		{"updates at once lose none", noLostUpdate},
		{"updates at once see each other", noWriteSkew},
		{"updates at once fail one by one", failuresApart},
		{"views at once see whole updates", wholeUpdates},
		{"close waits for what runs", closeWaits},
	}
}

// together runs fn n times at once and reports its errors.
func together(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := fn(i); err != nil {
				t.Errorf("number %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// noLostUpdate moves a tag along a row of manifests, one step with each update.
func noLostUpdate(t *testing.T, s meta.Store) {
	const workers, steps = 8, 10
	next := map[string]meta.Manifest{} // by digest
	update(t, s, func(tx meta.Tx) error {
		for i := range workers*steps + 1 {
			if err := push(tx, "app", manifest(i)); err != nil {
				return err
			}
			next[manifest(i).Digest.String()] = manifest(i + 1)
		}
		return push(tx, "app", manifest(0), "counter")
	})
	step := func(tx meta.Tx) error {
		tag, err := tx.Tag("app", "counter")
		if err != nil {
			return err
		}
		tag.Digest = next[tag.Digest.String()].Digest
		return tx.SetTag("app", tag)
	}
	together(t, workers, func(i int) error {
		for range steps {
			run := s.Update
			if i%2 == 1 {
				run = s.UpdateRelaxed
			}
			if err := run(t.Context(), step); err != nil {
				return err
			}
		}
		return nil
	})
	wantAnswer(t, s, "the tag after all steps", manifest(workers*steps), getByTag("app", "counter"))
}

// noWriteSkew lets two updates remove one of two links each, if both are there.
func noWriteSkew(t *testing.T, s meta.Store) {
	for round := range 10 {
		repo := fmt.Sprint("app", round)
		update(t, s, func(tx meta.Tx) error {
			return errors.Join(tx.LinkBlob(repo, digest(0), 1, now()), tx.LinkBlob(repo, digest(1), 1, now()))
		})
		together(t, 2, func(i int) error {
			return s.Update(t.Context(), func(tx meta.Tx) error {
				missing, err := tx.MissingBlobs(repo, digests(2))
				if err != nil || len(missing) > 0 {
					return err
				}
				return tx.UnlinkBlob(repo, digest(i), now())
			})
		})
		missing := ask(t, s, func(tx meta.Tx) (int, error) {
			ds, err := tx.MissingBlobs(repo, digests(2))
			return len(ds), err
		})
		if missing != 1 {
			t.Errorf("%d of two links are gone, want one", missing)
		}
	}
}

// failuresApart lets every third update fail and every third one panic.
func failuresApart(t *testing.T, s meta.Store) {
	const n = 60
	together(t, n, func(i int) error {
		err := s.Update(t.Context(), func(tx meta.Tx) error {
			if err := tx.LinkBlob(fmt.Sprint("app", i), digest(i), 1, now()); err != nil {
				return err
			}
			switch i % 3 {
			case 1:
				return errTest
			case 2:
				panic(i)
			}
			return nil
		})
		if (err == nil) != (i%3 == 0) || errors.Is(err, errTest) != (i%3 == 1) {
			return fmt.Errorf("outcome is %w", err)
		}
		return nil
	})
	for i := range n {
		wantAnswer(t, s, fmt.Sprint("change of number ", i), i%3 == 0, hasRepository(fmt.Sprint("app", i)))
	}
}

// wholeUpdates moves two tags together while others look at them.
func wholeUpdates(t *testing.T, s meta.Store) {
	update(t, s, func(tx meta.Tx) error { return push(tx, "app", manifest(0), "one", "two") })
	together(t, 6, func(worker int) error {
		for i := range 20 {
			var err error
			if worker < 2 {
				err = s.Update(t.Context(), func(tx meta.Tx) error {
					return push(tx, "app", manifest(worker*100+i), "one", "two")
				})
			} else {
				err = s.View(t.Context(), sameTags)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func sameTags(tx meta.Tx) error {
	one, err := tx.Tag("app", "one")
	if err != nil {
		return err
	}
	two, err := tx.Tag("app", "two")
	if err == nil && one.Digest != two.Digest {
		err = fmt.Errorf("half of an update is seen: %s and %s", one.Digest, two.Digest)
	}
	return err
}

func closeWaits(t *testing.T, s meta.Store) {
	started, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 2)
	go func() {
		ended <- s.Update(t.Context(), func(tx meta.Tx) error {
			close(started)
			<-release
			return link("x")(tx)
		})
	}()
	<-started
	go func() { ended <- s.Close() }()
	close(release)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
