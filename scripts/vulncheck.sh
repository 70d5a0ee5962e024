#!/usr/bin/env bash
# Asks govulncheck about the module in the working directory:
# vulncheck.sh PATH-OF-GOVULNCHECK
#
# A known vulnerability in code that is reached fails, and so does a run that
# could not look at the code. A database that cannot be reached is said loudly
# and passes, so that work without a network stays possible. For a release,
# MOORGATE_REQUIRE_VULNDB=1 makes that fail too. GOVULNDB names another
# database than the default; that one has to be there.
set -uo pipefail
govulncheck=${1:?usage: vulncheck.sh PATH-OF-GOVULNCHECK}

output=$("$govulncheck" ${GOVULNDB:+-db "$GOVULNDB"} ./... 2>&1)
code=$?
printf '%s\n' "$output"

if [[ $code -eq 0 ]]; then
	exit 0
fi
if [[ $code -eq 3 ]]; then
	echo "govulncheck: FAILED: known vulnerabilities are reached, see above"
	exit 1
fi
# govulncheck has no exit code of its own for this. The text in front is its
# own, the rest is that of the HTTP client.
if [[ $output == *'govulncheck: fetching vulnerabilities: '@(Get|HTTP)* ]]; then
	echo
	echo "*** govulncheck: NOT CHECKED: its database cannot be reached ***"
	echo
	[[ ${MOORGATE_REQUIRE_VULNDB:-} != 1 ]]
	exit
fi
echo "govulncheck: FAILED: it could not look at the code (exit code $code)"
exit 1
