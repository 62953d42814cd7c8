#!/usr/bin/env bash
# Test with several processes, one a GPU; without a GPU they talk by gloo.
# Usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]
# For several machines set NNODES, NODE_RANK, MASTER_ADDR (and PORT).
set -euo pipefail
if [[ $# -lt 3 ]]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec bash "$HERE/dist_run.sh" test.py "$3" "$1" "$2" --launcher pytorch "${@:4}"
