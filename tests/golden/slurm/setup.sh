#!/bin/bash -l
#SBATCH --job-name=lfdash-abc-1
#SBATCH --chdir="/home/me/work space/saves/m/lora/it's a run/attempts/001"
#SBATCH --output=shim.log
#SBATCH --open-mode=append
#SBATCH --no-requeue
#SBATCH --signal=B:USR1@120
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:1
module load gcc || exit 1
LFDASH_SETUP=(
  'source ~/miniconda3/etc/profile.d/conda.sh'
  'conda activate '"'"'lf'"'"' # ours'
)
for LFDASH_LINE in "${!LFDASH_SETUP[@]}"; do
  eval -- "${LFDASH_SETUP[LFDASH_LINE]}" || {
    printf "\nlfdash: setup line failed (exit code %s): %s\n" "$?" "${LFDASH_SETUP[LFDASH_LINE]}" >&2
    exit 1
  }
done
unset LOCAL_RANK RANK WORLD_SIZE MASTER_PORT NNODES NODE_RANK NPROC_PER_NODE RDZV_ID FORCE_TORCHRUN USE_V1 USE_RAY USE_KT USE_MCA
export A=1
export HF_HUB_OFFLINE=1
export LLAMABOARD_ENABLED=1
export LLAMABOARD_WORKDIR='saves/m/lora/it'"'"'s a run'
exec python3 -I -S '/home/me/work space/.lfdash/supervisor/DIGEST/lfdash/supervisor/__main__.py' '/home/me/work space/saves/m/lora/it'"'"'s a run/attempts/001' -- \
  llamafactory-cli train 'saves/m/lora/it'"'"'s a run/training_args.yaml'
