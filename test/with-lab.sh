#!/usr/bin/env bash
# Runs a command against a lab of its own and takes the lab down, whatever happens.
#
#   MESHLAB_STATE=DIR with-lab.sh [--FLAG of meshlab up]... COMMAND [ARG...]
#
# The command finds the lab by MESHLAB_KUBECONFIG (all clusters in one file) and
# MESHLAB_STATE, and the plugins, meshlab and kubectl on its PATH. KUBECONFIG is not
# set: a test says itself what it reads. MESHLAB_UP holds further flags of meshlab up.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export MESHLAB_STATE=${MESHLAB_STATE:?is the state directory of the lab}
export MESHLAB_KUBECONFIG=$MESHLAB_STATE/kubeconfig
export PATH=$root/bin:$root/bin/tools:$PATH
# What the caller has set for a lab or a kubectl of their own must not reach this one.
unset CLUSTERS KUBECONFIG KUBECTL_MESH_CONTEXTS

# The exit code is the command's; if only taking down fails, it is that.
trap 'meshlab down' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

up=()
while [[ ${1:-} == --* ]]; do
	up+=("$1")
	shift
done
meshlab up "${up[@]}" >/dev/null
# A lab with Cilium has a helm of its own.
export PATH=$MESHLAB_STATE/bin:$PATH
"$@"
