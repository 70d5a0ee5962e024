// Package powerloss says what may be on a disk after the power went: from a
// record of what a program did to its files it makes every content that a file
// system may come back with.
//
// The promises it lets the file system keep are those of fsync(2), and no more:
//
//   - What was written to a file is certain when the file has been synced. Each
//     write since then may have survived or not, whatever came after it, or in
//     part: sectors of it, or the new length with zeros.
//   - A name (of a new, renamed or removed file) is certain when its directory
//     has been synced; the sync of the file does not make it so. Each change of
//     a name since then may have survived or not. A rename is one change: the
//     file has the old name, or the new one, or, between two directories, both.
//
// A journaled file system keeps the order of the names; that is one of the cases.
// Modes, times and owners are not looked at.
package powerloss
