package faultfs_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/moorgate/moorgate/internal/testserver"
	"github.com/moorgate/moorgate/torture/client"
	"github.com/moorgate/moorgate/torture/faultfs"
)

// SQLite in WAL mode maps a file into memory and locks parts of others; the
// server has a socket and a lock in its data directory.
//
// It is not parallel: it starts processes, and while that is done this process must
// have no files of such a file system open, which the other tests do.
func TestARealServerLivesOnIt(t *testing.T) {
	backing := t.TempDir()
	mounted := faultfs.Mount(t, backing)
	var recorder faultfs.Recorder
	mounted.Record(&recorder)
	config := filepath.Join(t.TempDir(), "moorgate.yaml")
	if err := os.WriteFile(config, []byte("open: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--data", filepath.Join(mounted.Dir, "data"), "--config", config}
	server := testserver.Start(t, args...)
	wantNoDevice(t, server.Process.Pid)
	c := client.New(t, server.URL)
	var blobs [][]byte
	for range 20 {
		content := client.Random(300_000)
		if err := c.PushBlob(t.Context(), "team/app", content); err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, content)
	}
	manifest := client.Manifest(blobs...)
	if err := c.PutManifest(t.Context(), "team/app", "v1", manifest); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	wantSynced(t, recorder.Ops(), "data/registry.db-wal")

	c = client.New(t, testserver.Start(t, args...).URL)
	if got, err := c.Manifest(t.Context(), "team/app", "v1"); err != nil || !bytes.Equal(got, manifest) {
		t.Errorf("the manifest has changed, or: %v", err)
	}
	for _, want := range blobs {
		if got, err := c.Blob(t.Context(), "team/app", client.Digest(want)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("a blob has changed, or: %v", err)
		}
	}
}

// wantNoDevice fails the test if a process could answer for the file system: it would
// keep it alive when the test is gone.
func wantNoDevice(t *testing.T, pid int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of process %d: %v", pid, err)
	}
	for _, f := range files {
		if target, err := os.Readlink(f); err == nil && target == "/dev/fuse" {
			t.Errorf("the server has %s", target)
		}
	}
}

// wantSynced fails the test unless path was written to, and synced after the last
// write.
func wantSynced(t *testing.T, ops []faultfs.Op, path string) {
	t.Helper()
	written, synced := 0, -1
	for i, op := range ops {
		switch {
		case op.Path == path && op.Kind == faultfs.Write:
			written = i
		case op.Path == path && op.Kind == faultfs.Fsync:
			synced = i
		}
	}
	if written == 0 || synced < written {
		t.Errorf("of %d operations, the last write to %s is number %d, and the last sync number %d", len(ops), path, written, synced)
	}
}
