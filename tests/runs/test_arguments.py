"""The arguments of a run: the quick way of reading them says what a parser of YAML says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from lfdash.errors import ConfigError
from lfdash.jobs import yaml_format
from lfdash.runs import arguments
from lfdash.runs.arguments import parse, plain, read_arguments, single, words

NAMES = st.from_regex(r"[a-z_][a-z_0-9]{0,12}", fullmatch=True)
WORDS = st.one_of(
    st.sampled_from(["true", "no", "On", "null", "~", "1e-5", "5e-05", "1.", ".5", "0x1f", "017", "1_000", "1:30",
        "2024-01-01",
                     "a,b", "-1", "+3", ".inf", ".nan", "q_proj,v_proj", "models/x", "a: b", "'q'", "[1, 2]",
                     "{a: 1}", "-", "!x",
                     "a #b", "*x", "", "y", "n", "9" * 20, "1e400", "=", "<<", "..", "0.10", "1.5e3", "e5", "_1",
                     "1e5x"]),
    st.text(st.sampled_from("abyn0159.eE+-_,/:# "), max_size=8),
)


@given(st.lists(st.tuples(NAMES, WORDS), max_size=6))
@example([("a", "1e5"), ("a", "2")])
@example([("yes", "1")])
def test_what_is_read_quickly_is_what_yaml_says(lines: list[tuple[str, str]]) -> None:
    text = "### model\n\n" + "".join(f"{name}: {word}\n" for name, word in lines)
    quick = plain(text)
    if quick is None:
        return
    assert alike(quick, yaml_format.load(text).args), text


def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        type(one[name]) is type(other[name]) and (one[name] == other[name] or math.isnan(one[name])) for name in one
    )


@given(st.dictionaries(NAMES, st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(
    st.integers() | st.text(max_size=5), max_size=3)), max_size=6))
def test_what_a_form_writes_can_be_compared(args: dict[str, Any]) -> None:
    text = yaml_format.dump(args)
    assert parse(text) == {name: value for name, raw in yaml_format.load(text).args.items()
                           if not arguments.is_secret(name) and (value := single(raw)) is not None}


def test_a_usual_file_is_read_quickly(tmp_path: Path) -> None:
    args = {"model_name_or_path": "Qwen/Qwen2.5-7B", "stage": "sft", "do_train": True, "learning_rate": 5e-5,
        "lora_rank": 8,
            "lora_target": "q_proj,v_proj", "num_train_epochs": 3.0, "warmup_ratio": 0.1, "deepspeed": "ds_z2.json"}
    text = yaml_format.dump(args, ["made here"], {"A": "1"})
    assert plain(text) == args and parse(text) == args
    path = tmp_path / "training_args.yaml"
    path.write_text(text)
    assert read_arguments(path) == args and read_arguments(tmp_path / "none") == {}


def test_no_secret_gets_into_a_table() -> None:
    text = yaml.safe_dump({"hf_hub_token": "hf_abc", "wandb_api_key": "x", "eos_token": "</s>",
        "note": "hf_" + "a" * 34})
    assert parse(text) == {"eos_token": "</s>"}


def test_what_is_no_single_value_is_written_as_one() -> None:
    assert parse("a: [x, 2, true]\nb: {c: 1}\nd:\n- e\n- f\ng: ''\n") == {"a": "x, 2, true", "b": '{"c": 1}',
        "d": "e, f"}
    assert single(float("inf")) == "inf" and single(2**60) == str(2**60) and len(str(single("x" * 999))) == 200


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        parse("a: 1\na: 2\n")
    path = tmp_path / "a.yaml"
    path.write_text("x: 1\n" * 2)
    assert read_arguments(path) == {}
    path.write_text("x: " + "1" * (1 << 18))
    assert read_arguments(path) == {}


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (8, "8"), (3.0, "3"), (5e-05, "5e-05"), (0.1, "0.1"),
    ("a", "a")])
def test_a_value_in_words(value: arguments.Value, text: str) -> None:
    assert words(value) == text
