package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/meta"
)

// duelLimit bounds the rounds until each side of a duel has won, on a busy machine.
const duelLimit = 2 * time.Minute

// duel repeats a race of two, at least so many times, and until each has won some
// times: one that always ends the same shows nothing about the other end.
func duel(t *testing.T, rounds int, once func(round int) (won bool)) {
	t.Helper()
	late, done := context.WithTimeout(t.Context(), duelLimit)
	defer done()
	won, lost := 0, 0
	for round := 0; round < rounds || won < 2 || lost < 2; round++ {
		if once(round) {
			won++
		} else {
			lost++
		}
		if late.Err() != nil && (won < 2 || lost < 2) {
			t.Fatalf("won %d times, lost %d: that shows too little", won, lost)
		}
	}
}

// against runs two functions at once. In some rounds the one is held up a bit, in
// some the other, so that each is first now and then.
func (f *fixture) against(round int, one, two func()) {
	atOnce(2, func(i int) {
		if i == 0 {
			f.holdUp(round % 4)
			one()
			return
		}
		f.holdUp(round / 4 % 4)
		two()
	})
}

// holdUp asks the database things that nobody wants to know.
func (f *fixture) holdUp(times int) {
	for range times * times {
		_ = f.meta.View(context.Background(), func(tx meta.Tx) error {
			_, err := tx.HasRepository("a")
			return err
		})
	}
}
