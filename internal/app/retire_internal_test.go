package app

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorgate/moorgate/internal/config"
)

// A server that nobody touches ends a key that was replaced, by the clock alone.
func TestSigningKeysRetireWhileTheServerRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(config.Token, Source{}, slog.New(slog.NewTextHandler(io.Discard, nil)))
		s.cfg.Data, s.cfg.Token.RotateOverlap = t.TempDir(), 10*time.Minute
		keys, err := s.openKeys()
		if err != nil {
			t.Fatal(err)
		}
		old := keys.List()[0]
		done, err := keys.Rotate()
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		for _, task := range s.tasks {
			go task(ctx)
		}
		time.Sleep(time.Hour) // of the bubble; tokens of the old key may live
		synctest.Wait()
		if n := len(keys.List()); n != 2 {
			t.Errorf("%d keys while tokens of the old one may live", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if list := keys.List(); len(list) != 1 || list[0].ID != done.Made.ID || strings.Contains(string(keys.JWKS()), old.ID) {
			t.Errorf("%+v", list)
		}
		if _, err := os.Stat(old.File); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is there: %v", err)
		}
	})
}
