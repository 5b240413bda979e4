#!/usr/bin/env bash
# Replays both walk-throughs on a lab of its own and takes the lab down. `make demo` builds what it needs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export MESHLAB_STATE=${MESHLAB_STATE:-$root/.lab-demo}
cd "$root"
exec test/with-lab.sh go run ./demo
