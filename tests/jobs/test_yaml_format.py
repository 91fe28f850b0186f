"""YAML in and out: read as OmegaConf reads it, safe against hostile files."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.errors import ConfigError
from lfdash.jobs.yaml_format import Loader, dump, load, text_of

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
LIKE_NUMBERS = (
    "5e-5",
    "1e4",
    "1_000.0",
    ".5",
    "0x10",
    "010",
    "1:30",
    "yes",
    "null",
    "2024-01-01",
    "~",
    "",
    "a: b",
    "#x",
)


@given(st.dictionaries(st.text("abc_", min_size=1, max_size=6), values, max_size=6))
@settings(deadline=None)
def test_what_is_written_is_read(args: dict[str, Any]) -> None:
    assert load(dump(args, ["title"])).args == args


@pytest.mark.parametrize("text", LIKE_NUMBERS)
def test_texts_that_look_like_something_else(text: str) -> None:
    written = dump({"value": text})
    assert load(written).args == {"value": text}
    assert yaml.safe_load(written) == {"value": text}


@pytest.mark.train_env
@pytest.mark.parametrize("value", [*LIKE_NUMBERS, 5e-5, 1e-10, 3, True, None, 1e16, [1, "a"]])
def test_omegaconf_reads_the_same(value: Any) -> None:
    omegaconf = pytest.importorskip("omegaconf")
    read = omegaconf.OmegaConf.to_container(omegaconf.OmegaConf.create(dump({"value": value})))
    assert read == {"value": value}
    assert type(read["value"]) is type(value)


def test_numbers_without_a_point_are_numbers() -> None:
    assert load("a: 5e-5\nb: 1e4\nc: 2024-01-01\nd: .inf").args == {
        "a": 5e-5,
        "b": 1e4,
        "c": "2024-01-01",
        "d": math.inf,
    }


AS_OMEGACONF = (
    "a: &x {p: 1}\nb:\n  <<: *x\n  q: 2", "a: &x {p: 1}\nb: {<<: *x, p: 2}", "<<: {a: 1}\nb: 2",
    "a: 1:30\nb: 1:30.5\nc: 190:20:30", "a: 1_0\nb: _1\nc: 1_e5\nd: .5e5\ne: +.5e5\nf: -.5\ng: ._\nh: +1e5",
    "a: 010\nb: 0x10\nc: 0b11\nd: 0o7", "a: no\nb: y\nc: off\nd: ~\ne: .nan_\nf: -.inf", "a: 2024-01-01 10:00:00",
)


@pytest.mark.train_env
@pytest.mark.parametrize("text", AS_OMEGACONF)
def test_files_are_read_as_omegaconf_reads_them(text: str) -> None:
    omegaconf = pytest.importorskip("omegaconf")
    assert load(text).args == omegaconf.OmegaConf.to_container(omegaconf.OmegaConf.create(text))


def test_own_keys_win_over_merged_ones() -> None:
    assert load("a: &x {p: 1, q: 1}\nb: {<<: *x, p: 2}").args["b"] == {"p": 2, "q": 1}


def test_nothing_in_the_header_becomes_an_argument() -> None:
    assert load(dump({"lora_rank": 8}, ["title\nlora_alpha: 64"])).args == {"lora_rank": 8}
    for line_break in ("\n", "\r", "\x85", "\u2028"):
        with pytest.raises(ConfigError, match="WANDB_PROJECT has a line break"):
            dump({"lora_rank": 8}, (), {"WANDB_PROJECT": f"a{line_break}lora_alpha: 64"})
    odd = {"WANDB_PROJECT": 'it\'s $HOME `x` #"q" \\'}
    assert load(dump({"lora_rank": 8}, (), odd)).env == odd


def test_headings_and_environment() -> None:
    text = dump({"stage": "sft", "model_name_or_path": "m", "val_size": 0.1}, ["Title"], {"A": "x y", "B": "1"})
    assert text.startswith("# Title\n# environment: A='x y' B=1\n\n### model\nmodel_name_or_path: m\n\n### method\n")
    assert load(text).env == {"A": "x y", "B": "1"}
    assert "### eval\nval_size: 0.1" in text


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("a: [1", "line 1", 1),
        ("x: 1\ny: {", "line 2", 2),
        ("- a\n- b", "mapping", None),
        ("just words", "mapping", None),
        ("a: 1\nb: 2\na: 3", "'a' is given twice", 3),
        ("1: x", "1. is not a name", None),
        ("a: !!python/object/apply:os.system ['true']", "constructor", 1),
        ("x" * 1_000_001, "larger", None),
        (BOMB, "more than", None),
        ("a: \x00", "not valid", None),
        ("? [a, b]\n: 1", "key", 1),
        ("a: " + "[" * 100_000, "brackets 100 deep", None),
        ("a: &a [*a]", "refers to itself", None),
        ("a: &a {b: [1, {c: *a}]}", "refers to itself", None),
        ("a: !!bool maybe", "not valid", None),
        ("a: !!timestamp 2024-01-01", "constructor", 1),
        ("a: !!set {x}", "constructor", 1),
        ("a: !!binary aGVsbG8=", "constructor", 1),
        ("a: \ud800", "not valid", None),
        ('a: "\\ud800"', "surrogates", None),
        ('{"a": "\\ud800"}', "surrogates", None),
        ('{"a": 1, "a": 2}', "'a' is given twice", None),
        ('{"a": ' + "[" * 100_000, "not valid", None),
        ('{\n"a": 1,\n"b": }}', "line 3", 3),
        ("a: " + "9" * 5000, "digits", None),
    ],
)
def test_hostile_and_broken_files(text: str, says: str, line: int | None) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load(text)
    assert caught.value.line == line


def test_json_and_empty_files_are_read() -> None:
    assert load('{"a": [1, 2.5], "b": null}').args == {"a": [1, 2.5], "b": None}
    assert load('\ufeff{\n\t"a": 1e-5,\n\t"b": "x\\/y"\n}').args == {"a": 1e-5, "b": "x/y"}
    assert load("{a: 1, b: 5e-5}").args == {"a": 1, "b": 5e-5}
    assert load("").args == {}
    assert load("# only a comment\n").args == {}


TABS = (
    "stage: sft\t# or dpo\nval: 1", "a:\t1\nb: \t2\t", "a: [1,\t2\t, 3]", "a: x\ty\tz", "a: x \t y",
    "{a:\t1,\n\tb: 2}", "a: \"x\ty\"\t# c", "a: x\t\n\nb: y", "a: |\n  x\ty\nb: 1", "a: &t\tx\nb: *t\t", "? a\t\n: b",
)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@pytest.mark.parametrize("text", TABS)
def test_tabs_are_taken_where_libyaml_takes_them(text: str) -> None:
    assert yaml.load(text, Loader=Loader) == yaml.load(text, Loader=yaml.CSafeLoader)


@pytest.mark.parametrize("text", ["\ta: 1", "a: 1\n\tb: 2", "a:\n\t- b", "a: x\n\ty"])
def test_a_tab_as_indentation_is_said(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert caught.value.code in ("yaml_tab", "yaml_no_colon", "yaml_indent") and caught.value.line is not None


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: b: c", "yaml_colon", 1), ("a: 1\nb\nc: 2", "yaml_no_colon", 3), ('a: 1\nb: "x\nc: 2\n', "yaml_quote", 2),
        ("a: [1,\n 2\n", "yaml_bracket", 1), ("a: 1\n  b: 2", "yaml_colon", 2), ("a:\n  b: 1\n c: 2", "yaml_indent", 3),
        ("a: @x", "yaml_start", 1), ("a: !!set {x}", "yaml_type", 1), ("a: - x", "yaml_at", 1),
        ("- {a: 1}", "not_job_rows", None), ('[{"a": 1}]', "not_job_rows", None), ("words", "no_mapping", None),
        ("- stage: sft\n- lora_rank: 8", "list", None), ("- a", "list", None),
        ("- {text: a}\n- {text: b}", "not_job_rows", None),
        ('{"a": "\\ud800"}', "half", None), ("a: " + "9" * 5000, "digits", None), ("a: !!bool maybe", "yaml", None),
    ],
)
def test_what_is_wrong_is_said_by_a_code(text: str, code: str, line: int | None) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert (caught.value.code, caught.value.line) == (code, line)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_the_encodings_of_windows(encoding: str) -> None:
    content = "stage: sft\r\ndataset: данные\r\n".encode(encoding)
    assert load(text_of(content)).args == {"stage": "sft", "dataset": "данные"}


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"ab\x00\x01\x02" * 9, "binary", None), (b"a: 1\nb: \xc4\xe3", "encoding", 2), (b"a: 1\x00", "binary", None),
        (b"x" * 1_000_001, "large", None),
    ],
)
def test_what_is_no_text(content: bytes, code: str, line: int | None) -> None:
    with pytest.raises(ConfigError) as caught:
        text_of(content)
    assert (caught.value.code, caught.value.line) == (code, line)


def test_bytes_that_are_no_text_may_stand_in_comments() -> None:
    assert load(text_of(b"# \xc4\xe3\na: 1  # \xba\xc3\n")).args == {"a": 1}
    assert load(text_of("a: \ufffd".encode())).args == {"a": "\ufffd"}  # as it stands in the file
