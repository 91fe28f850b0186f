"""The dialog of targets without a browser: what is made, changed, removed, refused, and what is never lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.engine.target_facts import Failure
from lfdash.engine.target_offers import TargetOffers, Told
from lfdash.engine.target_tests import Step, TargetTests
from lfdash.launchers import table
from lfdash.launchers.target_probe import Seen
from lfdash.locales import available
from lfdash.outcomes import Problem
from lfdash.runs.record import RunState
from lfdash.targets import fields
from lfdash.targets.fields import FIELDS
from lfdash.targets.offered import Offer, Offered
from lfdash.targets.target import Target
from lfdash.ui.shared.text import LANGUAGE, in_language
from lfdash.ui.targets import edit, keys, words
from tests.support import app as pages
from tests.support.runs import wait_for

LAB = Target("lab", "slurm", partition="gpu", gpus=2, env={"A": "1"})
OFFERED = Offered((
    Offer("gpu", True, True, "1-00:00:00", 4, 2, 64, 1, 4, ("a100",), 16, 3, 112), Offer("cpu", nodes=1),
), ("proj",), ("normal",))
REPORT: dict[str, Any] = {
    "host": "n1", "cli": "/opt/lf/bin/llamafactory-cli", "packages": {"llamafactory": "0.9.5", "torch": "2.9"},
    "torch": {"cuda": True, "gpus": [{"name": "A100 | x", "memory": 80 << 30}] * 2, "bf16": True}, "locks": "unseen",
    "clock_least": 29.0, "clock_most": 30.0, "memory": 64 << 30, "disk": 1,
}


@pytest.fixture
def services(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setattr(TargetOffers, "of", lambda *_: Told(OFFERED))
    with pages.with_fake_runs(workspace, monkeypatch) as found:
        yield found


def dialog() -> None:
    """What the dialog shows; the page around it is not drawn."""
    from lfdash.ui.shared.session import shared_services
    from lfdash.ui.targets import dialog

    dialog.draw(shared_services())


def opened(language: str = "en") -> AppTest:
    app = AppTest.from_function(dialog, default_timeout=60)
    app.session_state[LANGUAGE] = language
    return pages.good(app.run())


def click(app: AppTest, key: str) -> AppTest:
    return pages.good(app.button(key=key).click().run())


def fill(app: AppTest, name: str, text: str) -> None:
    """Types into a field of the dialog."""
    key = keys.NAME if name == "name" else keys.field_key(name)
    boxes = [box for box in (*app.text_input, *app.text_area) if str(box.key).split(" ")[0].split("\t")[0] == key]
    pages.good(boxes[0].set_value(text).run())


def said(app: AppTest) -> str:
    """All that is shown."""
    kinds = ("markdown", "caption", "error", "success", "warning", "info")
    return "\n".join(str(item.value) for kind in kinds for item in app.get(kind)).replace("\\", "")


def test_a_target_is_made_in_a_workspace_that_has_none(services: Services) -> None:
    app = opened()
    assert "There is no target yet" in said(app)
    click(app, "targets_new_slurm")
    assert "gpu *: GPUs free: 3 of 16 · a100 · CPUs free: 112 · nodes without a job: 2 of 4" in said(app)
    click(app, "target_save")
    assert "cannot be the name of a target" in said(app) and "To be corrected: 1" in said(app)
    fill(app, "name", "lab")
    fill(app, "gpus", "many")
    fill(app, "time_limit", "1:00:00")
    assert "` 'many' ` is not possible. Enter a whole number from 0 to 1024." in said(app)
    click(app, "target_save")
    assert not services.registry.targets.read().rows
    fill(app, "gpus", "2")
    click(app, "target_save")
    assert services.registry.targets.read().rows == {"lab": Target("lab", "slurm", gpus=2, time_limit="1:00:00")}
    assert "“lab” was saved" in said(app) and "lab" in [row.key.partition("target_edit_")[2] for row in app.button]


def test_a_ray_target_says_what_it_needs_once_it_is_saved(services: Services) -> None:
    app = opened()
    click(app, "targets_new_ray")
    fill(app, "name", "r")
    assert "Is missing" not in said(app)
    click(app, "target_save")
    assert "Is missing: “Ray” needs “Address of the Ray dashboard”." in said(app)
    fill(app, "address", "http://head:8265")
    click(app, "target_save")
    assert app.button(key="target_test_r").disabled == ("ray" not in table.PROBES)
    assert services.registry.targets.read().rows == {"r": Target("r", "ray", address="http://head:8265")}


def test_what_is_changed_elsewhere_meanwhile_is_told_and_nothing_is_lost(services: Services) -> None:
    store = services.registry.targets
    assert store.put(LAB, None) is None
    app = opened()
    click(app, "target_edit_lab")
    fill(app, "gpus", "4")
    assert store.put(replace(LAB, cpus=8), LAB) is None  # another dashboard
    click(app, "target_save")
    assert "was changed elsewhere" in said(app) and store.read().rows["lab"] == replace(LAB, cpus=8)
    click(app, "target_reload")
    fill(app, "gpus", "4")
    click(app, "target_save")
    assert store.read().rows["lab"] == replace(LAB, cpus=8, gpus=4)


def test_a_copy_begins_with_the_same_values_and_another_name(services: Services) -> None:
    assert services.registry.targets.put(LAB, None) is None
    app = opened()
    click(app, "target_copy_lab")
    fill(app, "name", "lab")
    click(app, "target_save")
    assert "There is already a target “lab”" in said(app)
    fill(app, "name", "lab2")
    click(app, "target_save")
    assert services.registry.targets.read().rows == {"lab": LAB, "lab2": replace(LAB, name="lab2")}


def test_removing_asks_first_and_forgets_the_test(services: Services) -> None:
    assert services.registry.targets.put(LAB, None) is None
    services.target_tests.files.save(LAB, time.time(), REPORT, None)
    app = opened()
    click(app, "target_remove_lab")
    click(app, "targets_sure_no")
    assert services.registry.targets.read().rows
    time.sleep(0.7)  # the next click is none of a double one
    click(app, "target_remove_lab")
    assert "Remove “lab”?" in said(app)
    click(app, "targets_sure_yes")
    assert not services.registry.targets.read().rows and services.target_tests.last("lab") is None


def test_rows_that_cannot_be_used_are_shown_with_their_line_and_stay(services: Services) -> None:
    text = '# ours\n[target.lab]\nkind = "slurm"\n\n[target.old]\nkind = "slurm"\ngpus = "two"\n'
    services.registry.targets.path.write_text(text)
    app = opened()
    assert "line 7" in said(app) and "'two'" in said(app) and "cannot be used" in said(app)
    click(app, "target_edit_lab")
    fill(app, "gpus", "1")
    click(app, "target_save")
    assert services.registry.targets.path.read_text() == text.replace('"slurm"\n', '"slurm"\ngpus = 1\n', 1)
    click(app, "target_broken_remove_0")
    click(app, "targets_sure_yes")
    assert "old" not in services.registry.targets.path.read_text() and "lab" in services.registry.targets.read().rows


def test_a_row_that_was_corrected_meanwhile_is_not_removed(services: Services) -> None:
    path = services.registry.targets.path
    path.write_text('[target.lab]\nkind = "slurm"\ngpus = "two"\n')
    app = opened()
    click(app, "target_broken_remove_0")
    path.write_text('[target.lab]\nkind = "slurm"\ngpus = 2\n')  # by hand, or in another dashboard
    click(app, "targets_sure_yes")
    assert services.registry.targets.read().rows == {"lab": Target("lab", "slurm", gpus=2)}
    assert "was changed elsewhere" in said(app)


def test_removing_tells_of_runs_whatever_the_row_says_now(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that cannot be used, or is of another kind than the launcher that its runs have."""
    runs = [("lab", RunState.RUNNING), ("lab", RunState.QUEUED), ("lab", RunState.HELD), ("", RunState.RUNNING)]
    views = [SimpleNamespace(target=target, state=state) for target, state in runs]
    monkeypatch.setattr(services.registry, "snapshot", lambda: views)
    for row, key in (('kind = "slurm"\ngpus = "x"', "target_broken_remove_0"), ('kind = "slurm"', "target_remove_lab")):
        services.registry.targets.path.write_text(f"[target.lab]\n{row}\n")
        app = opened()
        click(app, key)
        assert "Runs on it that are not over: 1." in said(app), "those that wait here do not go on"
        assert "wait for it: 2." in said(app)
        time.sleep(0.7)  # the next click is none of a double one


@pytest.mark.parametrize("name", ["yes", "no", "sure", "save", "broken_0"])
def test_every_name_of_a_target_can_stand_beside_the_question(services: Services, name: str) -> None:
    assert services.registry.targets.put(LAB, None) is None
    assert services.registry.targets.put(replace(LAB, name=name), None) is None
    app = opened()
    click(app, "target_remove_lab")
    click(app, "targets_sure_yes")
    assert list(services.registry.targets.read().rows) == [name]


@pytest.mark.parametrize("result", [
    {"failure": {"code": "unseen", "params": {}}}, {"failure": {"code": "ended", "params": {"word": [1]}}},
    {"time": -1e308, "failure": None},
    {"report": {"torch": {"cuda": True, "gpus": [{"name": "A", "memory": 1}]}, "memory": 1, "disk": 1}},
])
def test_a_result_that_somebody_else_has_written_breaks_no_page(services: Services, result: dict[str, Any]) -> None:
    assert services.registry.targets.put(LAB, None) is None
    path = services.target_tests.files.path("lab")
    path.parent.mkdir(parents=True)
    text = json.dumps({"time": 1.0, "row": {}, **result})
    path.write_text(text.replace('memory": 1', f'memory": 1{"0" * 400}').replace('disk": 1', f'disk": 1{"0" * 400}'))
    assert "Tested" in said(opened())


def test_the_name_of_a_row_is_shown_as_it_is(services: Services) -> None:
    """Whoever has written the file may have given it one that is a picture of another server's."""
    services.registry.targets.path.write_text('[target."![a](http://else.where/x)"]\nkind = "slurm"\n')
    app = opened()
    click(app, "target_broken_remove_0")
    click(app, "targets_sure_yes")
    assert services.registry.targets.read().broken == ()
    assert [item.value for item in app.success if "![" in item.value.replace("\\[", "")] == [] and len(app.success) == 1


def test_a_file_that_cannot_be_read_is_not_written(services: Services) -> None:
    services.registry.targets.path.write_text("[target.lab\n")
    app = opened()
    assert "not valid TOML" in said(app) and app.button(key="targets_new_slurm").disabled
    assert services.registry.targets.path.read_text() == "[target.lab\n"


def test_what_a_test_found_is_shown_with_what_is_wrong(services: Services) -> None:
    assert services.registry.targets.put(LAB, None) is None
    services.target_tests.files.save(LAB, 86399.0, REPORT, None)
    told = said(opened())
    assert "Tested 1970-01-01 23:59:59: n1 · llamafactory 0.9.5 · torch 2.9 · 2 × A100 | x (80 GiB)" in told
    assert "Locks are not shared" in told and "The clocks differ" in told and "test it again" not in told
    changed = replace(LAB, partition="cpu")
    assert services.registry.targets.put(changed, LAB) is None
    assert "test it again" in said(opened())


def test_a_result_that_cannot_be_read_is_not_called_none(services: Services) -> None:
    assert services.registry.targets.put(LAB, None) is None
    assert "Not tested yet" in said(opened())
    path = services.target_tests.files.path("lab")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    told = said(opened())
    assert "Not tested yet" not in told and "cannot be read. Test it again" in told


def test_locks_of_which_nothing_is_known_are_not_called_missing(services: Services) -> None:
    assert services.registry.targets.put(LAB, None) is None
    services.target_tests.files.save(LAB, time.time(), {**REPORT, "locks": "Input/output error"}, None)
    told = said(opened())
    assert "Locks are not shared" not in told and "is not known (Input/output error)" in told


@pytest.mark.parametrize("language", available())
def test_every_word_is_there(services: Services, language: str) -> None:
    """Of every field, problem, step and end of a test."""
    assert services.registry.targets.put(LAB, None) is None
    services.target_tests.files.save(LAB, time.time(), None, Failure("unseen", {"path": "/x"}))
    assert in_language(language, "target_test.why_unseen", path="/x") in said(opened(language))
    app = opened(language)
    click(app, "target_edit_lab")
    for kind in ("slurm", "ray"):
        assert {name for rows in edit.grouped(kind).values() for name in rows} | set(edit.FIRST) >= {
            name for name, row in FIELDS.items() if kind in row.kinds and name != "kind"}
    for name in (*FIELDS, *edit.GROUPS):
        assert name == "kind" or name in edit.GROUPS or (words.help_text(name) and words.label(name) != name)
    for step in ("submit", "wait", "run"):
        assert words.step_words(Step(step, Seen("PENDING", "Priority", silent="x")))


def test_every_problem_of_a_field_has_a_text() -> None:
    source = Path(fields.__file__).read_text(encoding="utf-8")
    source += " target_name target_kinds target_both target_table target_extra_field"
    codes = {word.strip('"\'(),') for word in source.split() if word.strip('"\'(),').startswith("target_")}
    params = {"value": "v", "least": "1", "most": "2", "choices": "c", "key": "cpus", "other": "gpus", "line": "1",
              "lines": "50", "length": "500"}
    for code in codes:
        assert words.problem_text(Problem("gpus", code, params))


def test_a_test_that_goes_on_says_where_it_is_and_can_be_called_off(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfdash.engine.background import Work

    assert services.registry.targets.put(LAB, None) is None
    going = Work[Any](time.monotonic()), Step("wait", Seen("PENDING", "Resources"))
    monkeypatch.setattr(TargetTests, "going", lambda *_: going)
    canceled: list[str] = []
    monkeypatch.setattr(TargetTests, "cancel", lambda _, name: canceled.append(name))
    app = opened()
    assert "The test waits in the cluster's queue (PENDING, Resources)" in said(app)
    assert app.button(key="target_test_lab").disabled
    click(app, "target_cancel_lab")
    assert canceled == ["lab"]


POOL = Target("pool", "ray", address="http://head:8265", token_file="/t")
NODES = Offered((
    Offer("", True, True, "", 2, 1, 64, 524288, 8, ("A100",), 8, 5, 56, 72, 540672, 409600),
    Offer("10.0.0.2", nodes=1, idle=1, cpus=8, memory_mb=16384, gpus=0, free_gpus=0, all_cpus=8, all_memory_mb=16384),
    *(Offer(f"n{number}", nodes=1, idle=1, all_cpus=1, free_cpus=1, gpus=0) for number in range(20)),
))


def test_what_a_ray_cluster_has_is_told_and_what_no_node_has(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TargetOffers, "of", lambda *_: Told(NODES))
    assert services.registry.targets.put(POOL, None) is None
    app = opened()
    whole = "All nodes: GPUs free: 5 of 8 · A100 · CPUs free: 56 of 72 · memory free: 400 of 528 GiB · "
    assert whole + "nodes without a job: 1 of 2" in said(app) and "No node has" not in said(app)
    big = replace(POOL, gpus=16, cpus=65, memory="600G")
    assert services.registry.targets.put(big, POOL) is None
    wanted = "GPUs per node: 16 > 8, CPUs per node: 65 > 64, Memory per node: 600G > 512 GiB"
    assert wanted in said(opened())
    app = opened()
    click(app, "target_edit_pool")
    shown = "10.0.0.2: no GPU · CPUs free: not known of 8 · memory free: not known of 16 GiB\n"
    assert whole in said(app) and shown in said(app) and "- 10 more" in said(app)


def test_a_cluster_that_may_be_somebody_elses_is_asked_by_a_click(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    asked: list[Target] = []
    monkeypatch.setattr(TargetTests, "start", lambda *_: None)
    row = Target("lab", "slurm", slurm_conf="/theirs/slurm.conf")
    with pages.with_fake_runs(workspace, monkeypatch) as services:
        monkeypatch.setattr(services.target_offers, "_ask", asked.append)
        for one in (row, POOL):
            assert services.registry.targets.put(one, None) is None
        app = opened()
        click(app, "target_edit_lab")
        click(app, "target_back")
        assert not asked
        click(app, "target_ask_lab")
        wait_for(lambda: asked == [row])
        click(app, "target_test_pool")
        wait_for(lambda: asked == [row, POOL])
        click(app, "targets_new_ray")
        assert app.button(key="target_ask_").disabled
        fill(app, "address", "http://new:1")
        click(app, "target_ask_")
        wait_for(lambda: [one.address for one in asked[2:]] == ["http://new:1"])


def test_what_belongs_together_stands_together(services: Services) -> None:
    assert [name for name in edit.FIRST if name in edit.names("ray")] == ["address", "token_file", "gpus", "cli"]
    slurm = [name for name in edit.FIRST if name in edit.names("slurm")]
    assert slurm == ["partition", "gpus", "time_limit", "resume", "cli"]
    assert edit.grouped("slurm")["expert"] == ["slurm_conf", "extra"] and "expert" not in edit.grouped("ray")
    app = opened()
    click(app, "targets_new_slurm")
    held = {str(box.label): str(box.placeholder) for box in app.text_input}
    assert held["GPUs per node"] == "1; enter 0 for none"


def test_a_new_target_is_offered_to_the_form(services: Services) -> None:
    app = pages.start()
    keys_before = {button.key for button in app.button}
    app.button(key="targets_open").click()
    pages.good(app.run())
    click(app, "targets_new_slurm")
    fill(app, "name", "lab")
    click(app, "target_save")
    assert "targets_use" not in keys_before and services.registry.targets.read().rows.keys() == {"lab"}
    assert app.session_state["train.target"] is None
    click(app, "targets_use")
    assert app.session_state["train.target"] == "lab" and keys.OPEN not in app.session_state


def test_each_target_of_the_list_can_be_used_for_the_form(services: Services) -> None:
    """After its test, say; whatever was saved last."""
    for name in ("lab", "other"):
        assert services.registry.targets.put(replace(LAB, name=name), None) is None
    app = pages.start()
    app.button(key="targets_open").click()
    pages.good(app.run())
    click(app, "target_use_other")
    assert app.session_state["train.target"] == "other" and keys.OPEN not in app.session_state


def test_a_target_that_is_changed_is_not_offered(services: Services) -> None:
    assert services.registry.targets.put(LAB, None) is None
    app = pages.start()
    app.button(key="targets_open").click()
    pages.good(app.run())
    click(app, "target_edit_lab")
    click(app, "target_save")
    assert keys.KIND not in app.session_state and "targets_use" not in {button.key for button in app.button}


def test_what_is_wrong_can_be_copied(services: Services) -> None:
    """Nothing that is not seen stands in it."""
    app = opened()
    click(app, "targets_new_slurm")
    fill(app, "name", "lab")
    app.session_state["targets.open_expert"] = True
    pages.good(app.run())
    fill(app, "extra", "#SBATCH --partition=short")
    assert "` --partition=short `: this option has a field here: “Partition”." in said(app)
    assert words.problem_markdown(Problem("x", "target_time", {"value": "a``b"})).startswith("``` a``b ``` is not")


@pytest.mark.parametrize("kind", ["slurm", "ray"])
def test_lines_of_a_shell_are_typed_one_below_the_other(services: Services, kind: str) -> None:
    app = opened()
    click(app, f"targets_new_{kind}")
    fill(app, "name", "lab")
    if kind == "ray":
        fill(app, "address", "http://head:8265")
    app.session_state["targets.open_environment"] = True
    pages.good(app.run())
    (area,) = (one for one in app.text_area if str(one.key).startswith(keys.field_key("setup")))
    assert area.label == "Setup lines" and "conda activate" in area.help
    fill(app, "setup", "module load a \\\nexport HF_TOKEN=hf_abcdefgh")
    told = said(app)
    assert "none may end in a backslash" in told and "HF_TOKEN" in told and "hf_abcdefgh" not in told
    click(app, "target_save")
    assert not services.registry.targets.read().rows
    fill(app, "setup", "source ~/conda.sh\n\nconda activate lf  # ours")
    click(app, "target_save")
    assert services.registry.targets.read().rows["lab"].setup == ("source ~/conda.sh", "conda activate lf  # ours")


def test_a_value_that_may_mean_something_else_is_told_at_its_field() -> None:
    assert [*words.field_warnings("time_limit", "48:00", None)] == [
        "48:00 is minutes and seconds for Slurm: 48 min. For hours enter 48:00:00."
    ]
    assert not [*words.field_warnings("time_limit", "4:00:00", None), *words.field_warnings("partition", "x", None)]
    (told,) = words.field_warnings("partition", "gpuu", OFFERED)
    assert "no partition “gpuu”" in told and "gpu, cpu" in told
    assert not [*words.field_warnings("partition", "gpu", OFFERED)]
    (told,) = words.field_warnings("env", "A=/x:$A\nHOME=~/x\nB=a~b\nC=1", None)
    assert "stay in A, HOME." in told
