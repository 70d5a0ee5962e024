package disk

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moorgate/moorgate/internal/blob/blobtest"
	"github.com/moorgate/moorgate/internal/oci"
)

// tooLong is when a test gives up.
const tooLong = time.Minute

// TestUnknownShardHoldsUpNobodyElse pushes while the sync for a new shard hangs.
func TestUnknownShardHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	known := blobtest.Put(t, s, []byte("content"))
	hangs, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	stuck := time.AfterFunc(tooLong, func() {
		t.Error("pushes to a shard that is known wait too")
		release()
	})
	defer stuck.Stop()
	var syncs atomic.Int64
	s.ops.sync = func(f *os.File) error {
		if f.Name() == s.algorithmDir(oci.SHA256) && syncs.Add(1) == 1 {
			close(hangs)
			<-released
		}
		return f.Sync()
	}
	texts := []string{"number 11", "number 29"} // both in one shard, 6b
	done := make(chan error, len(texts))
	for _, text := range texts {
		u := begin(t, s, blobtest.NewState(oci.SHA256))
		add(t, u, []byte(text))
		go func() { done <- u.Commit(t.Context(), oci.SHA256.FromString(text)) }()
	}
	<-hangs
	wantBlob(t, s, known, []byte("content"))
	blobtest.Put(t, s, []byte("content"))     // replaced
	blobtest.Put(t, s, []byte("content 177")) // new in a known shard
	select {
	case err := <-done:
		t.Errorf("a commit ended before its shard was on the disk: %v", err)
	default:
	}
	release()
	for range texts {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := syncs.Load(); n != 1 {
		t.Errorf("the directory of the shards was synced %d times for one", n)
	}
}

// TestShardIsMadeAgain: a directory whose name may not be on the disk is not known,
// and the next push does not rely on it.
func TestShardIsMadeAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	content := []byte("content")
	d := oci.SHA256.FromBytes(content)
	parent := s.algorithmDir(oci.SHA256)
	sync, syncs := s.ops.sync, 0
	s.ops.sync = func(f *os.File) error {
		if f.Name() != parent {
			return sync(f)
		}
		if info, err := os.Stat(s.shardDir(d)); err != nil || !info.IsDir() {
			t.Errorf("the shard is not there when its parent is synced: %v", err)
		}
		if syncs++; syncs < 3 {
			return syscall.EIO
		}
		return sync(f)
	}
	u := begin(t, s, blobtest.NewState(oci.SHA256))
	add(t, u, content)
	for range 2 {
		if err := u.Commit(t.Context(), d); !errors.Is(err, syscall.EIO) {
			t.Fatalf("Commit: %v, want EIO", err)
		}
		if left, err := filepath.Glob(parent + "/*"); err != nil || len(left) > 0 {
			t.Errorf("left: %q, %v", left, err)
		}
	}
	if err := u.Commit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	blobtest.Put(t, s, []byte("content 177")) // in the same shard
	if syncs != 3 {
		t.Errorf("the parent was synced %d times, want 3", syncs)
	}
	wantBlob(t, s, d, content)
}
