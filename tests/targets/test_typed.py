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
    ("extra", "--mem=3", "target_extra_own"), ("extra", "exclusive", "target_extra"),
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
