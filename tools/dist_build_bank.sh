#!/usr/bin/env bash
# Build a bank with several processes, one a GPU; without a GPU by gloo.
# Usage: tools/dist_build_bank.sh CONFIG CHECKPOINT GPUS --out x.bank [...]
# For several machines set NNODES, NODE_RANK, MASTER_ADDR (and PORT).
set -euo pipefail
if [[ $# -lt 3 ]]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The package of this checkout, also where another copy is installed.
export PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$HERE/build_bank.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
