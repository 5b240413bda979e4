#!/usr/bin/env bash
# Compares three ways to ask a Service from a pod, by requests per second:
#   (a) one kubectl exec per request, as people do by hand
#   (b) the walk-through's own loop in one exec
#   (c) kubectl mesh-probe
# mesh-probe must be at least 50 times (a) and not slower than (b).
#
#   with-lab.sh bench-probe.sh
#
# EXECS, LOOP and COUNT are the numbers of requests of (a), (b) and (c).
set -euo pipefail
shopt -s inherit_errexit

execs=${EXECS:-40} loop=${LOOP:-2000} count=${COUNT:-20000}
export KUBECONFIG=${MESHLAB_KUBECONFIG:?is not set; run this through with-lab.sh}
context=$(kubectl config get-contexts -o name | sed -n 1p)
work=$(mktemp -d)
trap 'rm -rf "$work"; kubectl --context "$context" delete namespace bench-probe --ignore-not-found --wait=false >/dev/null' EXIT
k() { kubectl --context "$context" -n bench-probe "$@"; }

kubectl --context "$context" create namespace bench-probe >/dev/null
k apply -f - >/dev/null <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: client}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      containers:
      - {name: client, image: meshlab/busybox}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: nginx}
spec:
  replicas: 2
  selector: {matchLabels: {app: nginx}}
  template:
    metadata: {labels: {app: nginx}}
    spec:
      containers:
      - {name: web, image: meshlab/web}
---
apiVersion: v1
kind: Service
metadata: {name: nginx}
spec:
  selector: {app: nginx}
  ports:
  - {port: 80}
YAML
k rollout status deploy/client deploy/nginx --timeout 3m >/dev/null
# The Service answers as soon as its endpoints have reached the node.
k exec deploy/client -- sh -c 'n=0; until wget -qO- nginx:80 >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 600 ] || exit 1; sleep 0.1; done'

# Prints the seconds that a command takes; what it answers goes into a file.
seconds() {
	local start=$EPOCHREALTIME
	"${@:2}" >"$work/$1"
	local end=$EPOCHREALTIME
	awk -v s="$start" -v e="$end" 'BEGIN {printf "%.3f\n", e - s}'
}

# Stops the comparison if answers are missing: a fast failure is not fast.
answers() {
	local n
	n=$(grep -c Hello "$work/$1" || true)
	((n == $2)) || { echo "($1) got $n of $2 answers" >&2; exit 1; }
}

one_by_one() {
	local i
	for ((i = 0; i < execs; i++)); do k exec deploy/client -- wget -qO- nginx:80; echo; done
}
a=$(seconds a one_by_one)
answers a "$execs"
b=$(seconds b k exec deploy/client -- sh -c "for i in \$(seq 1 $loop); do wget -qO- nginx:80; echo; done")
answers b "$loop"
c=$(seconds c kubectl mesh-probe http://nginx:80 --contexts "$context" -n bench-probe \
	--from deploy/client --count "$count" --max-rate 0 -o json)
# Complete means: every request has its record, and every record its answer.
grep -q '"complete": true' "$work/c" || { echo '(c) is not complete' >&2; exit 1; }

awk -v a="$a" -v na="$execs" -v b="$b" -v nb="$loop" -v c="$c" -v nc="$count" 'BEGIN {
	ra = na / a; rb = nb / b; rc = nc / c
	row = "%-34s %9d %9.2f %11.1f\n"
	printf "%-34s %9s %9s %11s\n", "", "REQUESTS", "SECONDS", "REQUESTS/S"
	printf row, "(a) one kubectl exec per request", na, a, ra
	printf row, "(b) a loop of wget in one exec", nb, b, rb
	printf row, "(c) kubectl mesh-probe", nc, c, rc
	printf "mesh-probe is %.0f times (a; required: at least 50), and %.2f times (b; required: at least 1)\n", rc / ra, rc / rb
	exit !(rc / ra >= 50 && rc >= rb)
}'
