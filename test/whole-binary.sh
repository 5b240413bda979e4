#!/usr/bin/env bash
# Runs Go tests of whole binaries against a running lab, one package after the
# other since they share it. A skipped test fails the run, and so does a run in
# which nothing was tested.
#
#   with-lab.sh whole-binary.sh PACKAGE...
set -euo pipefail

: "${MESHLAB_KUBECONFIG:?is not set; run this through with-lab.sh}"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

status=0
# -v is the only way to hear of skips; what passes is left out of what is shown.
go test -count=1 -p 1 -timeout 40m -v "$@" 2>&1 | tee "$log" | grep -Ev '^ *(=== (RUN|PAUSE|CONT|NAME)|--- PASS)|\[no test files\]$|^PASS$' || status=${PIPESTATUS[0]}

count() { grep -cE "^ *--- $1: " "$log" || true; }
passed=$(count PASS) failed=$(count FAIL) skipped=$(count SKIP)
if ((skipped > 0)); then
	echo 'these tests were skipped, although the lab is there:' >&2
	grep -E '^ *--- SKIP: ' "$log" >&2
	status=1
fi
if ((passed + failed == 0)); then
	echo 'no test ran' >&2
	status=1
fi
# A package that does not build or that panics fails without a failed test.
if ((status != 0 && failed == 0)); then failed=1; fi
echo "with the lab: $passed passed, $failed failed, $skipped skipped"
exit "$status"
