// Package oci is the vocabulary of the registry: repository names, tags,
// digests, descriptors, manifests, and the errors of the distribution
// specification.
//
// Everything here is pure: no I/O, no HTTP. Sources: the OCI distribution
// specification 1.1 (and its main branch, "dev"), the OCI image specification
// 1.1, and the Docker image manifest schema 2.
package oci
