#!/usr/bin/env bash
# Installs the Debian packages that the tests need, and those that are named as
# arguments, and only those that are missing. Needs root or a sudo without a password; without them it prints the
# command to run and fails.
set -euo pipefail

packages=(
	gcc libc6-dev    # go test -race needs cgo
	git make         # this build itself
	ca-certificates  # the Go module proxy speaks TLS
	curl             # what the documents are tried with
	apache2-utils    # htpasswd files as users make them
	busybox-static   # the one file of the images under test
	docker.io podman # engines that build, push, pull and run
	crun iptables    # what the engines run containers with
	skopeo           # a client without an engine
	postgresql       # the metadata store of more than one machine
	slapd            # a directory of people
	nginx            # a front that signs people in
	rsyslog rsyslog-openssl # a syslog server that the audit is sent to
	docker-registry  # registry 2.8: behind the gateway, and trusting our tokens
	docker-compose   # what deploy/compose.yaml is for
	"$@"
)

if ! command -v dpkg-query >/dev/null; then
	echo "packages: this is not Debian. The tests need the equivalents of: ${packages[*]}" >&2
	exit 0 # a test whose program is missing fails and names it
fi

missing=()
for package in "${packages[@]}"; do
	state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || state=
	[[ $state == installed ]] || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then
	echo "packages: nothing to install"
	exit 0
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
	as_root=(sudo -n)
	if ! sudo -n true 2>/dev/null; then
		echo "packages: these are missing and need root to install. Run:" >&2
		echo "  sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}" >&2
		exit 1
	fi
fi

# The tests start servers of their own: an engine or a database that runs
# because its package was installed is in nobody's interest. Debian's way to
# say so is a policy-rc.d that answers 101, "not allowed".
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	trap '"${as_root[@]}" rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod +x "$policy"
fi

echo "packages: installing ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
"${apt[@]}" update </dev/null
"${apt[@]}" install --yes --no-install-recommends "${missing[@]}" </dev/null
