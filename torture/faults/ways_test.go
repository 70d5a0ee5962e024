package faults

import (
	"syscall"

	"github.com/moorgate/moorgate/torture/faultfs"
)

// Where things are in a data directory.
const (
	uploads  = "uploads/*"
	blobs    = "blobs/*/*/*"
	shards   = "blobs/*/*"
	database = "registry.db"
	log      = "registry.db-wal"
)

func at(paths ...string) []string { return paths }

func of(kinds ...faultfs.Kind) []faultfs.Kind { return kinds }

func broken(outcome faultfs.Outcome) faultfs.Fault {
	return faultfs.Fault{Errno: syscall.EIO, Outcome: outcome}
}

var (
	full     = faultfs.Fault{Errno: syscall.ENOSPC}
	halfFull = faultfs.Fault{Errno: syscall.ENOSPC, Outcome: faultfs.Half}
	readOnly = faultfs.Fault{Errno: syscall.EROFS}
)

// grows is what needs space.
var grows = of(faultfs.Write, faultfs.Create, faultfs.Mkdir, faultfs.Rename, faultfs.Link, faultfs.Allocate)

// way is a way in which a disk breaks.
type way struct {
	name string
	breaking
	quiet bool // no client need be told: it is about what is done behind them
	// Changes may be refused until a restart. What was written and is gone cannot be
	// written again, and to go on without it would build on a hole.
	stuck bool
}

// groups has all ways. Those of a group follow each other on one server.
var groups = []struct {
	name string
	load load
	slow bool // it takes megabytes until the disk is asked for what fails
	ways []way
}{
	{"blobs", mostlyBlobs, false, []way{
		{"an upload cannot be written", breaks(of(faultfs.Write), at(uploads), broken(faultfs.NotDone)), false, false},
		{"half of a piece of an upload is written", breaks(of(faultfs.Write), at(uploads), broken(faultfs.Half)), false, false},
		{"an upload cannot be created", breaks(of(faultfs.Create), at(uploads), broken(faultfs.NotDone)), false, false},
		{"an upload cannot be sealed", breaks(of(faultfs.SetAttr), at(uploads, blobs), broken(faultfs.NotDone)), false, false},
		{"a blob cannot be synced", breaks(of(faultfs.Fsync), at(uploads, blobs), broken(faultfs.NotDone)), false, false},
		{"a blob is lost by its sync", breaks(of(faultfs.Fsync), at(uploads, blobs), broken(faultfs.Lost)), false, false},
		{"the directory of a blob cannot be synced", breaks(of(faultfs.FsyncDir), at(shards), broken(faultfs.NotDone)), false, false},
		{"a blob cannot be renamed", breaks(of(faultfs.Rename), at(blobs), broken(faultfs.NotDone)), false, false},
		{"a blob is renamed, but an error comes back", breaks(of(faultfs.Rename), at(blobs), broken(faultfs.Done)), false, false},
		{"nothing can be removed", breaks(of(faultfs.Unlink), at(uploads, blobs), broken(faultfs.NotDone)), true, false},
		{"all of uploads and blobs is broken", breaks(nil, at(uploads, blobs, shards), broken(faultfs.NotDone)), false, false},
		{"no space for the bytes of uploads", breaks(of(faultfs.Write), at(uploads), halfFull), false, false},
		{"no space for the names of uploads", breaks(of(faultfs.Create), at(uploads), full), false, false},
		{"no space for the names of blobs", breaks(of(faultfs.Rename), at(blobs), full), false, false},
		{"no space for directories of blobs", breaks(of(faultfs.Mkdir), at(shards), full), false, false},
	}},
	{"metadata", anything, false, []way{
		{"the log of SQLite cannot be written", breaks(of(faultfs.Write), at(log), broken(faultfs.NotDone)), false, false},
		{"half of a page of the log of SQLite is written", breaks(of(faultfs.Write), at(log), broken(faultfs.Half)), false, false},
		{"the log of SQLite cannot be synced", breaks(of(faultfs.Fsync), at(log), broken(faultfs.NotDone)), false, false},
		{"the log of SQLite is synced, but an error comes back", breaks(of(faultfs.Fsync), at(log), broken(faultfs.Done)), false, false},
		{"the log of SQLite is lost by its sync", breaks(of(faultfs.Fsync), at(log), broken(faultfs.Lost)), false, true},
		{"no space for the log of SQLite", breaks(of(faultfs.Write), at(log), halfFull), false, false},
		{"no space for anything", breaks(grows, nil, full), false, false},
		{"no space, not even for what is there already", breaking{grows, nil, full, true}, false, false},
		{"everything is read-only", breaks(nil, nil, readOnly), false, false},
	}},
	{"database", bulky, true, []way{
		{"the database cannot be written", breaks(of(faultfs.Write), at(database), broken(faultfs.NotDone)), true, false},
		{"the database cannot be synced", breaks(of(faultfs.Fsync), at(database), broken(faultfs.NotDone)), true, false},
		{"the database is lost by its sync", breaks(of(faultfs.Fsync), at(database), broken(faultfs.Lost)), true, false},
		{"no space for metadata", breaks(grows, at(database, log), full), false, false},
	}},
}
