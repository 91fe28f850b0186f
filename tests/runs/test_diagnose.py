"""The diagnosis against recorded logs of real failing and healthy runs, and against lines of our own."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from lfdash.jobs.fields import BY_ID
from lfdash.jobs.job import coerce
from lfdash.runs.diagnose import SIGNATURES, diagnose, raised, signatures
from tests.support import FIXTURES, ROOT

CONSOLES = FIXTURES / "console"
LOCALE = ROOT / "lfdash" / "locales" / "en.toml"

RECORDED = {
    "bad_dataset": ("unknown_dataset", "nope"),
    "bad_model": ("hub_unreachable", ""),
    "bf16_cpu": ("bf16", ""),
    "no_package": ("package_missing", "jieba"),
    "string_learning_rate": ("number_as_text", ""),
    "torchrun_fail": ("unknown_dataset", "nope"),
    "unknown_key": ("unknown_argument", "['not_an_arg']"),
}

LINES = {
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.": "gpu_memory",
    "CUDA out of memory. Process 7 has 41.0 GiB memory in use. Including non-PyTorch memory, this": "gpu_busy",
    "OSError: [Errno 28] No space left on device": "disk_full",
    "RuntimeError: [enforce fail] iostream error": "disk_full",
    "ValueError: Quantization is only compatible with the LoRA or OFT method.": "quantized_method",
    "ValueError: Adapter is only valid for the LoRA method.": "adapter_method",
    "ImportError: trl>=0.8.6,<=0.9.6 is required for a normal functioning of this module": "ppo_trl",
    "ValueError: Template none does not exist.": "template",
    "ValueError: File data/absent.json not found.": "data_file",
    "ValueError: Target modules {'q'} not found in the base model.": "lora_target",
    "ModuleNotFoundError: No module named 'bitsandbytes'": "package_missing",
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_failures(name: str) -> None:
    lines = (CONSOLES / f"failed_{name}.txt").read_text(errors="replace").splitlines()
    found = diagnose(lines)
    assert found is not None
    assert (found.id, found.params["what"]) == RECORDED[name]
    assert any(found.line in line for line in lines)


@pytest.mark.parametrize("path", sorted(CONSOLES.glob("healthy_*.txt")), ids=lambda path: path.stem)
def test_no_alarm_on_healthy_runs(path: Path) -> None:
    assert diagnose(path.read_text(errors="replace").splitlines()) is None


@pytest.mark.parametrize("line", LINES)
def test_known_lines(line: str) -> None:
    found = diagnose(["step 1", line, "bye"])
    assert found is not None
    assert found.id == LINES[line]


def test_a_warning_above_does_not_hide_the_exception() -> None:
    lines = [
        "FlashAttention2 has been toggled on, but it cannot be used",
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in run',
        "ValueError: Template x does not exist.",
    ]
    found = diagnose(lines)
    assert found is not None
    assert found.id == "template"


def test_the_first_rank_speaks_before_the_launcher() -> None:
    lines = [
        "[rank1]: Traceback (most recent call last):",
        '[rank1]:   File "a.py", line 1, in run',
        "[rank1]: ValueError: Cannot find valid samples",
        "Traceback (most recent call last):",
        '  File "b.py", line 2, in main',
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:",
    ]
    assert raised(lines)[0] == "ValueError: Cannot find valid samples"
    found = diagnose(lines)
    assert found is not None
    assert found.id == "no_samples"


def test_every_cause_has_a_text_and_every_text_a_cause() -> None:
    texts = tomllib.loads(LOCALE.read_text(encoding="utf-8"))["diagnosis"]
    assert set(texts) == {signature.id for signature in signatures(SIGNATURES)}


def test_every_cure_is_a_value_that_its_field_takes() -> None:
    for signature in signatures(SIGNATURES):
        for field_id, value in signature.fix.items():
            assert coerce(BY_ID[field_id], value).status == "kept", signature.id
