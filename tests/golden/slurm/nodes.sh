#!/bin/bash
#SBATCH --job-name=lfdash-abc-1
#SBATCH --chdir="/home/me/work space/saves/m/lora/it's a run/attempts/001"
#SBATCH --output=shim.log
#SBATCH --open-mode=append
#SBATCH --no-requeue
#SBATCH --signal=B:USR1@120
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gres=gpu:1
unset LOCAL_RANK RANK WORLD_SIZE MASTER_PORT NNODES NODE_RANK NPROC_PER_NODE RDZV_ID FORCE_TORCHRUN USE_V1 USE_RAY USE_KT USE_MCA
export PATH=/home/me/venv/bin:"$PATH"
export HF_HUB_OFFLINE=1
export LLAMABOARD_ENABLED=1
export LLAMABOARD_WORKDIR='saves/m/lora/it'"'"'s a run'
export FORCE_TORCHRUN=1 NNODES="$SLURM_JOB_NUM_NODES" NPROC_PER_NODE="${SLURM_GPUS_ON_NODE:-1}"
export MASTER_ADDR="${MASTER_ADDR:-$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)}"
export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
exec /home/me/venv/bin/python -I -S '/home/me/work space/.lfdash/supervisor/DIGEST/lfdash/supervisor/__main__.py' '/home/me/work space/saves/m/lora/it'"'"'s a run/attempts/001' --nodes -- \
  srun --kill-on-bad-exit=1 --wait=0 --cpus-per-task=8 /home/me/venv/bin/python -I -S '/home/me/work space/.lfdash/supervisor/DIGEST/lfdash/supervisor/__main__.py' '/home/me/work space/saves/m/lora/it'"'"'s a run/attempts/001' --node -- /home/me/venv/bin/llamafactory-cli train 'saves/m/lora/it'"'"'s a run/training_args.yaml'
