#!/usr/bin/env bash
# Train on a Slurm cluster.
# Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of train.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS shape the job; with
# GPUS_PER_NODE=0 no GPU is asked for and GPUS counts processes.
set -euo pipefail
if [[ $# -lt 3 ]]; then
    sed -n '2,5s/^# //p' "$0" >&2
    exit 2
fi
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
GPUS=${GPUS:-4}
GPUS_PER_NODE=${GPUS_PER_NODE:-4}
CPUS_PER_TASK=${CPUS_PER_TASK:-5}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The package of this checkout, also where another copy is installed.
export PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}"
SHAPE=(--ntasks="$GPUS" --cpus-per-task="$CPUS_PER_TASK")
if [[ $GPUS_PER_NODE -gt 0 ]]; then
    SHAPE+=(--gres="gpu:$GPUS_PER_NODE" --ntasks-per-node="$GPUS_PER_NODE")
fi
# SRUN_ARGS is split into words on purpose.
# shellcheck disable=SC2086
exec srun -p "$PARTITION" --job-name="$JOB_NAME" "${SHAPE[@]}" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$HERE/train.py" "$CONFIG" \
    --launcher slurm "${@:4}"
