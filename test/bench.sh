#!/usr/bin/env bash
# Runs benchmarks one after the other and writes docs/performance.md: each figure with the command that printed it.
#
#   bench.sh [TARGET]...   default: every bench target; the page keeps what the others printed before
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=bin/bench
page=docs/performance.md
mkdir -p "$out"

all=(bench-start bench-svc bench-scale bench-ca bench-probe bench-go)

declare -A about=(
	[bench-start]='How fast the plugins start beside kubectl, how large they are, and kubeconfigs whose credential plugins are slow.'
	[bench-svc]='mesh-svc beside kubectl: three clusters with 10,000 Services each, then 255 clusters with a round trip of 50 ms.'
	[bench-scale]='mesh-svc over 3, 30, 255 and 511 clusters with a round trip of 50 ms, and beside kubectl in one cluster with 50,000 Services.'
	[bench-ca]='mesh-ca status, and what sync reads and plans, over 255 clusters with a round trip of 50 ms.'
	[bench-probe]='mesh-probe beside hey, the bare tool of the pod, and the shell loop of the first walk-through.'
	[bench-go]='The pure core, measured by the benchmarks of Go: prediction, check and report.'
)

targets=("$@")
((${#targets[@]})) || targets=("${all[@]}")
settings=$(env | grep -E '^(RUNS|ROUNDS|REQUESTS|TOOLS|SERVICES|MESH_SERVICES|MESH_CLUSTERS|RTT)=' | sort | tr '\n' ' ' || true)
for target in "${targets[@]}"; do
	echo "==> make $target"
	make --no-print-directory "$target" 2>&1 | tee "$out/$target.new"
	echo "$(date -u +%Y-%m-%d), \`${settings}make $target\`, $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)), $(go env GOVERSION)." >"$out/$target.when"
	mv "$out/$target.new" "$out/$target.txt"
done

{
	echo '# Performance'
	echo
	echo '<!-- Written by make bench. -->'
	echo
	echo 'Speed and memory are ratios against another tool that ran at the same time on the same machine, because the speed of a machine is'
	echo 'not a property of the code. A bound that is missed is printed as MISSED. `make bench` runs all of these and writes this page again.'
	for target in "${all[@]}"; do
		[[ -f $out/$target.when ]] || continue
		printf '\n## make %s\n\n%s\n\n%s\n\n```text\n' "$target" "${about[$target]}" "$(<"$out/$target.when")"
		# What is built and how the lab starts is not a result.
		grep -v '^\(go: downloading\|go build\|starting cluster\|env \|CGO_ENABLED\|ok  \|PASS$\|the lab started\|its processes use\|goos:\|goarch:\)' "$out/$target.txt" | sed 's/[[:space:]]*$//'
		echo '```'
	done
} >"$page.new"
mv "$page.new" "$page"
echo "$page is written"
