#!/usr/bin/env bash
# Runs benchmarks one after the other and writes docs/performance.md: each figure with the command that printed it.
#
#   bench.sh [TARGET]...   default: every bench target; the page keeps what the others printed before
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
page=docs/performance.md
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

all=(bench-start bench-svc bench-scale bench-ca bench-probe bench-go)

declare -A about=(
	[bench-start]='How fast the plugins start beside kubectl, how large they are, and kubeconfigs whose credential plugins are slow.'
	[bench-svc]='mesh-svc beside kubectl: three clusters with 10,000 Services each, then 255 clusters with a round trip of 50 ms.'
	[bench-scale]='mesh-svc over 3, 30, 255 and 511 clusters with a round trip of 50 ms, and beside kubectl in one cluster with 50,000 Services.'
	[bench-ca]='mesh-ca status, and what sync reads and plans, over 255 clusters with a round trip of 50 ms.'
	[bench-probe]='mesh-probe beside hey, the bare tool of the pod, and the shell loop of the first walk-through.'
	[bench-go]='The pure core, measured by the benchmarks of Go: prediction, check and report.'
)

# What the page has of a target: its text between the heading and the next one.
kept() {
	[[ ! -f $page ]] || awk -v h="## make $1" '$0 == h { on = 1; next } /^## / { on = 0 } on' "$page" | sed '1{/^$/d}' | sed '${/^$/d}'
}

# The rows of the tables of a text which have what was measured, its bound and the result, for the table of all figures.
rows() {
	awk -v target="$1" '
		function cut(from, to) { t = substr($0, from, to - from); gsub(/^ +| +$/, "", t); gsub(/\|/, "\\|", t); return t }
		/^MEASURED .*BOUND .*RESULT/ { bound = index($0, "BOUND"); result = index($0, "RESULT"); next }
		/^```$/ || !NF { bound = 0 }
		bound { printf "| %s | %s | %s | `make %s` |\n", cut(1, bound), cut(bound, result), cut(result, 1000), target }'
}

# The page has what was printed now, else what it had.
write() {
	local target
	for target in "${all[@]}"; do
		[[ -f $new/$target ]] || kept "$target" >"$new/$target"
	done
	{
		echo '# Performance'
		echo
		echo '<!-- Written by make bench. -->'
		echo
		echo 'Speed and memory are ratios against another tool that ran at the same time on the same machine, because the speed of a machine is'
		echo 'not a property of the code. A bound that is missed is printed as MISSED. `make bench` runs all of these and writes this page again; `test/bench.sh bench-ca` runs one and'
		echo 'renews its section.'
		echo
		echo '## Figures with a bound'
		echo
		echo '| measured | bound | result | command |'
		echo '|---|---|---|---|'
		for target in "${all[@]}"; do rows "$target" <"$new/$target"; done
		echo
		echo 'The bound of a command over many clusters is the longer of two times: twice the slowest of the smallest runs, and the CPU time of the command and of the servers,'
		echo 'divided by the cores. No run can be shorter than the second one, so from about 100 clusters on the factor says how much of the time the cores were not busy: until the'
		echo 'mesh of the current context is known, only one cluster can be asked.'
		for target in "${all[@]}"; do
			[[ -s $new/$target ]] || printf '\n`make %s` was not measured yet.\n' "$target"
		done
		for target in "${all[@]}"; do
			[[ ! -s $new/$target ]] || { printf '\n## make %s\n\n' "$target" && cat "$new/$target"; }
		done
	} >"$new/page"
	cp "$new/page" "$page"
}

targets=("$@")
((${#targets[@]})) || targets=("${all[@]}")
for target in "${targets[@]}"; do
	[[ -n ${about[$target]:-} ]] || { echo "error: $target is not one of: ${all[*]}" >&2 && exit 1; }
done
settings=$(env | grep -E '^(RUNS|ROUNDS|REQUESTS|TOOLS|SERVICES|MESH_SERVICES|MESH_CLUSTERS|RTT)=' | sort | tr '\n' ' ' || true)
failed=()
for target in "${targets[@]}"; do
	echo "==> make $target"
	make --no-print-directory "$target" 2>&1 | tee "$new/printed" || { failed+=("$target") && continue; }
	{
		printf '%s\n\n' "${about[$target]}"
		printf '%s, `%smake %s`, %s cores (%s), %s.\n\n```text\n' "$(date -u +%Y-%m-%d)" "$settings" "$target" "$(nproc)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(go env GOVERSION)"
		# What is built and how the lab starts is not a result.
		grep -v '^\(go: downloading\|go build\|starting cluster\|env \|CGO_ENABLED\|ok  \|PASS$\|the lab started\|its processes use\|goos:\|goarch:\)' "$new/printed" | sed 's/[[:space:]]*$//'
		echo '```'
	} >"$new/$target"
	write # a target that fails loses nothing of the others
done
((${#failed[@]} == 0)) || { echo "failed: ${failed[*]}" >&2 && exit 1; }
echo "$page is written"
