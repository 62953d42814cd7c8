#!/usr/bin/env bash
# Build a bank with several processes, one a GPU; without a GPU by gloo.
# Usage: tools/dist_build_bank.sh CONFIG CHECKPOINT GPUS --out x.bank [...]
# For several machines set NNODES, NODE_RANK, MASTER_ADDR (and PORT).
set -euo pipefail
if [[ $# -lt 3 ]]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec bash "$HERE/dist_run.sh" build_bank.py "$3" "$1" "$2" --launcher pytorch "${@:4}"
