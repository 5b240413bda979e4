#!/usr/bin/env bash
# Runs a command and fails if it leaves anything behind on this machine (test/machine-state.sh says what is looked at).
# Prints both sides where they differ.
#
#   test/machine-unchanged.sh COMMAND [ARG...]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$here/machine-state.sh" >"$dir/before"
status=0
"$@" || status=$?
# The kernel frees BPF objects and namespaces a moment after their last user has gone, and a busy machine takes longer.
for ((end = SECONDS + 60; SECONDS < end; )); do
	"$here/machine-state.sh" >"$dir/after"
	if cmp -s "$dir/before" "$dir/after"; then
		echo "the machine is as before: $(wc -l <"$dir/before") lines of settings, BPF objects, namespaces, mounts, cgroups and interfaces are equal"
		sed -n 's/^## \(.*not looked at.*\)/  except \1/p' "$dir/before"
		exit "$status"
	fi
	sleep 1
done
echo 'the machine is not as before (< before, > after):'
diff "$dir/before" "$dir/after" || true
exit 1
