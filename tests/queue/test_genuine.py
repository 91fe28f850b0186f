"""What this dashboard makes is started; what only a file says is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.engine.plans import prepare
from lfdash.engine.services import Project, Services
from lfdash.jobs.args import job_from_args
from lfdash.jobs.resources import ResourceRequest
from lfdash.queue.genuine import why_not_ours
from lfdash.queue.placement import Allocation
from lfdash.queue.store import QueueEntry
from lfdash.queue.turns import with_allocation
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import RunRecord
from lfdash.runs.view import Reason
from tests.support import ROOT
from tests.support.runs import plan_for, record_for

CLI = "/opt/lf/bin/llamafactory-cli"
SPACE = Path("/w")
ARGS = {
    "stage": "sft", "do_train": True, "model_name_or_path": "m", "finetuning_type": "lora", "dataset": "d",
    "report_to": "wandb", "deepspeed": "cache/ds.json", "output_dir": "saves/m/lora/r1",
}
TRAIN, EVAL, EXPORT = (
    ARGS,
    {"stage": "sft", "do_predict": True, "model_name_or_path": "m", "output_dir": "saves/m/lora/r1"},
    {"model_name_or_path": "m", "export_dir": "out", "output_dir": "saves/m/lora/r1"},
)
ENVIRONMENTS = (
    {}, {"CUDA_VISIBLE_DEVICES": "0,1", "WANDB_PROJECT": "a project"}, {"LFDASH_GPUS": "2"},
    {"USE_MODELSCOPE_HUB": "1"}, {"USE_OPENMIND_HUB": "1", "CUDA_VISIBLE_DEVICES": ""},
)


@pytest.fixture
def plan() -> LaunchPlan:
    return plan_for(SPACE, cli=CLI, secrets=("HF_TOKEN",), env={"WANDB_PROJECT": "p"})


@pytest.mark.parametrize("args", [TRAIN, EVAL, EXPORT], ids=["train", "eval", "export"])
@pytest.mark.parametrize("env", ENVIRONMENTS, ids=lambda env: "+".join(env) or "none")
def test_what_is_made_here_is_ours(tmp_path: Path, args: dict[str, object], env: dict[str, str]) -> None:
    """Before it gets its devices, after, and as it comes back from its file."""
    services = Services(Project(ROOT), tmp_path)
    made = prepare(services, job_from_args(args, env), "header")
    entry = QueueEntry.from_json(QueueEntry(made.plan, made.record, made.request, 0.0, 1.0).to_json())
    ready = with_allocation(entry.plan, entry.record, ResourceRequest(), Allocation(("0", "1")), ())
    for plan, record in ((made.plan, made.record), (entry.plan, entry.record), ready):
        assert why_not_ours(plan, record, tmp_path, services.cli_path) is None


CHAT = {"model_name_or_path": "m", "template": "t", "infer_backend": "huggingface"}


def test_a_chat_is_ours_only_on_loopback_and_with_a_key(tmp_path: Path) -> None:
    services = Services(Project(ROOT), tmp_path)
    made = prepare(services, job_from_args(CHAT, {}), "header")
    plan, record = with_allocation(made.plan, made.record, ResourceRequest(), Allocation(()), ())
    assert why_not_ours(plan, record, tmp_path, services.cli_path) is None
    assert plan.env["API_HOST"] == "127.0.0.1" and plan.env["API_PORT"].isdigit() and "API_KEY" in plan.secrets

    def odd(**changes: object) -> str:
        found = why_not_ours(replace(plan, **changes), record, tmp_path, services.cli_path)  # type: ignore[arg-type]
        return found.params["what"] if found else ""

    without = {name: value for name, value in plan.env.items() if name != "API_HOST"}
    assert odd(env={**plan.env, "API_HOST": "0.0.0.0"}) == "env: API_HOST"
    assert odd(env=without) == "env: no API_HOST"
    assert odd(env={**plan.env, "API_KEY": "known"}, secrets=()) == "env: API_KEY"
    assert odd(secrets=()) == "env: no API_KEY"
    assert odd(env={**plan.env, "API_PORT": "1; rm"}) == "env: API_PORT"


def test_a_later_attempt_is_ours(plan: LaunchPlan) -> None:
    second = replace(plan, attempt=2)
    record = record_for(plan).resumed(second)
    assert why_not_ours(second, record, SPACE, CLI) is None
    assert why_not_ours(replace(second, attempt=3), record, SPACE, CLI) == Reason("odd_job", {"what": "record"})


def test_another_place_and_another_program(plan: LaunchPlan) -> None:
    record = record_for(plan)
    assert why_not_ours(plan, record, Path("/other"), CLI) == Reason("other_workspace", {"path": "/w"})
    assert why_not_ours(plan, record, SPACE, "/venv/bin/llamafactory-cli") == Reason("other_cli", {"path": CLI})


ODD = {
    "argv": {"argv": ("/bin/sh", "-c", "id")},
    "argv, more": {"argv": (CLI, "train", "saves/m/lora/r1/training_args.yaml", "--x")},
    "argv, command": {"argv": (CLI, "webui", "saves/m/lora/r1/training_args.yaml")},
    "argv, empty": {"argv": ()},
    "argv, elsewhere": {"argv": (CLI, "train", "/tmp/training_args.yaml")},
    "path": {"path": "/tmp/evil"},
    "attempt": {"attempt": 0},
    "attempt, many": {"attempt": 10**30},
    "files: ../../x": {"files": {"training_args.yaml": "", "../../x": ""}},
    "files: no training_args.yaml": {"files": {}},
    "secrets: AWS_SECRET": {"secrets": ("AWS_SECRET",)},
    "unset: HOME": {"unset": ("HOME",)},
    "env: LD_PRELOAD": {"env": {"LD_PRELOAD": "/tmp/x.so"}},
    "env: PYTHONPATH": {"env": {"PYTHONPATH": "/tmp"}},
    "env: LLAMABOARD_WORKDIR": {"env": {"LLAMABOARD_WORKDIR": "/tmp"}},
    "env: FORCE_TORCHRUN": {"env": {"FORCE_TORCHRUN": "a b"}},
    "env: MASTER_PORT": {"env": {"MASTER_PORT": "1;id"}},
    "env: WANDB_PROJECT": {"env": {"WANDB_PROJECT": "a\0b"}},
}


@pytest.mark.parametrize("case", ODD)
def test_what_only_a_file_asks_for(plan: LaunchPlan, case: str) -> None:
    """The record says the same as the plan: whoever writes the one writes the other."""
    odd = replace(plan, **ODD[case])  # type: ignore[arg-type]
    record = RunRecord.new(odd, kind="train", name="r1", model="m", stage="sft", method="lora")
    assert why_not_ours(odd, record, SPACE, CLI) == Reason("odd_job", {"what": case.partition(",")[0]})


@pytest.mark.parametrize("change", [{"run_id": "other"}, {"attempts": "argv"}])
def test_a_record_of_something_else(plan: LaunchPlan, change: dict[str, str]) -> None:
    record = record_for(plan)
    odd = replace(record, run_id="other") if "run_id" in change else record.with_last(argv=("x",))
    assert why_not_ours(plan, odd, SPACE, CLI) == Reason("odd_job", {"what": "record"})
