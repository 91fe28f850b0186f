"""What people type for a target, and what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lfdash.targets.fields import FIELDS
from lfdash.targets.target import Target
from lfdash.targets.typed import names, read, texts_of

WHOLE = Target(
    "lab", "slurm", cli="/opt/lf/bin/llamafactory-cli", python="python3", workspace="/shared/ws", modules=("a/1", "b"),
    setup=("source ~/conda.sh", "conda activate lf"),
    container="img.sif", runner="apptainer", slurm_conf="/etc/slurm.conf", partition="gpu", account="p", qos="q",
    constraint="a100&nvlink", time_limit="1-0", memory="64G", cpus=8, gpus=4, gpu_type="a100", nodes=2,
    env={"A": "x=y z", "B": ""}, save_s=60, resume=3, extra=("--exclusive", "--mail-type=END,FAIL"),
)


@pytest.mark.parametrize("target", [
    WHOLE, Target("lab", "slurm"), Target("r", "ray", address="http://head:8265", token_file="/home/a/token", gpus=0),
], ids=["whole", "empty", "ray"])
def test_what_is_shown_is_read_as_the_same(target: Target) -> None:
    assert read(target.name, target.kind, texts_of(target)) == target


def test_every_field_can_be_typed() -> None:
    assert {*names("slurm"), *names("ray"), "kind"} == set(FIELDS)


@pytest.mark.parametrize(("field", "text", "code"), [
    ("gpus", "many", "target_number"), ("gpus", "-1", "target_number"), ("nodes", "1.5", "target_number"),
    ("time_limit", "soon", "target_time"), ("memory", "lots", "target_memory"), ("partition", "a b", "target_text"),
    ("python", "../python", "target_path"), ("workspace", "ws", "target_path"), ("modules", "a $b", "target_words"),
    ("env", "A", "target_env"), ("env", "SLURM_X=1", "target_env"),
    ("env", "HF_TOKEN=hf_abcdefgh", "target_env_secret"),
    ("extra", "--mem=3", "target_extra_field"), ("extra", "--output=x", "target_extra_own"),
    ("extra", "--exclusive --x", "target_extra_two"), ("extra", "exclusive", "target_extra"),
    ("runner", "docker", "target_choice"),
])
def test_what_is_wrong_belongs_to_its_field(field: str, text: str, code: str) -> None:
    found: Any = read("lab", "slurm", {field: text})
    assert [(one.field, one.code) for one in found if one.code != "target_both"] == [(field, code)]


def test_all_that_is_wrong_is_told_at_once_and_what_is_missing_at_the_field_that_is() -> None:
    found: Any = read("a b", "slurm", {"container": "x.sif", "gpus": "x"})
    assert [(one.field, one.code) for one in found] == [
        ("name", "target_name"), ("gpus", "target_number"), ("runner", "target_both"),
    ]
    found = read("local", "ray", {})
    assert [(one.field, one.code) for one in found] == [("name", "target_name"), ("address", "target_both")]


def test_a_text_that_nobody_changed_keeps_its_value_as_it_is() -> None:
    """Spaces and line breaks that a text does not show."""
    before = Target("lab", "slurm", env={"A": " two\nlines=1 "}, extra=("--exclusive ",), gpus=1)
    assert read("lab", "slurm", {**texts_of(before), "gpus": "2"}, before) == replace(before, gpus=2)


def told(field: str, text: str) -> list[tuple[str, str]]:
    found: Any = read("lab", "slurm", {field: text})
    return [(one.code, str(one.params["value"])) for one in found]


def test_each_line_that_is_wrong_is_told_alone_with_the_field_that_it_has() -> None:
    text = "--exclusive\n#SBATCH --part=short\nnone\n-J x\n--wait -x n1\n#SBATCH"
    found: Any = read("lab", "slurm", {"extra": text})
    assert [(one.code, one.params["value"], one.params.get("other")) for one in found] == [
        ("target_extra_field", "--part=short", "partition"), ("target_extra", "none", None),
        ("target_extra_own", "-J x", None), ("target_extra_own", "--wait -x n1", None),
    ]
    assert told("modules", "cuda/12.4 a$b") == [("target_words", "a$b")]


def test_lines_of_a_shell_are_kept_as_they_are_and_told_of_alone() -> None:
    found = read("lab", "ray", {"address": "http://h", "setup": "#SBATCH x\n\n  a  && b # c  \nconda activate lf"})
    assert isinstance(found, Target) and found.setup == ("#SBATCH x", "a  && b # c", "conda activate lf")
    text = "good\nbad \\\nexport HF_TOKEN=hf_abcdefgh\na\u2028b"
    assert told("setup", text) == [
        ("target_setup_open", "bad \\"), ("target_setup_secret", "HF_TOKEN"), ("target_setup", "a\u2028b"),
    ]
    assert told("setup", "x\n" * 51) == [("target_setup", "…")]


def test_a_line_of_a_batch_script_is_taken() -> None:
    found = read("lab", "slurm", {"extra": "#SBATCH --exclusive\n#SBATCH   --mail-type=END"})
    assert isinstance(found, Target) and found.extra == ("--exclusive", "--mail-type=END")


def test_a_bad_name_hides_no_secret_and_both_are_named() -> None:
    found = told("env", "A\nHF_TOKEN=hf_abcdefgh\nSLURM_X=1")
    assert found == [("target_env", "A, SLURM_X"), ("target_env_secret", "HF_TOKEN")]
    both: Any = read("lab", "slurm", {"gpus": "x", "env": "HF_TOKEN=hf_abcdefgh"})
    assert [one.field for one in both] == ["gpus", "env"]
