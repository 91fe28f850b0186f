"""Inputs after public files: what they ask for in few lines of our own, and the file that is like that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

JOB: dict[str, Any] = {
    "model_name_or_path": "Qwen/Qwen2.5-7B-Instruct", "stage": "sft", "do_train": True, "finetuning_type": "lora",
    "dataset": "demo_sft", "template": "qwen", "output_dir": "saves/m/lora/r", "logging_steps": 1, "save_steps": 1,
    "bf16": True,
}
FULL = {**JOB, "finetuning_type": "full", "output_dir": "saves/m/full/r"}
LLAMA = {**FULL, "model_name_or_path": "meta-llama/Meta-Llama-3-8B-Instruct", "template": "llama3"}
BLOCKS = {**LLAMA, "use_badam": True, "badam_switch_mode": "ascending", "badam_switch_interval": 50}
LOW_RANK = {**LLAMA, "use_galore": True, "galore_layerwise": True, "galore_target": "all", "galore_rank": 128}
LOW_RANK |= {"pure_bf16": True, "bf16": None}
EVALUATED = {"val_size": 0.1, "eval_strategy": "steps", "eval_steps": 1}


@dataclass(frozen=True)
class Public:
    """An input. source: owner/repository: the file whose shape it has. given: arguments, or a text."""

    source: str
    given: Any


# -- job files ---------------------------------------------------------------------------------------------

JOBS: dict[str, Public] = {
    # optimizers
    "galore by layers, an older name": Public(
        "hiyouga/LLaMA-Factory: examples/extras/galore/llama3_full_sft.yaml (2024)",
        {**LOW_RANK, "val_size": 0.1, "evaluation_strategy": "steps", "eval_steps": 1, "warmup_steps": 0.1}),
    "galore by layers": Public("wangzhenhan93/MeRP: examples/extras/galore/llama3_full_sft.yaml", LOW_RANK),
    "apollo by layers": Public(
        "hiyouga/LLaMA-Factory: examples/extras/apollo/llama3_full_sft.yaml",
        {**LLAMA, "use_apollo": True, "apollo_layerwise": True, "apollo_rank": 128, "apollo_scale_type": "channel",
         "gradient_accumulation_steps": 1, "pure_bf16": True, "bf16": None}),
    "a typo in the optimizer": Public(
        "hiyouga/LLaMA-Factory: examples/extras/qapollo/llama3_full_sft.yaml",
        {**LLAMA, "quse_apollo": True, "qapollo_rank": 128}),
    "badam by layers": Public(
        "lzz73/data_gen_w_model_finetune: examples/extras/badam/llama3_full_sft.yaml",
        {**BLOCKS, "badam_mode": "layer", "badam_verbose": 2}),
    "badam without a mode": Public(
        "hiyouga/LLaMA-Factory: examples/extras/badam/llama3_lora_sft.yaml",
        {**BLOCKS, "pure_bf16": True, "bf16": None, "val_size": 0.1, "evaluation_strategy": "steps", "eval_steps": 1}),
    "badam with ZeRO-3": Public(
        "hiyouga/LLaMA-Factory: examples/extras/badam/llama3_full_sft_ds3.yaml",
        {**BLOCKS, "badam_mode": "layer", "deepspeed": "examples/deepspeed/ds_z3_config.json"}),
    "muon": Public("hiyouga/LLaMA-Factory: examples/extras/muon/qwen2_full_sft.yaml", {**FULL, "use_muon": True}),
    "adam-mini": Public(
        "hiyouga/LLaMA-Factory: examples/extras/adam_mini/qwen2_full_sft.yaml",
        {**FULL, "use_adam_mini": True, **EVALUATED}),
    # packages, files, values
    "QLoRA in older words": Public(
        "JonOlsenCa/LLaMA-Factory: automation/configs/vgpt2_v3/model_options/qwen32b_qlora.yaml",
        {**JOB, "model_name_or_path": "Qwen/Qwen2.5-32B-Instruct", "quantization_bit": 4,
         "quantization_method": "bitsandbytes", "resume_from_checkpoint": False, "do_eval": True, **EVALUATED,
         "output_dir": "saves/v3_32b/sft"}),
    "ZeRO-3 of a checkout": Public(
        "JonOlsenCa/LLaMA-Factory: automation/configs/vgpt2_v3/model_options/qwen7b_full.yaml",
        {**FULL, "deepspeed": "examples/deepspeed/ds_z3_config.json", "save_only_model": True}),
    "the adapter of a stage before": Public(
        "JonOlsenCa/LLaMA-Factory: automation/configs/vgpt2_v3/stage3_kto.yaml",
        {**JOB, "stage": "kto", "dataset": "demo_kto", "adapter_name_or_path": "saves/v3/dpo", "pref_beta": 0.1}),
    "resume what is there": Public(
        "JonOlsenCa/LLaMA-Factory: automation/configs/vgpt2_v3/stage2_dpo_v2.yaml",
        {**JOB, "stage": "dpo", "dataset": "demo_pairs", "resume_from_checkpoint": True, **EVALUATED}),
    "a small Qwen3.5, quantized": Public(
        "zjykzj/llamafactory-lora-vllm: configs/cifar100_qlora_train.yaml",
        {**JOB, "model_name_or_path": "Qwen/Qwen3.5-2B", "template": "qwen3_5_nothink", "image_max_pixels": 262144,
         "quantization_method": "bitsandbytes", "quantization_bit": 4, "double_quantization": True,
         "output_dir": "models/lora/x", "resume_from_checkpoint": None}),
    "everything of another machine": Public(
        "L1F08/cus_llama_factory: qwen35_moe_test.yaml",
        {**JOB, "model_name_or_path": "/home/me/model/Qwen3_5-35B-A3B", "template": "qwen3_5_nothink",
         "flash_attn": "fa2", "report_to": "tensorboard", "deepspeed": "/home/me/ds_z3_config.json",
         "output_dir": "/home/me/out/x", **EVALUATED}),
    "steps beside epochs, no saving": Public(
        "Illumination111/Full-FT-bash-of-ktransformers-llamafactory:"
        " Qwen3.5-35B-A3B/configs/train_full_bf16_qwen35.yaml",
        {**FULL, "model_name_or_path": "/mnt/models/Qwen3.5-35B-A3B", "template": "qwen3_5", "save_strategy": "no",
         "save_steps": None, "max_steps": 15, "num_train_epochs": 100.0, "use_kt": True,
         "kt_weight_path": "/mnt/models/Qwen3.5-35B-A3B", "dataset_dir": "/mnt/data"}),
    "SimPO with Unsloth": Public(
        "Yuji181181/LLamaFactory-Unsloth-template: configs/simpo_config.yaml",
        {**JOB, "model_name_or_path": "unsloth/llama-3.2-3b-bnb-4bit", "template": "llama3", "stage": "dpo",
         "dataset": "demo_pairs", "adapter_name_or_path": "outputs/sft/checkpoint-best", "use_unsloth": True,
         "pref_loss": "simpo", "simpo_gamma": 0.5, "quantization_bit": 4, "quantization_method": "bnb",
         "output_dir": "outputs/simpo", "bf16": None, "fp16": True}),
    "FP8 without DeepSpeed": Public(
        "sbhavani/llamafactory-fp8-hopper: configs/qwen_7b_fp8_h100.yaml",
        {**FULL, "fp8": True, "fp8_backend": "te", "tf32": True, "flash_attn": "fa2", "max_steps": 50,
         "output_dir": "/workspace/checkpoints/x"}),
    "names filled in later": Public(
        "SachinKonan/LLaMA-Factory-AutoReviewer: 2_8_26/training_checklist/configs/dpo_base.yaml",
        {**FULL, "model_name_or_path": "PLACEHOLDER", "stage": "dpo", "dataset": "demo_pairs",
         "val_dataset": "demo_pairs", "val_size": 0.0, "eval_strategy": "steps", "eval_steps": 1, "flash_attn": "fa2",
         "enable_liger_kernel": True, "deepspeed": "examples/deepspeed/ds_z3_config.json",
         "gradient_checkpointing_kwargs": {"use_reentrant": False}, "output_dir": "PLACEHOLDER"}),
    "a stage of a fork, no without quotes": Public(
        "SachinKonan/LLaMA-Factory-AutoReviewer: configs/test_cls_text.yaml",
        {**FULL, "stage": "cls", "save_strategy": False, "save_steps": None}),
    "another stage of a fork": Public(
        "SachinKonan/LLaMA-Factory-AutoReviewer: configs/grpo_binary.yaml",
        {**FULL, "stage": "grpo", "grpo_beta": 0.0, "grpo_use_vllm": True, "report_to": "wandb"}),
    "a letter too many": Public(
        "orange-city/llama_factory_nli: setup/llama3_lora_sft.yaml",
        {**JOB, "model_name_or_path": "/disk/Meta-Llama-3-8B-Instruct", "template": "llama3",
         "per_device_trxain_batch_size": 1}),
    "attention of 2024": Public(
        "a torchrun script for Qwen2-VL, whose comments have the settings of 2024 (repository not known)",
        {**JOB, "model_name_or_path": "Qwen/Qwen2-VL-7B-Instruct", "template": "qwen2_vl", "image_resolution": 262144,
         "video_resolution": 16384}),
}


# -- commands ----------------------------------------------------------------------------------------------

PLAIN = "--stage sft --do_train --dataset demo_sft --finetuning_type lora --logging_steps 1 --save_steps 1 --fp16"
COMMANDS: dict[str, Public] = {
    "flash attention without a word": Public(
        "GAIR-NLP/cs2916: hw2/finetune/run.sh",
        'export BASE="/mnt/hub/qwen/Qwen1___5-0___5B"\nCUDA_VISIBLE_DEVICES=0 python \\\n  src/train_bash.py \\\n'
        f"  {PLAIN} \\\n  --model_name_or_path ${{BASE}} \\\n  --template qwen2 --flash_attn \\\n"
        "  --output_dir checkpoints/q\n"),
    "the deepspeed launcher": Public(
        "HuangXinzhe/llm_fine_tuning: fine_tune/LLaMA_factory_tutorial/lora_finetuning.sh",
        "mkdir -p ./out\nCUDA_VISIBLE_DEVICES=0,1 deepspeed --num_gpus 2 --master_port=1023 ./LF/src/train_bash.py \\\n"
        f"  --deepspeed ./configs/stage2.json {PLAIN} \\\n  --model_name_or_path Qwen/Qwen1.5-1.8B --template qwen \\\n"
        "  --output_dir ./output/model/q --use_fast_tokenizer True --overwrite_cache\n"),
    "a checkpoint of 2023": Public(
        "YerongLi/ChatGLM-Efficient-Tuning: train.sh",
        "python src/train_sft.py --do_train --checkpoint_dir 'hp/checkpoint-1400' --dataset demo_sft \\\n"
        "  --finetuning_type lora --output_dir hp --logging_steps 1 --save_steps 1 --quantization_bit 4 --fp16\n"),
    "a model at home": Public(
        "zhanshijinwat/Steel-LLM: script/run_sft.sh",
        f"# python -X faulthandler src/train_bash.py\nCUDA_VISIBLE_DEVICES=0 python src/train_bash.py {PLAIN} \\\n"
        "  --model_name_or_path /root/x/mistral --template default --lora_target q_proj,v_proj \\\n"
        "  --output_dir ./output/sft --plot_loss\n"),
    "galore in eight bits": Public(
        "hiyouga/LLaMA-Factory: examples/extras/galore/galore_adamw_8bit_bf16.sh (2024)",
        "CUDA_VISIBLE_DEVICES=0 python ../../../src/train_bash.py --stage sft --do_train \\\n"
        "  --model_name_or_path meta-llama/Llama-2-7b-hf --dataset demo_sft --template default \\\n"
        "  --finetuning_type full --use_galore --galore_target mlp,self_attn --optim adamw_8bit --pure_bf16 \\\n"
        "  --output_dir ../../../saves/L/galore/sft --logging_steps 1 --save_steps 1 --eval_steps 1 --val_size 0.1 \\\n"
        "  --evaluation_strategy steps --load_best_model_at_end\n"),
    "badam's first names": Public(
        "hiyouga/LLaMA-Factory: examples/extras/badam/sft.sh (2024)",
        "export CUDA_VISIBLE_DEVICES=0\npython ../../../src/train_bash.py --stage sft --do_train \\\n"
        "--model_name_or_path meta-llama/Llama-2-7b-hf --dataset demo_sft --template default \\\n"
        "--finetuning_type full --use_badam --switch_mode descending --badam_verbose 2 --switch_block_every 50 \\\n"
        "--output_dir ../../../saves/L/badam --logging_steps 1 --save_steps 1 --pure_bf16 \\\n\n"),
    "a vision model by its id": Public(
        "JJH12234/ScaleBench: Code/finetune/Llama-3.2-Vision.sh",
        "export NCCL_P2P_DISABLE=1\nexport CUDA_LAUNCH_BLOCKING=1\nCUDA_VISIBLE_DEVICES=3 llamafactory-cli train \\\n"
        f"  {PLAIN} \\\n  --model_name_or_path meta-llama/Llama-3.2-11B-Vision-Instruct --template mllama \\\n"
        "  --output_dir Llama-3.2-11B --optim adamw_torch\n"),
    "LlamaBoard's own command": Public(
        "fzm121516/LLaMA-Factory: myreadme.md",
        "apt install tmux\nconda create --name loki --clone torch\npip install -e .\nllamafactory-cli version\n\n"
        f"llamafactory-cli train {PLAIN.replace('--fp16', '--bf16 True')} \\\n"
        "  --model_name_or_path /data/Qwen2.5-VL-7B-Instruct --template qwen2_vl --report_to none \\\n"
        "  --output_dir saves/Qwen2.5-VL-7B-Instruct/lora/train_2025-04-08-11-21-31 --optim adamw_torch\n"),
    "eight GPUs by a variable": Public(
        "markskrkr/llamafactory_qwen_llama_sft: scripts/sft/qwen2.5_7b/dora/math/train.sh",
        "#!/bin/bash\nexport CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7\nMODEL=Qwen/Qwen2.5-7B-Instruct\nOUT=saves/q\n"
        f"FORCE_TORCHRUN=1 llamafactory-cli train \\\n  --model_name_or_path ${{MODEL}} {PLAIN} \\\n"
        "  --use_dora true --template qwen2.5 --output_dir ${OUT}\n"),
    "a whole model of the house": Public(
        "okeeper/LLaMA-Factory: qwen/train.sh",
        "MODEL_PATH=/data/hf-models/Qwen3-8B\n\n# all weights\nllamafactory-cli train \\\n"
        "  --model_name_or_path ${MODEL_PATH} --stage sft --do_train --finetuning_type full --dataset demo_sft \\\n"
        "  --template qwen3 --output_dir saves/qwen3_full_sft --logging_steps 1 --save_steps 1 --bf16\n"),
    "a merge": Public(
        "miniFranka/AI-Rabbi: merge.sh",
        "CUDA_VISIBLE_DEVICES=0 llamafactory-cli export \\\n  --model_name_or_path /root/x/Meta-Llama-3-8B \\\n"
        "  --adapter_name_or_path ./saves/L/lora/sft  \\\n  --template llama3 --finetuning_type lora \\\n"
        "  --export_dir merged --export_size 2 --export_device cpu --export_legacy_format False\n"),
    "a merge with variables": Public(
        "prepref/ai-advert: finetuning/merge.sh",
        'BASE="Qwen/Qwen2.5-0.5B"\nLORA="./lora_model/"\nRESULT="./final_model/"\n\n'
        "CUDA_VISIBLE_DEVICES=0 llamafactory-cli export --model_name_or_path $BASE --adapter_name_or_path $LORA \\\n"
        "  --template qwen --finetuning_type lora --export_dir $RESULT --export_size 2"),
    "a merge of 2024": Public(
        "TibbySHR/Financial-QA-System: src/lora/KEYWORDS_TUNING/src/scripts/export_qwen.sh",
        "CUDA_VISIBLE_DEVICES=1 python src/export_model.py \\\n  --model_name_or_path /data/models/Qwen1.5-7B/ \\\n"
        "  --template qwen --finetuning_type lora --lora_target all --export_dir merged-v3/ \\\n"
        "  --adapter_name_or_path ./saves/k/checkpoint-2000/\n"),
}

# -- files of another kind -----------------------------------------------------------------------------------

FOREIGN: dict[str, Public] = {
    "chat": Public(
        "JonOlsenCa/LLaMA-Factory: automation/configs/vgpt2_v3/inference.yaml",
        {"model_name_or_path": "Qwen/Qwen2.5-7B-Instruct", "adapter_name_or_path": "saves/v3/final", "template": "qwen",
         "finetuning_type": "lora", "temperature": 0.3, "top_p": 0.9, "max_new_tokens": 1024, "do_sample": True}),
    "inference": Public(
        "zjykzj/llamafactory-lora-vllm: configs/cifar100_infer.yaml",
        {"model_name_or_path": "Qwen/Qwen3.5-2B", "adapter_name_or_path": "models/lora/c", "template": "qwen3_5",
         "infer_backend": "huggingface", "trust_remote_code": True}),
    "the api": Public(
        "XavierZXY/LLaMA-Factory: tool/run.sh",
        "#!/bin/bash\nCUDA_VISIBLE_DEVICES=0,1 API_PORT=10080 llamafactory-cli api \\\n"
        "  --model_name_or_path Qwen/Qwen2.5-7B-Instruct --template qwen --infer_backend vllm --vllm_enforce_eager\n"),
    "vllm": Public(
        "XavierZXY/LLaMA-Factory: tool/judge.sh",
        "#!/bin/bash\n# CUDA_VISIBLE_DEVICES=2,3 llamafactory-cli api --template qwen\n"
        "CUDA_VISIBLE_DEVICES=2,3 vllm serve Qwen/Qwen2.5-7B-Instruct --port 10081 --tensor-parallel-size 2\n"),
    "accelerate with fp8": Public(
        "sbhavani/llamafactory-fp8-hopper: configs/accelerate_fp8.yaml",
        {"compute_environment": "LOCAL_MACHINE", "distributed_type": "NO", "mixed_precision": "fp8",
         "fp8_config": {"backend": "TE"}, "num_processes": 1}),
    "accelerate with FSDP 2": Public(
        "SachinKonan/LLaMA-Factory-AutoReviewer: configs/fsdp2_2gpu_config.yaml",
        {"compute_environment": "LOCAL_MACHINE", "distributed_type": "FSDP", "fsdp_config": {"fsdp_version": 2}}),
    "LLaMA-Factory's next version": Public(
        "coinmini/llamafactory-v1-qwen35-task21: examples/v1/train_lora/train_lora_task21_qwen35.yaml",
        {"model": "Qwen/Qwen3.5-4B-Instruct", "model_class": "llm", "template": "qwen3_5_nothink",
         "peft_config": {"name": "lora", "r": 16}, "dist_config": {"name": "fsdp2"},
         "train_dataset": "data/d.yaml", "output_dir": "./o", "learning_rate": 1e-4}),
    "data of the next version": Public(
        "coinmini/llamafactory-v1-qwen35-task21: data/task21_dataset.yaml",
        {"mine": {"path": "data/mine.jsonl", "source": "local", "converter": "sharegpt"}}),
    "deepspeed": Public(
        "Illumination111/Full-FT-bash-of-ktransformers-llamafactory:"
        " Qwen3.5-35B-A3B/configs/deepspeed_zero3_offload_bf16.json",
        {"train_batch_size": "auto", "train_micro_batch_size_per_gpu": "auto", "zero_optimization": {"stage": 3}}),
    "a server of somebody's own": Public(
        "SachinKonan/LLaMA-Factory-AutoReviewer: configs/serve.yaml",
        {"server": {"port": 8002}, "model": {"template": "qwen2_vl"}, "vllm": {"tensor_parallel_size": 1},
         "logging": {"level": "INFO"}}),
    "a wrapper's configuration": Public(
        "corlin/finetuning-with-llama-factory: demo_config.yaml",
        {"model": {"name": "Qwen/Qwen3-4B", "template": "qwen"}, "training": {"num_epochs": 2}, "lora": {"rank": 8},
         "data": {"max_length": 2048}, "output": {"save_steps": 100}}),
    "where to train": Public(
        "wzi8345-hue/llamafactory-training-pipeline: llamafactory_pipeline/server_config.example.yaml",
        {"ssh_target": "user@host", "ssh_port": "22", "remote_root": "/data/jobs", "docker_container": ""}),
    "ms-swift": Public(
        "modelscope/ms-swift: examples/train/tuners/galore/train_qgalore.sh",
        "# 35GiB\nCUDA_VISIBLE_DEVICES=0 \\\nswift sft \\\n  --model Qwen/Qwen2.5-7B-Instruct --train_type full \\\n"
        "  --dataset 'a#1000' --use_galore true --galore_quantization true\n"),
    "GaLore's own": Public(
        "jiaweizzhao/GaLore: scripts/benchmark_c4/llama_350m.sh",
        "torchrun --standalone --nproc_per_node 4 torchrun_main.py \\\n  --model_config llama.json --lr 0.01 \\\n"
        "  --galore_scale 0.25 --rank 256 --optimizer galore_adamw \n"),
}

# -- entries of dataset_info.json, with the rows that they are for ---------------------------------------------

ASK, SAY = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
CHAT = {"messages": [ASK, SAY]}
SHARED = {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
QA = {"instruction": "q", "input": "", "output": "a"}
ROLES = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


@dataclass(frozen=True)
class Entry:
    """An entry as somebody wrote it, and two rows as the data have them. source: as of `Public`."""

    source: str
    entry: dict[str, Any]
    rows: tuple[dict[str, Any], dict[str, Any]]


ENTRIES: dict[str, Entry] = {
    "columns that the rows do not have": Entry(
        "1320007169/medical-svs-agent: data/dataset_info.json",
        {"formatting": "sharegpt", "tags": {**ROLES, "system_tag": "system"},
         "columns": {"messages": "messages", "system": "system", "tools": "tools", "images": "images"}}, (CHAT, CHAT)),
    "tags without the role's key": Entry(
        "Evvvvvvvva/qwen-ocr: dataset_info.json",
        {"formatting": "sharegpt", "columns": {"messages": "messages"},
         "tags": {"content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}}, (CHAT, CHAT)),
    "no tags for OpenAI's turns": Entry(
        "Harris-X/text2sql_competition: dataset_info.json",
        {"formatting": "sharegpt", "columns": {"messages": "messages"}}, (CHAT, CHAT)),
    "the word of another data set": Entry(
        "5tech-ai-research/lf-tune: data/dataset_info.json",
        {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": {**ROLES, "user_tag": "human"}},
        (CHAT, CHAT)),
    "tools that nobody has": Entry(
        "LittleSadSheep/Elysian-Realm: dataset_info.json",
        {"formatting": "sharegpt", "columns": {"messages": "conversations", "system": "system", "tools": "tools"}},
        ({**SHARED, "system": "s"}, {**SHARED, "system": ""})),
    "system and history in some rows": Entry(
        "THUlqs15/llm_test: dataset_info.json",
        {"columns": {"prompt": "instruction", "query": "input", "response": "output", "system": "system",
                     "history": "history"}},
        ({**QA, "system": "s", "history": [["q", "a"]]}, {**QA, "system": None, "history": []})),
    "input and output": Entry(
        "Ashwinash27/sft-llm-team: dataset_info.json", {"columns": {"prompt": "input", "response": "output"}},
        ({"input": "q", "output": "a"}, {"input": "q", "output": None})),
    "a system turn without its tag": Entry(
        "BAIKEMARK/taletalk: data/dataset_info.json",
        {"formatting": "sharegpt", "columns": {"messages": "conversations", "system": "system"},
         "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}},
        ({**SHARED, "system": "s"},
         {"system": "s", "conversations": [{"from": "system", "value": "s"}, *SHARED["conversations"]]})),
    "pictures in no row": Entry(
        "BUAADreamer/Qwen2-VL-History: data/dataset_info.json",
        {"formatting": "sharegpt", "columns": {"messages": "messages", "images": "images"}, "tags": ROLES},
        (CHAT, CHAT)),
    "question and answer": Entry(
        "1000111-1000111/llm-cybersecurity: data/dataset_info.json",
        {"columns": {"prompt": "question", "response": "answer"}},
        ({"question": "q", "answer": "a"}, {"question": "q", "answer": "b"})),
    "pairs of answers": Entry(
        "5tech-ai-research/lf-tune: data/dataset_info.json, identity_adept_multilingual",
        {"formatting": "sharegpt", "ranking": True,
         "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}},
        ({"conversations": SHARED["conversations"][:1], "chosen": SHARED["conversations"][1],
          "rejected": SHARED["conversations"][1]},
         {"conversations": SHARED["conversations"], "chosen": SHARED["conversations"][1],
          "rejected": SHARED["conversations"][1]})),
    "questions of a benchmark": Entry(
        "KBhandari11/LLMNeuron: dataset_info.json", {"subset": ["a", "b"], "keys": ["question", "answer"]}, (QA, QA)),
}
# whole files of that name that list no data
LISTS: dict[str, Public] = {
    "rows under the name of the list": Public("Dreambuilderz/llama_factory: dataset_info.json", [SHARED, SHARED]),
    "a description of one data set": Public(
        "FrogRim/LLM-First-Robot-Control: dataset_info.json",
        {"dataset_name": "Robots", "version": "1.0.0", "total_samples": 60, "formats": {"alpaca": "for instructions"}}),
    "files on another machine": Public(
        "CUHK-AIM-Group/CE-R1: data/dataset_info.json",
        {"mine": {"file_name": "/disk/of/others/finding.json", "formatting": "sharegpt",
                  "columns": {"messages": "conversations", "videos": "videos"}}}),
}

# -- models as people name them, and the template they give with it -------------------------------------------

MODELS: dict[str, tuple[str, str]] = {  # name -> (the template given, source)
    "/data/hf-models/Qwen3-8B": ("qwen3", "okeeper/LLaMA-Factory: qwen/train.sh"),
    "Qwen/Qwen3-8B": ("qwen", "XavierZXY/LLaMA-Factory: tool/client.sh"),
    "Qwen/Qwen3.5-2B": ("qwen3_5_nothink", "zjykzj/llamafactory-lora-vllm: configs/cifar100_merge.yaml"),
    "/home/me/model/Qwen3_5-35B-A3B": ("qwen3_5_nothink", "L1F08/cus_llama_factory: qwen35_moe_test.yaml"),
    "Qwen/Qwen2.5-7B-Instruct": ("qwen2.5", "markskrkr/llamafactory_qwen_llama_sft: scripts/sft/qwen2.5_7b"),
    "Qwen/Qwen2.5-32B-Instruct": ("qwen", "JonOlsenCa/LLaMA-Factory: automation/configs/vgpt2_v3/model_options"),
    "meta-llama/Llama-3.2-11B-Vision-Instruct": ("mllama", "JJH12234/ScaleBench: Code/finetune/Llama-3.2-Vision.sh"),
    "/data/Qwen2.5-VL-7B-Instruct": ("qwen2_vl", "fzm121516/LLaMA-Factory: myreadme.md"),
    "unsloth/llama-3.2-3b-bnb-4bit": ("llama3", "Yuji181181/LLamaFactory-Unsloth-template: configs/simpo_config.yaml"),
    "Vikhrmodels/Vikhr-Qwen-2.5-0.5b-Instruct": ("qwen", "prepref/ai-advert: finetuning/merge.sh"),
    "/data/models/Qwen1.5-7B/": ("qwen", "TibbySHR/Financial-QA-System: export_qwen.sh"),
    "/mnt/hub/qwen/Qwen1___5-0___5B": ("qwen2", "GAIR-NLP/cs2916: hw2/finetune/run.sh"),
    "PLACEHOLDER_SFT_CHECKPOINT": ("qwen", "SachinKonan/LLaMA-Factory-AutoReviewer: dpo_base.yaml"),
    "Qwen/Qwen3-4B-Thinking-2507": ("qwen", "corlin/finetuning-with-llama-factory: demo_config.yaml"),
    "meta-llama/Meta-Llama-3-8B-Instruct": ("llama3", "hiyouga/LLaMA-Factory: examples/extras/galore"),
    "/root/x/mistral": ("default", "zhanshijinwat/Steel-LLM: script/run_sft.sh"),
}
