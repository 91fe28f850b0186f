"""A program: what LLaMA-Factory's own converters and processors make of rows, one at a time and together.

`python converted_rows.py CASES.json` reads a list of {entry, rows, stage}; prints one JSON list of {each, all}:
`each`: for every row "used", "left" or "stops: <error>"; `all`: how many rows come out of all of them together, or
"stops: <error>". The rows are one table first, as after LLaMA-Factory's loader.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    cases = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    document, sys.stdout = sys.stdout, sys.stderr
    logging.disable(logging.CRITICAL)
    tokenizer = words()
    json.dump([answered(case, tokenizer) for case in cases], document)


def words() -> Any:
    """A tokenizer of a few tokens."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    model = Tokenizer(WordLevel({"<unk>": 0, "<eos>": 1, "<pad>": 2}, unk_token="<unk>"))
    model.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=model, unk_token="<unk>", eos_token="<eos>", pad_token="<pad>")


def answered(case: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    """What LLaMA-Factory makes of one case."""
    from datasets import Dataset
    from llamafactory.data.converter import get_dataset_converter
    from llamafactory.data.loader import _get_dataset_processor
    from llamafactory.data.parser import DatasetAttr
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments

    data_args = DataArguments(template="default", cutoff_len=64)
    attr = DatasetAttr("file", dataset_name="x")
    attr.join(case["entry"])
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    stage = "rm" if case["stage"] == "dpo" else case["stage"]
    processor = _get_dataset_processor(data_args, stage, template, tokenizer, None)
    table = Dataset.from_list(case["rows"])
    converter = get_dataset_converter(attr.formatting, attr, data_args)
    converted = [attempt(lambda row=row: converter(row)) for row in table]
    each = [row if isinstance(row, str) else kept(processor, [row]) for row in converted]
    failed = next((row for row in converted if isinstance(row, str)), None)
    together = failed or kept(processor, converted)
    return {"each": [count if isinstance(count, str) else ("left", "used")[count] for count in each], "all": together}


def kept(processor: Any, rows: list[dict[str, Any]]) -> Any:
    """How many rows a processor keeps."""
    batch = {name: [row[name] for row in rows] for name in rows[0]}
    found = attempt(lambda: processor.preprocess_dataset(batch))
    if isinstance(found, str):
        return found
    return max((len(column) for column in found.values()), default=0)


def attempt(call: Any) -> Any:
    """What a call gives; "stops: <error>" for an exception."""
    failures = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)
    try:
        return call()
    except failures as error:
        return f"stops: {type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
