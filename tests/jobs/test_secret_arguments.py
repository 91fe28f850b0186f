"""Tokens among the arguments: moved into their fields, or refused; never written down."""

from __future__ import annotations

import json

import pytest

from lfdash.jobs.checks import problems
from lfdash.jobs.environment import Facts
from lfdash.jobs.importing import read_config
from lfdash.jobs.job import JobConfig
from lfdash.jobs.secret_arguments import HIDDEN, clean, hide, is_secret, looks_secret, without
from lfdash.llamafactory.catalogue import load_snapshot
from tests.support.page import ROOT

TOKEN = "hf_" + "a1B2" * 9


def test_llamafactory_has_no_secret_argument_that_is_not_known() -> None:
    """Those of the snapshot whose name sounds like one, sorted by hand."""
    arguments = load_snapshot(ROOT / "configs" / "upstream.json").arguments
    secret = {"hf_hub_token", "ms_hub_token", "om_hub_token", "hub_token", "swanlab_api_key", "swanlab_lark_secret"}
    assert {name for name in arguments if is_secret(name)} == secret


@pytest.mark.parametrize("name", ["add_tokens", "skip_special_tokens", "max_new_tokens", "eos_token", "pad_token_id"])
def test_words_of_a_model_are_no_secrets(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize("name", ["wandb_token", "token", "clearml_api_key"])
def test_an_argument_that_there_is_not_may_hold_one_too(name: str) -> None:
    """The nearest argument that there is must not be offered its value: `wandb_token` is near to `add_tokens`."""
    assert clean(JobConfig("train", {}, {name: "LONGSECRET12345"})).dropped == (name,)
    told = problems(JobConfig("train", {}, {name: "LONGSECRET12345"}), Facts(arguments={}))
    assert told and "LONGSECRET12345" not in repr(told)


def test_a_token_moves_into_its_field() -> None:
    found = clean(JobConfig("train", {}, {"hf_hub_token": TOKEN, "rope_theta": 1.0}))
    assert found.job == JobConfig("train", {"top.hf_token": TOKEN}, {"rope_theta": 1.0})
    assert (found.moved, found.dropped) == (("hf_hub_token",), ())


def test_a_token_without_a_field_or_beside_another_is_dropped() -> None:
    found = clean(JobConfig("train", {"top.hf_token": "other"}, {"hub_token": TOKEN, "ms_hub_token": TOKEN}))
    assert found.job == JobConfig("train", {"top.hf_token": "other"}, {})
    assert found.dropped == ("hub_token", "ms_hub_token")
    assert clean(JobConfig("train", {}, {"hub_token": None})).dropped == ()


@pytest.mark.parametrize(
    "text",
    [
        f"model_name_or_path: m\nhf_hub_token: {TOKEN}\nswanlab_api_key: sw-0123456789\nms_hub_token: ms-0123456789\n",
        json.dumps({"hf_hub_token": TOKEN, "swanlab_api_key": "sw-0123456789", "ms_hub_token": "ms-0123456789"}),
    ],
)
def test_a_file_with_tokens_leaves_none_in_the_arguments(text: str) -> None:
    loaded = read_config(text)
    assert loaded.job.values["top.hf_token"] == TOKEN
    assert not loaded.job.extra
    assert loaded.secrets == ("hf_hub_token", "swanlab_api_key") and loaded.left_out == ("ms_hub_token",)


def test_llamaboards_extra_arguments_too() -> None:
    loaded = read_config(json.dumps({"train.extra_args": json.dumps({"hf_hub_token": TOKEN}), "top.model_name": "m"}))
    assert loaded.job.values["top.hf_token"] == TOKEN and "hf_hub_token" not in loaded.job.extra


def codes(job: JobConfig) -> list[tuple[str | None, str]]:
    found = problems(job, Facts())
    assert all(TOKEN not in str(problem.params) for problem in found)
    return [(p.field, p.code) for p in found if "secret" in p.code]


def test_a_job_with_a_token_is_refused() -> None:
    job = JobConfig("train", {"train.run_name": f"x-{TOKEN}"}, {"hub_token": "x", "om_hub_token": "y", "rope": TOKEN})
    assert codes(job) == [
        ("train.extra_args", "extra_secret_field"),
        ("train.extra_args", "extra_secret"),
        ("train.extra_args", "looks_secret"),
    ]
    field = JobConfig("train", {"top.model_path": f"https://ana:{TOKEN}@host/m"})
    assert codes(field) == [("top.model_path", "looks_secret")]
    cure = next(p.fix for p in problems(job, Facts()) if p.code == "extra_secret_field")
    assert cure == {"extra.hub_token": None, "top.hf_token": "x"}


@pytest.mark.parametrize(
    "value",
    [TOKEN, f"a {TOKEN} b", "sk-abcdefghijklmnopqrstuvwx", "ghp_" + "a" * 36, "AKIAABCDEFGHIJKLMNOP", ["a", TOKEN],
     {"a": {"b": TOKEN}}, "http://u:p@h/"],
)
def test_what_looks_like_a_token(value: object) -> None:
    assert looks_secret(value)


@pytest.mark.parametrize(
    "value",
    ["models/demo-llama", "meta-llama/Llama-3.1-8B", "hf_models", "sk-learn", "https://host:8080/a@b", 5, None, True,
     "q_proj,v_proj", "2024-01-01T10:00:00"],
)
def test_what_does_not(value: object) -> None:
    assert not looks_secret(value)


def test_what_others_wrote_is_hidden_where_it_is_shown() -> None:
    text = (
        f'model: m\nswanlab_api_key: sw-1\nhub_token: "x y"  # mine\n"train.swanlab_api_key": k\nhf_hub_token: null\n'
        f'hub_private_repo: true\nnote: {TOKEN}\n  api_key: deep\n{{\n "hub_token": "a",\n "b": 1\n}}\n'
    )
    assert hide(text) == (
        f'model: m\nswanlab_api_key: {HIDDEN}\nhub_token: {HIDDEN}\n"train.swanlab_api_key": {HIDDEN}\n'
        f"hf_hub_token: null\nhub_private_repo: true\nnote: {HIDDEN}\n  api_key: {HIDDEN}\n{{\n"
        f' "hub_token": {HIDDEN}\n "b": 1\n}}\n'
    )
    assert hide('{"a": "b", "hub_token": "x", "c": {"api_key": "y"}, "secret": ""}') == (
        f'{{"a": "b", "hub_token": {HIDDEN}, "c": {{"api_key": {HIDDEN}}}, "secret": ""}}'
    )


def test_a_stored_configuration_is_resumed_without_its_tokens() -> None:
    left, secrets = without({"a": 1, "hub_token": TOKEN, "om_hub_token": "y", "swanlab_api_key": None})
    assert (left, secrets) == ({"a": 1}, {"HF_TOKEN": TOKEN})
