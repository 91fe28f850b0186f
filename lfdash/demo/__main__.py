"""`python -m lfdash.demo WORKSPACE` makes the demo: a tiny Llama with its tokenizer, and small datasets.

Offline, in seconds, and nothing that is there is made again. The only user of torch and transformers; it runs
as a program of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from lfdash.data.dataset_info import MOST, as_json
from lfdash.data.json_text import Broken, parse
from lfdash.demo import texts as demo_texts
from lfdash.files import Absent, Unreadable, read_text_file, write_text_atomic

MODEL = "demo-llama"
SPECIAL = ("<pad>", "<s>", "</s>")
NEW_CLASS, OLD_CLASS = "TokenizersBackend", "PreTrainedTokenizerFast"  # the same class; 5.0 has both names
MESSAGES = {
    "columns": {"messages": "messages", "kto_tag": "label"},
    "tags": {
        "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
        "system_tag": "system",
    },
}
# dataset -> its entry in dataset_info.json and its rows
DATASETS: dict[str, tuple[dict[str, Any], Any]] = {
    "demo_sft": ({}, demo_texts.instructions),
    "demo_chat": ({"formatting": "sharegpt"}, demo_texts.conversations),
    "demo_pairs": (
        {
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
        },
        demo_texts.pairs,
    ),
    "demo_kto": ({"formatting": "sharegpt", **MESSAGES}, demo_texts.judged),
    "demo_pt": ({"columns": {"prompt": "text"}}, demo_texts.paragraphs),
}


def make_data(folder: Path) -> None:
    """Writes the demo's datasets that are missing, and their entries into dataset_info.json beside others.

    Raises ValueError when dataset_info.json is there and is no file with a JSON mapping: it is the user's, and is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dataset_info.json"
    text = read_text_file(path, limit=MOST, follow=True)
    if isinstance(text, Unreadable):
        raise ValueError(f"{path} cannot be read ({text.reason}); it was not changed")
    known = {} if isinstance(text, Absent) else parse(text)
    if isinstance(known, Broken):
        place = f"line {known.line_in(str(text))} column {known.column_in(str(text))}"
        raise ValueError(f"{path} is not JSON ({known.reason}: {place}); it was not changed")
    if not isinstance(known, dict):
        raise ValueError(f"{path} is not a mapping of dataset names to entries; it was not changed")
    missing = {name: entry for name, (entry, _) in DATASETS.items() if name not in known}
    for name, (_, rows) in DATASETS.items():
        file = folder / f"{name}.json"
        if not file.exists():
            write(file, json.dumps(rows(), ensure_ascii=False, indent=1))
    if missing:
        entries = {name: {"file_name": f"{name}.json", **entry} for name, entry in missing.items()}
        write_text_atomic(path, as_json({**known, **entries}))


def write(path: Path, text: str) -> None:
    """Replaces a file as a whole."""
    write_text_atomic(path, text + "\n")


def corpus() -> list[str]:
    """What the tokenizer is trained on: every question and answer of the demo."""
    texts = [text for row in demo_texts.instructions() for text in (row["instruction"], row["output"])]
    return [*texts, *(row["text"] for row in demo_texts.paragraphs()), "Human:", "Assistant:"]


def make_model(folder: Path) -> None:
    """Makes the tokenizer (byte-level BPE) and a Llama of about 2 million parameters, unless they are there."""
    if (folder / "config.json").exists():
        name_tokenizer(folder)
        return
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1024, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    pad, bos, eos = SPECIAL
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, bos_token=bos, eos_token=eos, model_max_length=2048
    )
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(fast), hidden_size=192, intermediate_size=512, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=False,
        pad_token_id=fast.pad_token_id, bos_token_id=fast.bos_token_id, eos_token_id=fast.eos_token_id,
    )
    temporary = folder.with_name(f".{folder.name}.tmp")
    LlamaForCausalLM(config).save_pretrained(temporary)
    fast.save_pretrained(temporary)
    name_tokenizer(temporary)
    os.replace(temporary, folder)


def name_tokenizer(folder: Path) -> None:
    """Names the tokenizer's class as every transformers knows it; 5.0 saves a name that older ones lack."""
    path = folder / "tokenizer_config.json"
    text = read_text_file(path)
    config = parse(text) if isinstance(text, str) else None
    if isinstance(config, dict) and config.get("tokenizer_class") == NEW_CLASS:
        write(path, json.dumps({**config, "tokenizer_class": OLD_CLASS}, indent=2))


def main(argv: list[str] | None = None) -> None:
    """Makes what is missing of the demo in a workspace."""
    parser = argparse.ArgumentParser(prog="lfdash.demo", description="Makes the demo's model and datasets.")
    parser.add_argument("workspace", type=Path)
    workspace: Path = parser.parse_args(argv).workspace
    (workspace / "models").mkdir(parents=True, exist_ok=True)
    failures = []
    try:
        make_model(workspace / "models" / MODEL)
    except ModuleNotFoundError as error:  # the page alone was installed
        failures.append(f"demo: the model needs {error.name}: install lfdash with its extra [train]")
    try:
        make_data(workspace / "data")
    except ValueError as error:
        failures.append(f"demo: {error}")
    if failures:
        sys.exit("\n".join(failures))
    print(f"demo: {workspace / 'models' / MODEL} and {len(DATASETS)} datasets in {workspace / 'data'}")


if __name__ == "__main__":
    main()
