// Package faults breaks the disk below the server under load, in one way after the
// other, and looks at what the server answers meanwhile and what it has afterwards.
package faults
