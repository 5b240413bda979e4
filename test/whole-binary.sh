#!/usr/bin/env bash
# Runs Go tests of whole binaries against a running lab, one package after the
# other since they share it. A skipped test fails the run.
#
#   with-lab.sh whole-binary.sh PACKAGE...
set -euo pipefail

: "${MESHLAB_KUBECONFIG:?is not set; run this through with-lab.sh}"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

go test -json -count=1 -p 1 -timeout 60m "$@" 2>&1 | go run ./test/cmd/verdict
