"""A program: LLaMA-Factory's own parser on jobs, without a GPU and without optional packages.

`python parse_presets.py JOBS.json` prints one JSON object: name -> "" or what the parser said. What is stood
in for: the distributions of STUBS (named, empty), a GPU that computes in bf16, and being one rank of torchrun.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

STUBS = {"deepspeed": "0.16.9", "bitsandbytes": "0.48.0", "galore_torch": "1.0"}


def stand_in() -> None:
    """Puts empty packages of the names and versions that the checks ask for on the path."""
    folder = Path(tempfile.mkdtemp())
    for name, version in STUBS.items():
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f'__version__ = "{version}"\n')
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    sys.path.insert(0, str(folder))


def main() -> None:
    jobs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    document, sys.stdout = sys.stdout, sys.stderr
    stand_in()
    os.chdir(Path(sys.argv[1]).parent)
    from llamafactory.hparams import parser
    from transformers import TrainingArguments
    from transformers.training_args import ParallelMode

    parser.is_torch_bf16_gpu_available = lambda: True  # type: ignore[attr-defined]
    one_rank = property(lambda self: ParallelMode.DISTRIBUTED if self.deepspeed else ParallelMode.NOT_PARALLEL)
    TrainingArguments.parallel_mode = one_rank  # type: ignore[method-assign, assignment]
    said: dict[str, str] = {}
    for name, args in jobs.items():
        said[name] = verdict(parser, {**args, "use_cpu": True})
    json.dump(said, document)


def verdict(parser: Any, args: dict[str, Any]) -> str:
    """What the parser says to a job; "" when it takes it."""
    try:
        parser.get_train_args(args)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the verdict
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    main()
