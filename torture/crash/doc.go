// Package crash kills the server under load, again and again, and looks whether
// anything that it had acknowledged is gone.
package crash
