// Package conformance runs the conformance suite of the OCI distribution
// specification against moorgate. It is a module of its own, so that the suite
// is pinned without being a dependency of the product.
package conformance
