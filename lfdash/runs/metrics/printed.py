"""What a trainer printed on the console beside its progress bar: a mapping for each logged step and evaluation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

LONGEST = 1 << 14  # bytes of such a mapping
LONGEST_NAME = 100
PAIR = re.compile(rb"'([^']{1,100})': '?([^',{}\[\]]+)'?(?=[,}])")
# what other columns tell, what is the same in every line, and what is of the evaluation rather than of the model
LEFT_OUT = frozenset(
    {
        "step", "epoch", "loss", "learning_rate", "reward", "num_input_tokens_seen", "total_flos", "train_loss",
        "train_runtime", "train_samples_per_second", "train_steps_per_second", "train_tokens_per_second",
        "eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_model_preparation_time",
        "eval_num_input_tokens_seen",
    }
)
SPEEDS = ("_runtime", "_samples_per_second", "_steps_per_second", "_model_preparation_time")
DECODE = msgspec.json.Decoder(dict[str, float | str]).decode


def printed(data: bytes) -> Iterator[dict[str, float]]:
    """The mappings with an epoch among whole lines of the console, each as its numbers by name.

    transformers 5 prints numbers as text of four digits, earlier ones print them as they are. LLaMA-Factory's own line
    of the same step, shorter, is passed over.
    """
    begin = data.find(b"{'")
    while begin >= 0:
        end = data.find(b"}", begin)
        if end < 0:
            return
        begin = data.rfind(b"{'", max(begin, end - LONGEST), end)  # what was begun before it never ended
        text = data[begin : end + 1] if begin >= 0 else b""
        if b"'epoch': " in text and data[begin - 3 : begin] != b">> ":
            yield numbers(text)
        begin = data.find(b"{'", end)


def numbers(text: bytes) -> dict[str, float]:
    """The numbers of a printed mapping."""
    try:
        found: Mapping[str, Any] = DECODE(text.replace(b"'", b'"'))
        return {name: float(value) for name, value in found.items()}
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):  # it has a nan, or a text
        pairs = ((name.decode("utf-8", "replace"), to_float(value)) for name, value in PAIR.findall(text))
        return {name: value for name, value in pairs if value is not None}


def to_float(text: bytes) -> float | None:
    """A printed number; None for another text."""
    try:
        return float(text)
    except ValueError:
        return None


def is_wanted(name: str) -> bool:
    """Whether a number becomes a column."""
    if name in LEFT_OUT or len(name) > LONGEST_NAME:
        return False
    return not (name.startswith("eval_") and name.endswith(SPEEDS))


def wanted(entry: Mapping[str, object]) -> list[str]:
    """The names of the numbers that become columns."""
    return [name for name in entry if is_wanted(name)]


def is_evaluation(entry: Mapping[str, object]) -> bool:
    """Whether these are the numbers of an evaluation."""
    return any(name.startswith("eval_") for name in entry)
