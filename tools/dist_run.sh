#!/usr/bin/env bash
# Start a script of this folder in several processes, one a GPU; without a GPU
# they talk by gloo. The other dist_*.sh call it.
# Usage: tools/dist_run.sh SCRIPT GPUS [arguments of the script]
# For several machines set NNODES, NODE_RANK, MASTER_ADDR (and PORT).
set -euo pipefail
if [[ $# -lt 2 ]]; then
    sed -n '4,5s/^# //p' "$0" >&2
    exit 2
fi
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The package of this checkout, also where another copy is installed.
export PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$2" \
    "$HERE/$1" "${@:3}"
