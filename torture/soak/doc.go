// Package soak works with one server for as long as one lets it, and looks whether
// that takes more and more of the machine.
package soak
