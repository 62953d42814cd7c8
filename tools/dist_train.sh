#!/usr/bin/env bash
# Train with several processes, one a GPU; without a GPU they talk by gloo.
# Usage: tools/dist_train.sh CONFIG GPUS [options of train.py]
# For several machines set NNODES, NODE_RANK, MASTER_ADDR (and PORT).
set -euo pipefail
if [[ $# -lt 2 ]]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec bash "$HERE/dist_run.sh" train.py "$2" "$1" --launcher pytorch "${@:3}"
