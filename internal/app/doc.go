// Package app puts Moorgate together: it opens the back ends that a
// configuration names, wires them to the gate, and runs the servers until told
// to stop. It is the only package that knows them all.
package app
