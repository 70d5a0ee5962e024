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
}

// groups has all ways. Those of a group follow each other on one server.
var groups = []struct {
	name string
	load load
	slow bool // it takes megabytes until the disk is asked for what fails
	ways []way
}{
	{"blobs", mostlyBlobs, false, []way{
		{"an upload cannot be written", breaking{of(faultfs.Write), at(uploads), broken(faultfs.NotDone)}},
		{"half of a piece of an upload is written", breaking{of(faultfs.Write), at(uploads), broken(faultfs.Half)}},
		{"an upload cannot be created", breaking{of(faultfs.Create), at(uploads), broken(faultfs.NotDone)}},
		{"an upload cannot be sealed", breaking{of(faultfs.SetAttr), at(uploads, blobs), broken(faultfs.NotDone)}},
		{"a blob cannot be synced", breaking{of(faultfs.Fsync), at(uploads, blobs), broken(faultfs.NotDone)}},
		{"a blob is lost by its sync", breaking{of(faultfs.Fsync), at(uploads, blobs), broken(faultfs.Lost)}},
		{"the directory of a blob cannot be synced", breaking{of(faultfs.FsyncDir), at(shards), broken(faultfs.NotDone)}},
		{"a blob cannot be renamed", breaking{of(faultfs.Rename), at(blobs), broken(faultfs.NotDone)}},
		{"a blob is renamed, but an error comes back", breaking{of(faultfs.Rename), at(blobs), broken(faultfs.Done)}},
		{"nothing can be removed", breaking{of(faultfs.Unlink), at(uploads, blobs), broken(faultfs.NotDone)}},
		{"all of uploads and blobs is broken", breaking{nil, at(uploads, blobs, shards), broken(faultfs.NotDone)}},
		{"no space for the bytes of uploads", breaking{of(faultfs.Write), at(uploads), halfFull}},
		{"no space for the names of uploads", breaking{of(faultfs.Create), at(uploads), full}},
		{"no space for the names of blobs", breaking{of(faultfs.Rename), at(blobs), full}},
		{"no space for directories of blobs", breaking{of(faultfs.Mkdir), at(shards), full}},
	}},
	{"metadata", anything, false, []way{
		{"the log of SQLite cannot be written", breaking{of(faultfs.Write), at(log), broken(faultfs.NotDone)}},
		{"half of a page of the log of SQLite is written", breaking{of(faultfs.Write), at(log), broken(faultfs.Half)}},
		{"the log of SQLite cannot be synced", breaking{of(faultfs.Fsync), at(log), broken(faultfs.NotDone)}},
		{"the log of SQLite is synced, but an error comes back", breaking{of(faultfs.Fsync), at(log), broken(faultfs.Done)}},
		{"the log of SQLite is lost by its sync", breaking{of(faultfs.Fsync), at(log), broken(faultfs.Lost)}},
		{"no space for the log of SQLite", breaking{of(faultfs.Write), at(log), halfFull}},
		{"no space for anything", breaking{grows, nil, full}},
		{"everything is read-only", breaking{nil, nil, readOnly}},
	}},
	{"database", bulky, true, []way{
		{"the database cannot be written", breaking{of(faultfs.Write), at(database), broken(faultfs.NotDone)}},
		{"the database cannot be synced", breaking{of(faultfs.Fsync), at(database), broken(faultfs.NotDone)}},
		{"the database is lost by its sync", breaking{of(faultfs.Fsync), at(database), broken(faultfs.Lost)}},
		{"no space for metadata", breaking{grows, at(database, log), full}},
	}},
}
