// Package faultfs is a file system for tests: it shows what a directory holds,
// asks a hook before each operation, and can record all that changes.
package faultfs
