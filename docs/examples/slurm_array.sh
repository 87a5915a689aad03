#!/bin/bash
# Measures pictures in 20 jobs of a SLURM array, without a scheduler, then writes the tables in one more.
# From the project's folder:
#   bash docs/examples/slurm_array.sh PICTURES WORK
# PICTURES and WORK are folders that all nodes see, or addresses such as s3://bucket/plate.
#SBATCH --job-name=extract
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=02:00:00
#SBATCH --output=extract-%A-%a.log
set -euo pipefail

export OMP_NUM_THREADS=1
# copies of what lies in an object store: a disk of the node, not the home folder
export HPA_CACHE="${TMPDIR:-/tmp}/protein-locations-$USER"

if [ -z "${SLURM_JOB_ID:-}" ]; then
  # one part first: it compiles the feature loops, and what it saw in the pictures the others need not look for
  first=$(sbatch --parsable --array=1-1 --export=ALL,PARTS=20 "$0" "$@")
  others=$(sbatch --parsable --array=2-20 --export=ALL,PARTS=20 --dependency="afterok:$first" "$0" "$@")
  sbatch --dependency="afterany:$others" --export=ALL,PARTS=0 "$0" "$@"
elif [ "$PARTS" = 0 ]; then
  python run.py extract --images "$1" --work "$2" --jobs 1
else
  python run.py extract --images "$1" --work "$2" --jobs 1 --shard "$SLURM_ARRAY_TASK_ID/$PARTS"
fi
