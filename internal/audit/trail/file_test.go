package trail_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moorgate/moorgate/internal/audit/trail"
)

// files returns the names in the folder of a file.
func files(t testing.TB, of string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(of))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, filepath.Join(filepath.Dir(of), e.Name()))
	}
	return names
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whoever has an answer finds its record: there is no waiting for it.
func TestRecordIsThereAtOnce(t *testing.T) {
	t.Parallel()
	c := config(t)
	r := open(t, c)
	for i := range 10 {
		r.done(t, fmt.Sprint(i))
		if got := users(t, c.File.Path); len(got) != i+1 {
			t.Fatalf("%d records, want %d", len(got), i+1)
		}
	}
	info, err := os.Stat(c.File.Path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if dir, err := os.Stat(filepath.Dir(c.File.Path)); err != nil || dir.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", dir.Mode(), err)
	}
}

// Many write while the file is rotated, compressed, renamed by others and opened
// anew: each record is there once, and whole.
func TestNoRecordIsLostOrTorn(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.File.MaxSize, c.File.Keep = 64<<10, 0
	r := open(t, c)
	const writers, each = 8, 1000
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				r.done(t, fmt.Sprintf("%d/%d", w, i))
				if w > 0 || i%200 > 0 {
					continue
				}
				// As logrotate does. A rotation may have taken the file.
				_ = os.Rename(c.File.Path, fmt.Sprintf("%s.%d", c.File.Path, i))
				if err := r.Reopen(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	r.end(t)
	compressed(t, c.File.Path)
	all := files(t, c.File.Path)
	zipped := func(name string) bool { return strings.HasSuffix(name, ".gz") }
	if !slices.ContainsFunc(all, zipped) {
		t.Errorf("nothing was rotated and compressed: %q", all)
	}
	count := map[string]int{}
	for _, user := range users(t, all...) {
		count[user]++
	}
	for w := range writers {
		for i := range each {
			if user := fmt.Sprintf("%d/%d", w, i); count[user] != 1 {
				t.Errorf("%s: %d records", user, count[user])
			}
		}
	}
}

// compressed waits until all rotated files are: those who close a trail do not.
func compressed(t *testing.T, file string) {
	t.Helper()
	await(t, "the rotated files are compressed", func() bool {
		for _, pattern := range []string{"audit-2026112*Z.log", "audit-2026112*.tmp"} {
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), pattern)); err != nil || len(left) > 0 {
				return false
			}
		}
		return true
	})
}

func TestRotation(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.File.MaxSize, c.File.Keep = 64<<10, 2
	others := []string{
		strings.Replace(c.File.Path, "audit.log", "audit-mine.log", 1),
		strings.Replace(c.File.Path, "audit.log", "audit-20260101T000000.000000Z.txt", 1),
		strings.Replace(c.File.Path, "audit.log", "other-20260101T000000.000000Z.log", 1),
	}
	for _, other := range others {
		write(t, other, "not ours")
	}
	begun := strings.Replace(c.File.Path, "audit.log", "audit-20260101T000000.000000Z.log.gz.tmp", 1)
	write(t, begun, "of a crash")
	write(t, c.File.Path+".new", "of a crash")
	r := open(t, c)
	for i := range 2000 { // of about 160 bytes
		r.clock.add(time.Second)
		r.done(t, fmt.Sprint(i))
	}
	r.end(t)
	compressed(t, c.File.Path)
	rotated := slices.DeleteFunc(files(t, c.File.Path), func(name string) bool {
		return name == c.File.Path || slices.Contains(others, name)
	})
	if len(rotated) != 2 || !strings.HasSuffix(rotated[0], "Z.log.gz") || !strings.HasSuffix(rotated[1], "Z.log.gz") {
		t.Errorf("rotated files: %q", rotated)
	}
	list := users(t, append(rotated, c.File.Path)...)
	var want []string
	for i := 2000 - len(list); i < 2000; i++ {
		want = append(want, fmt.Sprint(i))
	}
	if diff := cmp.Diff(want, list); diff != "" || len(list) < 800 {
		t.Errorf("the last %d records (-want +got):\n%s", len(list), diff)
	}
	for _, name := range append(rotated, c.File.Path) {
		info, err := os.Stat(name)
		if err != nil || info.Size() > 64<<10 || info.Mode() != 0o600 {
			t.Errorf("%s: %v", name, info)
		}
	}
}

func TestOldFilesGo(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.File.MaxAge, c.File.Compress = 48*time.Hour, false
	at := func(stamp string) string { return strings.Replace(c.File.Path, "audit.log", "audit-"+stamp+".log", 1) }
	old, zipped, recent := at("20261125T175959.000000Z"), at("20261125T000000.000000Z")+".gz", at("20261125T180001.000000Z")
	for _, name := range []string{old, zipped, recent} {
		write(t, name, "")
	}
	r := open(t, c)
	await(t, "the old files go", func() bool { return len(files(t, c.File.Path)) == 2 })
	if got := files(t, c.File.Path); got[0] != recent {
		t.Errorf("%q", got)
	}
	// Also without a rotation or a start.
	r.clock.add(2 * time.Hour)
	r.done(t, "alice")
	await(t, "the other one goes", func() bool { return len(files(t, c.File.Path)) == 1 })
}

// The end of a line that a crash has cut off is not that of the next one.
func TestAfterACrash(t *testing.T) {
	t.Parallel()
	c := config(t)
	write(t, c.File.Path, `{"v":1,"user":"before"}`+"\n"+`{"v":1,"us`)
	r := open(t, c)
	r.done(t, "after")
	r.done(t, "later")
	lines := strings.Split(string(readAll(t, c.File.Path)), "\n")
	if len(lines) != 5 || lines[1] != `{"v":1,"us` || !strings.Contains(lines[2], "after") || !strings.Contains(lines[3], "later") {
		t.Errorf("%q", lines)
	}
}

func TestReopenAfterARename(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.File.MaxSize = 0
	r := open(t, c)
	r.done(t, "one")
	if err := os.Rename(c.File.Path, c.File.Path+".1"); err != nil {
		t.Fatal(err)
	}
	r.done(t, "two") // it is still the same file
	if err := r.Reopen(); err != nil {
		t.Fatal(err)
	}
	r.done(t, "three")
	if err := r.Reopen(); err != nil { // nothing was renamed
		t.Fatal(err)
	}
	r.done(t, "four")
	if diff := cmp.Diff([]string{"one", "two", "three", "four"}, users(t, c.File.Path+".1", c.File.Path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := users(t, c.File.Path+".1"); len(got) != 2 {
		t.Errorf("%q in the renamed file", got)
	}
}

// A name that cannot be opened any more costs no record.
func TestReopenThatFails(t *testing.T) {
	t.Parallel()
	c := config(t)
	r := open(t, c)
	if err := os.Rename(c.File.Path, c.File.Path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(c.File.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.Reopen(); err == nil || !strings.Contains(err.Error(), "goes on in the file that was open") {
		t.Errorf("%v", err)
	}
	r.done(t, "alice")
	if got := users(t, c.File.Path+".1"); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// Where the rotated file cannot get its name, the file grows.
func TestRotationThatFails(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.File.MaxSize = 64 << 10
	r := open(t, c)
	if err := os.MkdirAll(filepath.Join(c.File.Path+".new", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		r.done(t, fmt.Sprint(i))
	}
	if got := users(t, c.File.Path); len(got) != 1000 {
		t.Errorf("%d records", len(got))
	}
	if n := strings.Count(r.log.String(), "cannot rotate the audit"); n != 1 {
		t.Errorf("told %d times:\n%s", n, r.log.String())
	}
	if err := os.RemoveAll(c.File.Path + ".new"); err != nil {
		t.Fatal(err)
	}
	r.clock.add(2 * time.Minute)
	r.done(t, "more")
	if got := users(t, c.File.Path); len(got) != 1 {
		t.Errorf("%d records in a new file", len(got))
	}
}

// Two servers with one file would rotate it under each other.
func TestOneServerForAFile(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.File.MaxSize = 64 << 10
	r := open(t, c)
	locked := func(what string) {
		t.Helper()
		_, err := trail.Open(c, trail.Options{Now: time.Now})
		if err == nil || !strings.Contains(err.Error(), "give each a file of its own") {
			t.Errorf("%s: %v", what, err)
		}
	}
	locked("at first")
	for range 2 {
		if err := r.Reopen(); err != nil {
			t.Fatal(err)
		}
		locked("opened anew")
	}
	for i := range 600 {
		r.done(t, fmt.Sprint(i))
	}
	if n := len(users(t, c.File.Path)); n >= 600 {
		t.Errorf("it was not rotated: %d records", n)
	}
	locked("rotated")
	r.end(t)
	open(t, c)
}

func TestFilesThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "file"), "")
	for path, want := range map[string]string{
		dir:                               "no regular file",
		filepath.Join(dir, "fifo"):        "no regular file",
		filepath.Join(dir, "file", "log"): "not a directory",
		"/proc/none/audit.log":            "no such file or directory", // where root may write, by access(2)
	} {
		c := trail.Default()
		c.File.Path = path
		if _, err := trail.Open(c, trail.Options{Now: time.Now}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open %s: %v", path, err)
		}
		if found := trail.Probe(c); len(found) != 1 || found[0].Err == nil && !strings.HasPrefix(path, "/proc") {
			t.Errorf("probe %s: %v", path, found)
		}
	}
}

func TestProbeChangesNothing(t *testing.T) {
	t.Parallel()
	c := config(t)
	if found := trail.Probe(c); found[0].Err != nil || !strings.HasPrefix(found[0].Found, "it can be made in ") {
		t.Errorf("%v", found)
	}
	if _, err := os.Stat(filepath.Dir(c.File.Path)); !os.IsNotExist(err) {
		t.Errorf("it made the folder: %v", err)
	}
	r := open(t, c)
	r.done(t, "alice")
	if found := trail.Probe(c); found[0].Err != nil || !strings.Contains(found[0].Found, "can be written") {
		t.Errorf("%v", found)
	}
	r.done(t, "bob") // the lock is still ours
	if got := users(t, c.File.Path); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

// A file behind a symbolic link is rotated where it is, and the link stays.
func TestFileBehindALink(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.File.MaxSize, c.File.Compress = 64<<10, false
	there := filepath.Join(t.TempDir(), "there.log")
	write(t, there, "")
	if err := os.MkdirAll(filepath.Dir(c.File.Path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(there, c.File.Path); err != nil {
		t.Fatal(err)
	}
	r := open(t, c)
	for i := range 1000 {
		r.done(t, fmt.Sprint(i))
	}
	if err := r.Reopen(); err != nil {
		t.Error(err)
	}
	r.done(t, "last")
	old, err := filepath.Glob(filepath.Join(filepath.Dir(there), "there-*.log"))
	if err != nil || len(old) < 1 {
		t.Fatalf("rotated files %q, %v\n%s", old, err, r.log.String())
	}
	if got := len(users(t, append(old, c.File.Path)...)); got != 1001 {
		t.Errorf("%d records", got)
	}
	if to, err := os.Readlink(c.File.Path); err != nil || to != there {
		t.Errorf("the link leads to %s, %v", to, err)
	}
}

func TestLinkToNothing(t *testing.T) {
	t.Parallel()
	c := trail.Default()
	c.File.Path = filepath.Join(t.TempDir(), "audit.log")
	if err := os.Symlink("nowhere", c.File.Path); err != nil {
		t.Fatal(err)
	}
	const want = "is a symbolic link to a file that does not exist"
	if _, err := trail.Open(c, trail.Options{Now: time.Now}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("open: %v", err)
	}
	if found := trail.Probe(c); len(found) != 1 || found[0].Err == nil || !strings.Contains(found[0].Err.Error(), want) {
		t.Errorf("probe: %v", found)
	}
}
