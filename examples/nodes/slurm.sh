#!/bin/bash
# sbatch examples/nodes/slurm.sh: a training on 8 nodes of 8 GPUs. Submitted again, or requeued, it goes on where it stopped.
#SBATCH --job-name=tokenmask
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=INT@180
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

RUN=${RUN:-runs/large}          # on a file system that all nodes see, as the corpus
CORPUS=${CORPUS:-corpora/pictures}
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

export OMP_NUM_THREADS=8                     # cores of a node by GPUs
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1  # a restart does not read the addresses of processes that are gone

# INT, three minutes before the end, is Ctrl-C: the running step ends, a checkpoint is written.
srun torchrun \
  --nnodes "$SLURM_NNODES" --nproc-per-node 8 --max-restarts 3 \
  --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$head:29500" \
  -m tokenmask train captions --corpus "$CORPUS" \
  --tokenizer text=tokenizers/text --tokenizer image=tokenizers/image --out "$RUN" \
  --set training.batch_size=1024 --set training.precision=bfloat16 \
  --set training.sharding=full --set training.gathered=bfloat16 --set training.checkpoints=sharded
