package faultfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorgate/moorgate/torture/faultfs"
)

// operations has a row for each kind: what does it, in a directory that holds
// file, empty/ and full/inside.
var operations = []struct {
	kind faultfs.Kind
	want faultfs.Op // but for Kind
	do   func(dir string) error
}{
	{faultfs.Open, faultfs.Op{Path: "file"}, func(dir string) error { return withFile(dir, func(*os.File) error { return nil }) }},
	{faultfs.Read, faultfs.Op{Path: "file"}, func(dir string) error {
		return withFile(dir, func(f *os.File) error { _, err := f.Read(make([]byte, 3)); return err })
	}},
	{faultfs.Create, faultfs.Op{Path: "empty/new", Mode: 0o640}, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "empty/new"), nil, 0o640)
	}},
	{faultfs.Write, faultfs.Op{Path: "file", Offset: 2, Data: []byte("XY")}, func(dir string) error {
		return withFile(dir, func(f *os.File) error { _, err := f.WriteAt([]byte("XY"), 2); return err })
	}},
	{faultfs.Truncate, faultfs.Op{Path: "file", Offset: 3}, func(dir string) error {
		return withFile(dir, func(f *os.File) error { return f.Truncate(3) })
	}},
	{faultfs.Truncate, faultfs.Op{Path: "file", Offset: 4}, func(dir string) error { return os.Truncate(filepath.Join(dir, "file"), 4) }},
	{faultfs.Allocate, faultfs.Op{Path: "file", Offset: 100}, func(dir string) error {
		return withFile(dir, func(f *os.File) error { return unix.Fallocate(int(f.Fd()), 0, 0, 100) })
	}},
	{faultfs.Fsync, faultfs.Op{Path: "file"}, func(dir string) error { return withFile(dir, (*os.File).Sync) }},
	{faultfs.Fsync, faultfs.Op{Path: "file"}, func(dir string) error {
		return withFile(dir, func(f *os.File) error { return unix.Fdatasync(int(f.Fd())) })
	}},
	{faultfs.FsyncDir, faultfs.Op{Path: "full"}, func(dir string) error {
		f, err := os.Open(filepath.Join(dir, "full"))
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	}},
	{faultfs.Rename, faultfs.Op{Path: "file", To: "empty/moved"}, func(dir string) error {
		return os.Rename(filepath.Join(dir, "file"), filepath.Join(dir, "empty/moved"))
	}},
	{faultfs.Link, faultfs.Op{Path: "full/inside", To: "empty/linked"}, func(dir string) error {
		return os.Link(filepath.Join(dir, "full/inside"), filepath.Join(dir, "empty/linked"))
	}},
	{faultfs.Unlink, faultfs.Op{Path: "full/inside"}, func(dir string) error { return syscall.Unlink(filepath.Join(dir, "full/inside")) }},
	{faultfs.Mkdir, faultfs.Op{Path: "full/new", Mode: 0o700}, func(dir string) error { return os.Mkdir(filepath.Join(dir, "full/new"), 0o700) }},
	{faultfs.Rmdir, faultfs.Op{Path: "empty"}, func(dir string) error { return syscall.Rmdir(filepath.Join(dir, "empty")) }},
	{faultfs.Mknod, faultfs.Op{Path: "empty/pipe", Mode: syscall.S_IFIFO | 0o600}, func(dir string) error {
		return syscall.Mkfifo(filepath.Join(dir, "empty/pipe"), 0o600)
	}},
	{faultfs.SetAttr, faultfs.Op{Path: "file", Mode: 0o444}, func(dir string) error { return os.Chmod(filepath.Join(dir, "file"), 0o444) }},
}

func withFile(dir string, do func(*os.File) error) error {
	f, err := os.OpenFile(filepath.Join(dir, "file"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Close())
}

// sample makes what operations begin with.
func sample(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "file"), []byte("abcdef"), 0o600),
		os.Mkdir(filepath.Join(dir, "empty"), 0o700), os.Mkdir(filepath.Join(dir, "full"), 0o700),
		os.WriteFile(filepath.Join(dir, "full/inside"), nil, 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// look describes all that is in dir.
func look(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		var content []byte
		if err == nil && info.Mode().IsRegular() {
			content, err = os.ReadFile(path)
		}
		fmt.Fprintf(&all, "%s %s %q\n", strings.TrimPrefix(path, dir), info.Mode(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func equal(a, b faultfs.Op) bool {
	return a.Kind == b.Kind && a.Path == b.Path && a.To == b.To && a.Offset == b.Offset && a.Mode == b.Mode && bytes.Equal(a.Data, b.Data)
}

func TestEachOperationIsDoneToTheBackingDirectoryAndRecorded(t *testing.T) {
	t.Parallel()
	for _, tt := range operations {
		t.Run(tt.kind.String(), func(t *testing.T) {
			t.Parallel()
			plain, backing := sample(t), sample(t)
			mounted := faultfs.Mount(t, backing)
			var recorder faultfs.Recorder
			mounted.Record(&recorder)
			if err := errors.Join(tt.do(plain), tt.do(mounted.Dir)); err != nil {
				t.Fatal(err)
			}
			if got, want := look(t, backing), look(t, plain); got != want {
				t.Errorf("the backing directory holds\n%swant\n%s", got, want)
			}
			if got, want := look(t, mounted.Dir), look(t, plain); got != want {
				t.Errorf("the file system holds\n%swant\n%s", got, want)
			}
			want := tt.want
			want.Kind = tt.kind
			ops := recorder.Ops()
			if !tt.kind.Changes() && !tt.kind.Syncs() {
				if len(ops) > 0 {
					t.Errorf("recorded %+v, want nothing", ops)
				}
				return
			}
			if len(ops) != 1 || !equal(ops[0], want) {
				t.Errorf("recorded %+v, want %+v", ops, want)
			}
		})
	}
}

func TestAHookDecidesWhatFailsAndWhetherItIsDone(t *testing.T) {
	t.Parallel()
	for _, tt := range operations {
		for _, outcome := range []faultfs.Outcome{faultfs.NotDone, faultfs.Done} {
			t.Run(fmt.Sprint(tt.kind, outcome), func(t *testing.T) {
				t.Parallel()
				plain, backing := sample(t), sample(t)
				mounted := faultfs.Mount(t, backing)
				mounted.SetHook(func(op faultfs.Op) faultfs.Fault {
					if op.Kind == tt.kind {
						return faultfs.Fault{Errno: syscall.EDQUOT, Outcome: outcome}
					}
					return faultfs.Fault{}
				})
				if err := tt.do(mounted.Dir); !errors.Is(err, syscall.EDQUOT) {
					t.Errorf("the error is %v, want %v", err, syscall.EDQUOT)
				}
				mounted.SetHook(nil)
				if outcome == faultfs.Done {
					if err := tt.do(plain); err != nil {
						t.Fatal(err)
					}
				}
				if got, want := look(t, backing), look(t, plain); got != want {
					t.Errorf("the backing directory holds\n%swant\n%s", got, want)
				}
			})
		}
	}
}

func TestAWriteIsSeenAsItWasIssued(t *testing.T) {
	t.Parallel()
	mounted := faultfs.Mount(t, sample(t))
	var recorder faultfs.Recorder
	mounted.Record(&recorder)
	large := bytes.Repeat([]byte("moorgate"), 256<<10/8)
	err := withFile(mounted.Dir, func(f *os.File) error {
		_, err1 := f.WriteAt(large, 1)
		_, err2 := f.WriteAt([]byte("x"), 70_000)
		return errors.Join(err1, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []faultfs.Op{
		{Kind: faultfs.Write, Path: "file", Offset: 1, Data: large}, {Kind: faultfs.Write, Path: "file", Offset: 70_000, Data: []byte("x")},
	}
	ops := recorder.Ops()
	if len(ops) != 2 || !equal(ops[0], want[0]) || !equal(ops[1], want[1]) {
		t.Errorf("%d operations were recorded, or others than the two writes", len(ops))
	}
}

func TestAnOpenFileHasTheNameThatItWasGiven(t *testing.T) {
	t.Parallel()
	mounted := faultfs.Mount(t, sample(t))
	var recorder faultfs.Recorder
	mounted.Record(&recorder)
	err := withFile(mounted.Dir, func(f *os.File) error {
		err1 := os.Rename(f.Name(), filepath.Join(mounted.Dir, "full/renamed"))
		err2 := f.Sync()
		err3 := os.Rename(filepath.Join(mounted.Dir, "full"), filepath.Join(mounted.Dir, "other"))
		err4 := f.Sync()
		err5 := os.Remove(filepath.Join(mounted.Dir, "other/renamed"))
		_, err6 := f.Write([]byte("nobody sees it"))
		return errors.Join(err1, err2, err3, err4, err5, err6)
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, op := range recorder.Ops() {
		got = append(got, fmt.Sprintf("%s %q %q", op.Kind, op.Path, op.To))
	}
	want := []string{
		`rename "file" "full/renamed"`, `fsync "full/renamed" ""`, `rename "full" "other"`, `fsync "other/renamed" ""`,
		`unlink "other/renamed" ""`, `write "" ""`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

func TestOneOrderOfWritesIsRecorded(t *testing.T) {
	t.Parallel()
	backing := sample(t)
	mounted := faultfs.Mount(t, backing)
	var recorder faultfs.Recorder
	mounted.Record(&recorder)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			err := withFile(mounted.Dir, func(f *os.File) error {
				for range 20 {
					if _, err := f.WriteAt(bytes.Repeat([]byte{'0' + byte(n)}, 6), 0); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	ops := recorder.Ops()
	content, err := os.ReadFile(filepath.Join(backing, "file"))
	if err != nil || len(ops) != 160 || recorder.Len() != 160 || !bytes.Equal(content, ops[159].Data) {
		t.Errorf("%d operations; the file holds %q, not what the last one wrote; %v", len(ops), content, err)
	}
}
