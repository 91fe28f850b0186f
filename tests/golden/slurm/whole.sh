#!/bin/bash -l
#SBATCH --job-name=lfdash-abc-1
#SBATCH --chdir="/shared/team/ws/saves/m/lora/it's a run/attempts/001"
#SBATCH --output=shim.log
#SBATCH --open-mode=append
#SBATCH --no-requeue
#SBATCH --signal=B:USR1@300
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=64G
#SBATCH --gres=gpu:a100:1
#SBATCH --time=1-12:00:00
#SBATCH --partition=gpu
#SBATCH --account=proj
#SBATCH --qos=long
#SBATCH --constraint="a100&nvlink"
#SBATCH --exclusive
#SBATCH --mail-type=END
module load cuda/12.4 gcc || exit 1
unset LOCAL_RANK RANK WORLD_SIZE MASTER_PORT NNODES NODE_RANK NPROC_PER_NODE RDZV_ID FORCE_TORCHRUN USE_V1 USE_RAY USE_KT USE_MCA
export PATH=/opt/lf/bin:"$PATH"
export HF_HUB_OFFLINE=1
export LLAMABOARD_ENABLED=1
export LLAMABOARD_WORKDIR='saves/m/lora/it'"'"'s a run'
exec /opt/lf/bin/python -I -S /shared/team/ws/.lfdash/supervisor/DIGEST/lfdash/supervisor/__main__.py '/shared/team/ws/saves/m/lora/it'"'"'s a run/attempts/001' -- \
  /opt/lf/bin/llamafactory-cli train 'saves/m/lora/it'"'"'s a run/training_args.yaml'
