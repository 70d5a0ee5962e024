package sqlmeta

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	sqlite3 "modernc.org/sqlite/lib"
)

// faultDisk stands below SQLite and below the repairs. The files of the operating
// system are what a process sees; image is what the disk has: writes come there
// with a sync. A sync that fails loses them, and the next one knows nothing of
// them any more, as it is with Linux.
type faultDisk struct {
	path string // of the database

	mu      sync.Mutex
	fail    func(op, name string) error // of "write", "truncate", "sync" on "db", "wal"; nil is no error
	image   map[string][]byte
	pending map[string][]change // since the last sync
	keep    []any               // functions that SQLite has the addresses of
	memory  []byte              // for SQLite: not of the heap of Go
}

// change is a write, or if data is nil a truncation.
type change struct {
	offset int64
	data   []byte
}

// openFaulty opens a store on a disk of which failWith decides.
func openFaulty(t *testing.T, dir string) (*Store, *faultDisk) {
	t.Helper()
	return openFaultyOn(t, dir, func(map[string][]byte) {})
}

// openFaultyOn lets former say what the disk has of the files that are there. A
// log that is there has to be mended before the writer can be watched.
func openFaultyOn(t *testing.T, dir string, former func(image map[string][]byte)) (*Store, *faultDisk) {
	t.Helper()
	d := &faultDisk{path: filepath.Join(dir, "meta.db"), image: map[string][]byte{}, pending: map[string][]change{}}
	d.makeMemory(t)
	d.readFiles(t)
	hadLog := d.image["wal"] != nil
	former(d.image)
	s, err := openSQLiteOn(t.Context(), d.disk(), SQLite{Path: d.path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.failWith(nil)
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if !hadLog {
		d.readFiles(t)
	}
	d.hook(t, s)
	return s, d
}

// makeMemory lasts until the store is closed.
func (d *faultDisk) makeMemory(t *testing.T) {
	t.Helper()
	var err error
	if d.memory, err = syscall.Mmap(-1, 0, os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.keep = nil
		if err := syscall.Munmap(d.memory); err != nil {
			t.Error(err)
		}
	})
}

// readFiles takes the files for what the disk has.
func (d *faultDisk) readFiles(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range []string{"db", "wal"} {
		content, err := os.ReadFile(d.file(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		d.image[name], d.pending[name] = content, nil
	}
}

func (d *faultDisk) file(name string) string {
	if name == "db" {
		return d.path
	}
	return d.path + "-" + name
}

func (d *faultDisk) failWith(fail func(op, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

// change notes a change that the file is about to get, unless it fails.
func (d *faultDisk) change(op, name string, c change) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if err := d.fail(op, name); err != nil {
			return err
		}
	}
	d.pending[name] = append(d.pending[name], c)
	return nil
}

func (d *faultDisk) sync(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	changes := d.pending[name]
	d.pending[name] = nil
	if d.fail != nil {
		if err := d.fail("sync", name); err != nil {
			return err
		}
	}
	d.image[name] = apply(d.image[name], changes)
	return nil
}

func apply(image []byte, changes []change) []byte {
	image = append([]byte{}, image...)
	for _, c := range changes {
		end := int(c.offset) + len(c.data)
		if grow := end - len(image); grow > 0 {
			image = append(image, make([]byte, grow)...)
		}
		if c.data == nil {
			image = image[:end]
		}
		copy(image[c.offset:], c.data)
	}
	return image
}

// cutPower writes what the disk has into a directory, and those of the changes
// under way that chance lets come through. It returns the path of the database.
func (d *faultDisk) cutPower(t *testing.T, chance *rand.Rand) string {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	path := filepath.Join(t.TempDir(), "meta.db")
	for name, image := range d.image {
		var through []change
		for _, c := range d.pending[name] {
			if chance != nil && chance.IntN(2) == 0 {
				through = append(through, c)
			}
		}
		to := strings.Replace(d.file(name), d.path, path, 1)
		if err := os.WriteFile(to, apply(image, through), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// kill copies the files as another process would find them.
func (d *faultDisk) kill(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "meta.db")
	for _, name := range []string{"db", "wal"} {
		content, err := os.ReadFile(d.file(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(strings.Replace(d.file(name), d.path, path, 1), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// disk is what the repairs use.
func (d *faultDisk) disk() disk {
	on := osDisk()
	on.open = func(path string) (file, error) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		name := "db"
		if strings.HasSuffix(path, "-wal") {
			name = "wal"
		}
		return &faultFile{File: f, disk: d, name: name}, err
	}
	return on
}

type faultFile struct {
	*os.File
	disk *faultDisk
	name string
}

var _ io.WriterAt = (*faultFile)(nil)

func (f *faultFile) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.disk.change("write", f.name, change{offset, append([]byte{}, p...)}); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, offset)
}

func (f *faultFile) Truncate(size int64) error {
	if err := f.disk.change("truncate", f.name, change{offset: size}); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultFile) Sync() error { return f.disk.sync(f.name) }

// methods is sqlite3_io_methods: a version and functions
// (https://sqlite.org/c3ref/io_methods.html).
type methods [19]uintptr

const (
	xWrite    = 3
	xTruncate = 4
	xSync     = 5
)

// tables is what SQLite gets in memory.
type tables struct {
	found   uintptr // answer of sqlite3_file_control
	db, wal methods
}

// hook puts d between the connection of the writer and its files. There is no
// other way to make a sync of SQLite fail without a file system of our own.
func (d *faultDisk) hook(t *testing.T, s *Store) {
	t.Helper()
	mem := (*tables)(unsafe.Pointer(&d.memory[0]))
	err := s.engine.(*sqliteEngine).writer.session.conn.Raw(func(conn any) error {
		d.hookFile("db", filePointer(conn, sqlite3.SQLITE_FCNTL_FILE_POINTER, &mem.found), &mem.db)
		d.hookFile("wal", filePointer(conn, sqlite3.SQLITE_FCNTL_JOURNAL_POINTER, &mem.found), &mem.wal)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// filePointer asks a connection of the driver for one of its sqlite3_file.
func filePointer(conn any, which int32, found *uintptr) uintptr {
	fields := reflect.ValueOf(conn).Elem()
	tls := fields.FieldByName("tls")
	tls = reflect.NewAt(tls.Type(), unsafe.Pointer(tls.UnsafeAddr())).Elem()
	reflect.ValueOf(sqlite3.Xsqlite3_file_control).Call([]reflect.Value{
		tls, reflect.ValueOf(uintptr(fields.FieldByName("db").Uint())), reflect.ValueOf(uintptr(0)),
		reflect.ValueOf(which), reflect.ValueOf(uintptr(unsafe.Pointer(found))),
	})
	return *found
}

func (d *faultDisk) hookFile(name string, f uintptr, ours *methods) {
	table := (**methods)(address(f))
	*ours = **table
	write, truncate := method3(ours[xWrite]), method1(ours[xTruncate])
	hookedWrite := func(tls, f, p uintptr, n int32, offset int64) int32 {
		data := append([]byte{}, unsafe.Slice((*byte)(address(p)), n)...)
		if err := d.change("write", name, change{offset, data}); err != nil {
			return code(err, sqlite3.SQLITE_IOERR_WRITE)
		}
		return write(tls, f, p, n, offset)
	}
	hookedTruncate := func(tls, f uintptr, size int64) int32 {
		if err := d.change("truncate", name, change{offset: size}); err != nil {
			return code(err, sqlite3.SQLITE_IOERR_TRUNCATE)
		}
		return truncate(tls, f, size)
	}
	hookedSync := func(_, _ uintptr, _ int32) int32 { return code(d.sync(name), sqlite3.SQLITE_IOERR_FSYNC) }
	ours[xWrite] = *(*uintptr)(unsafe.Pointer(&hookedWrite))
	ours[xTruncate] = *(*uintptr)(unsafe.Pointer(&hookedTruncate))
	ours[xSync] = *(*uintptr)(unsafe.Pointer(&hookedSync))
	d.keep = append(d.keep, hookedWrite, hookedTruncate, hookedSync)
	*table = ours
}

// The functions of C that the driver has are functions of Go by their address.
func method3(f uintptr) func(tls, f, p uintptr, n int32, offset int64) int32 {
	return *(*func(tls, f, p uintptr, n int32, offset int64) int32)(unsafe.Pointer(&f))
}

func method1(f uintptr) func(tls, f uintptr, size int64) int32 {
	return *(*func(tls, f uintptr, size int64) int32)(unsafe.Pointer(&f))
}

// address is memory of C.
func address(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

func code(err error, other int32) int32 {
	switch {
	case err == nil:
		return sqlite3.SQLITE_OK
	case errors.Is(err, syscall.ENOSPC):
		return sqlite3.SQLITE_FULL
	default:
		return other
	}
}
