#!/usr/bin/env bash
# Runs the plugins through several versions of kubectl against a running lab.
#
#   with-lab.sh kubectl-versions.sh KUBECTL...
set -euo pipefail

: "${MESHLAB_KUBECONFIG:?is not set; run this through with-lab.sh}"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What kubectl does itself, then a read, a write and a refusal of each plugin.
scripts='kubectl|globalize|status|refused|badinput|urls'
export KUBECTL_VERSION
failed=()
for kubectl in "$@"; do
	KUBECTL_VERSION=$("$kubectl" version --client | sed -n 's/^Client Version: //p')
	echo "==> kubectl $KUBECTL_VERSION"
	PATH=$(realpath "$(dirname "$kubectl")"):$PATH test/whole-binary.sh -run "^TestScripts\$/^($scripts)\$" ./plugins/kubectl-mesh-{svc,ca,probe} ||
		failed+=("$KUBECTL_VERSION")
done
((${#failed[@]} == 0)) || { echo "failed with kubectl: ${failed[*]}" >&2; exit 1; }
