#!/usr/bin/env bash
# Prints what a lab with Cilium could leave behind on this machine: settings of the kernel, BPF objects, namespaces, mounts,
# cgroups and interfaces. Two runs without a difference in between print the same.
#
#   test/machine-state.sh > before; ...; test/machine-state.sh > after; diff before after
set -euo pipefail

# What changes by itself: counters, and the rate that the kernel lowers when an interrupt of perf took long.
counters='^/proc/sys/(kernel/random/|kernel/ns_last_pid$|kernel/pty/nr$|kernel/perf_event_max_sample_rate$|fs/(file|inode|aio|dentry)-(nr|state)$|fs/.*-nr$|.*_count$|net/ipv4/route/flush$)'

section() { printf '## %s\n' "$1"; }

section 'writable settings'
find /proc/sys -type f -perm -200 2>/dev/null | grep -Ev "$counters" | sort | while read -r file; do
	# Some can only be written.
	value=$({ tr '\t\n' '  ' <"$file"; } 2>/dev/null) || continue
	printf '%s = %s\n' "${file#/proc/sys/}" "$value"
done

if ! command -v bpftool >/dev/null; then
	section 'BPF: not looked at, as bpftool is missing'
elif ! bpftool prog show >/dev/null 2>&1; then
	section 'BPF: not looked at, as bpftool fails'
else
	for kind in prog map link; do
		section "BPF: $kind"
		bpftool -j "$kind" show 2>/dev/null | tr '{' '\n' | grep -o '"id":[0-9]*\|"name":"[^"]*"' | paste -sd' ' | sed 's/"id"/\n"id"/g' | sort || true
	done
fi

section 'namespaces'
lsns --noheadings --output NS,TYPE | sort

section 'mounts'
cut -d' ' -f3- /proc/self/mountinfo | sort

section 'cgroups'
while read -r _ target type _; do
	[[ $type == cgroup2 ]] && find "$target" -type d
done </proc/mounts | sort

section 'interfaces'
find /sys/class/net -mindepth 1 -maxdepth 1 -printf '%f\n' | sort
