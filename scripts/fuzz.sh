#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for a short time
# each: fuzz.sh 5s. New failing inputs are left in testdata/fuzz, to be fixed
# and committed as seeds.
set -euo pipefail
fuzztime=${1:?usage: fuzz.sh DURATION}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Go before 1.27 sometimes reports the end of -fuzztime itself as a failure
# (go.dev/issue/75804). Such a run has found nothing, and is not counted as a
# pass either: it is run again.
fuzz() {
	local target=$1 dir=$2 try
	for try in 1 2 3; do
		if go test -run='^$' -fuzz="^$target\$" -fuzztime="$fuzztime" "$dir" >"$log" 2>&1; then
			grep '^ok' "$log" | sed "s/\$/\t$target/"
			return 0
		fi
		if ! grep -q 'context deadline exceeded' "$log" || grep -q 'Failing input written' "$log"; then
			break
		fi
		echo "fuzz: $target: the fuzzer tripped over its own deadline, try $try of 3" >&2
	done
	cat "$log"
	return 1
}

# Assigned first, looped over after: a failure inside the head of a "for" is
# lost, and a package that does not compile would count as one without targets.
dirs=$(grep -rl --include='*_test.go' '^func Fuzz' cmd internal | xargs dirname | sort -u) || {
	echo "fuzz: found no targets, which cannot be right" >&2
	exit 1
}
targets=0 failed=0
for dir in $dirs; do
	if ! go test -list='^Fuzz' "./$dir" >"$log" 2>&1; then
		cat "$log"
		failed=$((failed + 1))
		continue
	fi
	for target in $(sed -n '/^Fuzz/p' "$log"); do
		targets=$((targets + 1))
		fuzz "$target" "./$dir" || failed=$((failed + 1))
	done
done
echo "fuzz: $targets targets, $failed failed, $fuzztime each"
[[ $failed -eq 0 ]]
