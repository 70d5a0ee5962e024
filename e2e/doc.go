// Package e2e holds the tests in which real clients prove the registry: the
// Docker engine, podman, skopeo, crane, oras, regctl and helm log in, push,
// pull and compare what they get back, against the real moorgate program: the
// registry, the gateway in front of registries of others, and the token server
// that registries of others trust.
//
// The tests need Linux, root (for the Docker engine and podman), the Debian
// packages of "make packages" (docker.io, podman, skopeo, docker-registry,
// busybox-static and more) and the Go tools that "make tools" builds into
// .cache/bin. What is missing fails the tests. They use the loopback only, no
// image from elsewhere, 4 GiB under TMPDIR, and leave nothing behind.
package e2e
