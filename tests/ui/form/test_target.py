"""The field of the form that says where a job runs, and what it does to the rest of the form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine import context, plans
from lfdash.engine.defaults import fit_to_machine
from lfdash.engine.forecast import Forecast, Room, forecast
from lfdash.engine.lacking import lacking
from lfdash.engine.loading import job_for_run
from lfdash.engine.memory import world_of
from lfdash.engine.services import Services
from lfdash.jobs import checks
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import EVALUATING, SERVING
from lfdash.outcomes import Refused
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView, Saved
from lfdash.targets.target import Target
from lfdash.ui.form import sidebar, state
from lfdash.ui.form.origin import PRESET_PICK
from lfdash.ui.launch.actions import PROBLEMS
from lfdash.ui.launch.memory import figure_words, gib
from lfdash.ui.shared.keyed import NOTHING, ROOM
from lfdash.ui.shared.text import markdown_safe, pair, t
from lfdash.ui.targets.words import row_words, summary
from tests.support import app as pages
from tests.support.form_page import demo

LAB = Target("lab", "slurm", cli="/opt/llamafactory-cli", partition="gpu", gpus=4, nodes=2, time_limit="1:00:00")
FIELD, COUNT, COMPUTE = "train.target", "train.gpu_count", "train.compute_type"


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """On a machine without a GPU."""
    monkeypatch.setattr(state, "FRESH_S", -1.0)
    with demo(tmp_path / "workspace", monkeypatch) as found:
        yield found


@pytest.fixture
def lab(services: Services) -> Services:
    assert services.registry.targets.put(LAB, None) is None
    return services


def opened() -> AppTest:
    """The page with the group of the devices open."""
    app = pages.start()
    app.session_state["open_devices"] = True
    return pages.good(app.run())


def fields(app: AppTest) -> set[str]:
    kinds = ("text_input", "selectbox", "multiselect", "button_group")
    return {(item.key or "").strip() for kind in kinds for item in app.get(kind)}


def said(app: AppTest) -> str:
    return "\n".join(str(item.value) for kind in ("caption", "warning", "markdown") for item in app.sidebar.get(kind))


def choose(app: AppTest, key: str, value: str) -> AppTest:
    """Chooses in a list; "" what stands for nothing."""
    pages.widget(app, "selectbox", key).set_value(value)
    pages.good(app.run())  # of its fragment
    return pages.good(app.run())


def on(app: AppTest, name: str | None) -> AppTest:
    app.session_state[FIELD] = name
    return pages.good(app.run())


def test_without_a_target_nothing_is_there(services: Services) -> None:
    app = opened()
    assert FIELD not in fields(app) and "train.devices" in fields(app)
    app.session_state[sidebar.FILTER] = "target"
    assert FIELD not in fields(pages.good(app.run())), "nor does the filter find it"


@pytest.mark.parametrize(("gpus", "words"), [
    (4, "as the target says: 4 per node"), (0, "as the target says: 0 per node"),
    (None, "1 per node: the target does not say"),
])
def test_an_empty_number_of_gpus_says_how_many_there_will_be(lab: Services, gpus: int | None, words: str) -> None:
    assert lab.registry.targets.put(replace(LAB, gpus=gpus), LAB) is None or gpus == LAB.gpus
    app = opened()
    on(app, "lab")
    assert pages.widget(app, "text_input", COUNT).placeholder == words


def test_a_target_takes_the_place_of_this_machines_devices(lab: Services) -> None:
    app = opened()
    assert {FIELD, "train.devices", COUNT} <= fields(app)
    on(app, "lab")
    assert not {"train.devices", "train.gpu_fits"} & fields(app) and COUNT in fields(app)
    assert markdown_safe(pair("lab", row_words(LAB))) in said(app)
    assert markdown_safe(t("target.unjudged", button=t("targets.button"))) in said(app)
    placeholder = pages.widget(app, "text_input", COUNT).placeholder
    assert placeholder == t("target.gpu_default", count=4)
    (bar,) = [item.value for item in app.sidebar.caption if "effective batch" in str(item.value)]
    assert bar.startswith(t("target.foot", target="lab")) and app.button(key="start").help == t(
        "target.start_help", target="lab"
    )


def test_what_this_machine_had_decided_is_taken_back(lab: Services) -> None:
    """bf16 is not switched off because a login node has no GPU; it is again for a job that runs here."""
    app = choose(opened(), PRESET_PICK, "sft_lora")
    assert app.session_state[COMPUTE] == "fp32" and t("ui.note_cpu_compute", was="bf16") in said(app)
    choose(app, FIELD, f"lab{ROOM}")
    assert app.session_state[COMPUTE] == "bf16" and t("ui.note_cpu_compute", was="bf16") not in said(app)
    choose(app, FIELD, NOTHING)
    assert app.session_state[COMPUTE] == "fp32" and t("ui.note_cpu_compute", was="bf16") in said(app)


def test_a_chosen_target_stays_with_another_preset_which_is_not_fitted_to_this_machine(lab: Services) -> None:
    app = choose(opened(), FIELD, f"lab{ROOM}")
    choose(app, PRESET_PICK, "sft_lora")
    assert app.session_state[FIELD] == "lab" and app.session_state[COMPUTE] == "bf16"
    assert FIELD not in app.session_state["train.form.baseline"], "it is the user's own, and is marked as such"


def test_a_target_that_is_gone_is_a_problem_with_a_way_out(lab: Services) -> None:
    app = opened()
    on(app, "lab")
    assert lab.registry.targets.remove("lab", lab.registry.targets.read().rows["lab"]) is None
    pages.good(app.run())
    assert FIELD in fields(app), "what it holds is still to be seen"
    assert any("lab" in str(item.value) and "targets" in str(item.value) for item in app.sidebar.markdown)
    assert app.session_state[FIELD] == "lab"


def test_the_name_of_a_target_in_a_file_is_no_markdown(lab: Services) -> None:
    app = opened()
    on(app, "![x](http://else.where/y)")
    assert [button.key for button in app.button if "![x](" in str(button.help)] == []
    assert "else.where" in str(app.button(key="start").help)


def test_start_is_possible_where_only_the_target_can(lab: Services) -> None:
    able = Target("able", "slurm", cli="/opt/llamafactory-cli")
    assert lab.registry.targets.put(able, None) is None
    with mock.patch.object(Services, "blocked", Refused("blocked_platform")):
        app = opened()
        assert app.button(key="start").disabled
        assert not on(app, "able").button(key="start").disabled


def test_memory_says_what_is_not_known_there(lab: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Room("GPU 0", 8 << 30, 16 << 30)
    monkeypatch.setattr("lfdash.engine.forecast.rooms_of", lambda services, request: (here,))
    values = {"top.model_path": "Qwen/Qwen2.5-0.5B", "train.dataset": ["demo_sft"], "train.gpu_count": 2}
    job = JobConfig("train", values).on("lab")
    assert world_of(lab, job) == 4, "two on each of two nodes"
    assert world_of(lab, JobConfig("train", {}).on("lab")) == 8, "as many as the target says"
    for gpus, world in ((None, 2), (0, 1)):
        assert lab.registry.targets.put(replace(LAB, gpus=gpus), lab.registry.targets.read().rows["lab"]) is None
        assert world_of(lab, JobConfig("train", {}).on("lab")) == world
    assert lab.registry.targets.put(LAB, lab.registry.targets.read().rows["lab"]) is None
    found = forecast(lab, job)
    assert isinstance(found, Forecast) and found.rooms == () and found.target == "lab" and found.verdict is None
    assert figure_words(found) == t(
        "target.memory_foot", need=gib(found.foretold.estimate.driver), target="lab"
    )
    mine = forecast(lab, job.on(""))
    assert isinstance(mine, Forecast) and mine.rooms == (here,) and mine.target == ""


REPORT = {
    "host": "n1", "cli": "/opt/lf/bin/llamafactory-cli", "interpreter": "/opt/lf/bin/python",
    "packages": {"llamafactory": "0.9.4", "torch": "2.9", "transformers": "4.57.1"},
    "torch": {"cuda": "12.4", "bf16": False, "gpus": [
        {"name": "Tesla V100-SXM2-32GB", "memory": 32 << 30}, {"name": "Tesla V100-SXM2-16GB", "memory": 16 << 30},
    ]},
}


def tested(services: Services, target: Target = LAB, **changes: Any) -> None:
    """As if *Test this target* had found that."""
    services.target_tests.files.save(target, 1.0, {**REPORT, **changes}, None)


@pytest.fixture
def plain(lab: Services) -> Target:
    """The same target without GPUs."""
    target = replace(LAB, gpus=0)
    assert lab.registry.targets.put(target, LAB) is None
    return target


def job_there(**values: Any) -> JobConfig:
    given = {"top.model_path": "Qwen/Qwen2.5-0.5B", "train.dataset": ["demo_sft"], COMPUTE: "bf16", **values}
    return JobConfig("train", given).on("lab")


def test_what_a_test_found_is_what_judges(lab: Services) -> None:
    assert context.of(lab, job_there()).packages is None and context.of(lab, job_there()).gpus is None
    tested(lab)
    found = context.of(lab, job_there(**{"top.booster": "unsloth"}))
    assert found.packages == REPORT["packages"] and found.gpus is None, "what a test saw is no limit"
    assert found.installed == {"llamafactory": "0.9.4", "transformers": "4.57.1"}
    problems = checks.problems(job_there(**{"top.booster": "unsloth"}), found)
    (lacks,) = [one for one in problems if one.code == "package_missing"]
    assert lacks.params["package"] == "unsloth" and "/opt/lf/bin/python" in lacks.params["command"]
    assert context.of(lab, job_there(**{"train.use_cpu": True})).gpus is None
    changed = replace(LAB, partition="other")
    assert lab.registry.targets.put(changed, LAB) is None
    assert context.of(lab, job_there()).packages is None, "of a target as it was"


def test_a_target_without_gpus_is_one_unless_somebody_asks_for_some(lab: Services, plain: Target) -> None:
    tested(lab, plain, torch={"cuda": None}, smi=[])
    assert context.of(lab, job_there()).gpus is None, "nothing told"
    tested(lab, plain, torch={"cuda": "12.4", "gpus": []})
    assert context.of(lab, job_there()).gpus == 0
    assert context.of(lab, job_there(**{COUNT: 2})).gpus is None


def test_the_compute_type_is_fitted_to_what_a_test_found(lab: Services) -> None:
    assert fit_to_machine(lab, job_there()) == (job_there(), [])
    tested(lab)
    fitted, notes = fit_to_machine(lab, job_there())
    assert fitted.values[COMPUTE] == "fp16" and notes == [("target.note_old_gpu", {"was": "bf16", "target": "lab"})]
    tested(lab, torch={"cuda": "12.4", "gpus": []})
    assert fit_to_machine(lab, job_there()) == (job_there(), []), "it asks for some"
    tested(lab, torch={"cuda": "12.4", "bf16": True, "gpus": REPORT["torch"]["gpus"]})
    assert fit_to_machine(lab, job_there()) == (job_there(), [])


def test_without_gpus_there_it_computes_as_on_a_processor(lab: Services, plain: Target) -> None:
    tested(lab, plain, torch={"cuda": "12.4", "gpus": []})
    assert fit_to_machine(lab, job_there())[0].values[COMPUTE] == "fp32"
    assert fit_to_machine(lab, job_there(**{COUNT: 1}))[0].values[COMPUTE] == "bf16"
    asks = replace(plain, gpus=None)
    assert lab.registry.targets.put(asks, plain) is None
    tested(lab, asks, torch={"cuda": "12.4", "gpus": []})
    assert fit_to_machine(lab, job_there())[0].values[COMPUTE] == "bf16", "a job that says nothing gets one"


def test_memory_is_that_of_the_smallest_gpu_there(lab: Services) -> None:
    tested(lab)
    found = forecast(lab, job_there(**{"train.batch_size": 1, "train.cutoff_len": 256}))
    assert isinstance(found, Forecast) and found.verdict == "unsure"  # of several GPUs it is never certain
    assert found.rooms == (Room("Tesla V100-SXM2-16GB (lab)", 16 << 30, 16 << 30, "Tesla V100-SXM2-16GB"),)
    assert "V100" in found.foretold.subject.card
    assert lacking(lab, "lab") is not None and lacking(lab, "gone") is None


def test_the_form_says_what_a_test_found(lab: Services) -> None:
    tested(lab)
    app = on(opened(), "lab")
    known = lab.target_tests.facts(LAB)
    assert known is not None and markdown_safe(t("target.judged", found=summary(known))) in said(app)
    choose(choose(app, PRESET_PICK, "sft_lora"), FIELD, NOTHING)
    choose(app, FIELD, f"lab{ROOM}")
    assert app.session_state[COMPUTE] == "fp16"
    assert markdown_safe(t("target.note_old_gpu", was="bf16", target="lab")) in said(app)


@pytest.mark.parametrize(("page", "kind"), [("pages/evaluate.py", "eval"), ("pages/export.py", "export")])
def test_an_evaluation_and_an_export_can_be_given_to_a_target(lab: Services, page: str, kind: str) -> None:
    app = pages.start()
    app.session_state["open_devices"] = True
    pages.good(app.switch_page(page).run())
    choose(app, f"{kind}.target", f"lab{ROOM}")
    assert app.button(key="start").help == t("target.start_help", target="lab")
    assert markdown_safe(pair("lab", row_words(LAB))) in said(app) and "eval.devices" not in fields(app)


def test_an_evaluation_of_a_run_is_to_run_where_that_did(lab: Services) -> None:
    values = {"top.model_path": "models/demo-llama", "train.dataset": ["demo_sft"], "train.output_dir": "r1"}
    prepared = plans.prepare(lab, JobConfig("train", values).on("lab"), "x")
    folder = lab.workspace.root / prepared.plan.output_dir
    folder.mkdir(parents=True)
    (folder / "training_args.yaml").write_text(prepared.plan.files["training_args.yaml"])
    adapter = {"base_model_name_or_path": "models/demo-llama", "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    (folder / "adapter_model.safetensors").write_bytes(b"0")
    view = RunView(
        "id", "r1", folder, prepared.plan.output_dir, RunState.SUCCEEDED, record=prepared.record, saved=Saved("adapter")
    )
    job = job_for_run(lab, EVALUATING, view)
    assert isinstance(job, JobConfig) and job.target == "lab"
    chat = job_for_run(lab, SERVING, view)
    assert isinstance(chat, JobConfig) and chat.target == ""
    assert lab.registry.targets.remove("lab", lab.registry.targets.read().rows["lab"]) is None
    gone = job_for_run(lab, EVALUATING, view)
    assert isinstance(gone, JobConfig) and gone.target == ""


def test_a_fix_of_a_target_that_is_gone_shows_the_choice_and_chooses_nothing(services: Services) -> None:
    app = on(opened(), "lab")
    app.session_state[PROBLEMS] = True
    pages.good(app.run())
    (fix,) = [item for item in app.sidebar.button if item.help == t("target.choose_help")]
    app.session_state["open_devices"] = False
    pages.good(fix.click().run())
    assert app.session_state[FIELD] == "lab" and app.session_state["open_devices"] is True
