#!/usr/bin/env bash
# Train with several processes, one a GPU; without a GPU they talk by gloo.
# Usage: tools/dist_train.sh CONFIG GPUS [options of train.py]
# For several machines set NNODES, NODE_RANK, MASTER_ADDR (and PORT).
set -euo pipefail
if [[ $# -lt 2 ]]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The package of this checkout, also where another copy is installed.
export PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$HERE/train.py" "$CONFIG" --launcher pytorch "${@:3}"
