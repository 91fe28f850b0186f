"""The dialog *Sweep…* of the form, and what the foot says of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.demo.__main__ import make_data
from lfdash.engine.services import Services
from lfdash.jobs.sweep_values import Dimension, read_dimension, row_named
from lfdash.launchers.slurm_array import SlurmArrays
from lfdash.outcomes import Refused
from lfdash.targets.target import Target
from lfdash.ui.launch import sweep
from lfdash.ui.shared import dialogs, session
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import t
from tests.support import app as pages
from tests.support.runs import fake_cli, wait_for


def sweep_page() -> None:
    """The content of the dialog, and the foot's words; the form is the demo's."""
    import streamlit as st

    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form.state import Form
    from lfdash.ui.launch import sweep
    from lfdash.ui.shared.session import shared_services

    form = Form(shared_services(), DEFAULT)
    form.seed()
    form.apply_fix(st.session_state.pop("do", {}))
    sweep.draw_made()
    sweep.draw(form)
    st.session_state["foot"] = sweep.count_words(form)


@pytest.fixture
def services(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("sweep")
    monkeypatch.setenv("LFDASH_CLI", fake_cli(folder))
    make_data(folder / "workspace" / "data")
    with pages.opened(folder / "workspace") as found:
        found._started = True  # nobody carries a sweep on while it is looked at
        yield found


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Where the page links to: it is alone, and has no others to go to."""
    found: list[dict[str, str]] = []
    monkeypatch.setattr("streamlit.page_link", lambda page, *, query_params, **_: found.append(query_params))
    return found


@pytest.fixture
def app(services: Services, links: list[dict[str, str]]) -> AppTest:
    found = AppTest.from_function(sweep_page, default_timeout=60)
    found.session_state[dialogs.SWEEP] = True
    found.session_state["do"] = {"top.model_path": "models/demo-llama", "train.dataset": ["demo_sft"]}
    return pages.good(found.run())


def values(app: AppTest, **typed: str) -> AppTest:
    app.session_state[sweep.FIELDS] = list(typed)
    for name, text in typed.items():
        app.session_state[f"{sweep.VALUES}.{name}"] = text
    return pages.good(app.run())


def button(app: AppTest) -> object:
    return app.button(key="sweep_start")


def test_nothing_can_be_started_before_there_are_values(app: AppTest) -> None:
    assert button(app).disabled and button(app).help == t("sweep.not_yet")
    assert app.session_state["foot"] == ""
    values(app, learning_rate="")
    assert button(app).disabled and not app.error, "an empty field is no mistake yet"
    values(app, learning_rate="1e-4")
    assert button(app).disabled and len(app.error) == 1


def test_below_each_field_stands_how_several_values_are_written(app: AppTest) -> None:
    """And each of these is taken."""
    app = values(app, learning_rate="", lora_rank="", packing="", lr_scheduler_type="")
    told = [str(item.value).replace("\\", "") for item in app.caption][2:6]
    assert told[0].startswith("for example: 1e-5, 1e-4, 1e-3 or 1e-5..1e-3 log 5 · now: 2e-3")
    for name, words in zip(("learning_rate", "lora_rank", "packing", "lr_scheduler_type"), told, strict=True):
        for example in words.partition(": ")[2].partition(" · ")[0].split(" or "):
            row = row_named(name)
            assert row is not None and isinstance(read_dimension(row, example), Dimension), (name, example)


def test_the_table_the_count_and_the_foot(app: AppTest) -> None:
    values(app, learning_rate="1e-5..1e-3 log 5", lora_rank="8, 16")
    (table,) = app.dataframe
    assert len(table.value) == 10
    assert button(app).label == t("sweep.start", count=10) and not button(app).disabled
    assert app.session_state["foot"] == t("sweep.foot", count=10) == "sweep: 10 runs"


def test_what_is_wrong_names_the_setting(app: AppTest) -> None:
    values(app, learning_rate="1e-5, 7", lora_rank="8")
    told = [str(item.value) for item in app.error]
    assert len(told) == 2 and told[0].startswith("**Learning rate**") and "out of range" in told[0]
    assert button(app).disabled and not app.dataframe


def test_the_sweep_is_made_and_the_dialog_closes(app: AppTest, services: Services) -> None:
    values(app, lora_rank="8, 16")
    button(app).click()
    pages.good(app.run())
    (view,) = session._sweeps[0].views()
    assert view.count == 2 and dialogs.SWEEP not in app.session_state
    assert app.session_state[sweep.MADE] == (view.id, view.name, 2)
    assert [one.values for one in view.sweep.dimensions] == [(8, 16)]


def test_a_job_that_cannot_run_makes_no_sweep(app: AppTest, services: Services) -> None:
    app.session_state["do"] = {"train.dataset": ["nowhere"]}
    values(app, lora_rank="8, 16")
    button(app).click()
    pages.good(app.run())
    assert session._sweeps[0].views() == [] and dialogs.SWEEP in app.session_state
    assert any("nowhere" in str(item.value) for item in app.error)


def test_a_strategy_that_draws_asks_for_their_number(app: AppTest) -> None:
    app.session_state["sweep.strategy"] = "tpe"
    app.session_state["sweep.trials"] = "7"
    values(app, learning_rate="1e-5..1e-3 log")
    assert [str(item.value) for item in app.info] == [t("sweep.drawn", count=7)]
    assert button(app).label == t("sweep.start", count=7)


def test_a_sweep_that_is_there_is_listed_stopped_and_gone_on_with(
    app: AppTest, services: Services, links: list[dict[str, str]]
) -> None:
    values(app, lora_rank="8, 16")
    button(app).click()
    pages.good(app.run())
    (view,) = session._sweeps[0].views()
    assert [item.label for item in app.expander] == [f"{view.name} · in progress · 0/2"]
    app.button(key=f"sweep_stop_{view.id}").click()
    pages.good(app.run())
    assert session._sweeps[0].views()[0].state == "stopped"
    app.button(key=f"sweep_go_on_{view.id}").click()
    pages.good(app.run())
    (going,) = session._sweeps[0].views()
    assert going.state == "going" and [one.name for one in going.trials] == ["r8", "r16"]
    pages.good(app.run())
    assert links[-1] == {"sweep": view.id}


def test_the_second_half_of_a_double_click_makes_no_second_sweep(app: AppTest, services: Services) -> None:
    values(app, lora_rank="8, 16")
    button(app).click()
    app = pages.good(app.run())
    assert dialogs.SWEEP not in app.session_state
    assert app.session_state["foot"] == "", "what the form has is one run again"
    values(app, lora_rank="8, 16")  # as it still was when the second click was made
    button(app).click()
    pages.good(app.run())
    assert len(session._sweeps[0].views()) == 1


def test_what_was_started_is_said_with_the_way_there_until_it_is_closed(
    app: AppTest, links: list[dict[str, str]]
) -> None:
    values(app, lora_rank="8, 16")
    links.clear()
    button(app).click()
    app = pages.good(app.run())
    (view,) = session._sweeps[0].views()
    assert links.count({"sweep": view.id}) == 2, "there, and in the list of the dialog"
    assert t("sweep.made", name=view.name, count=2) in app.markdown[0].value
    app.button(key="sweep_made_close").click()
    app = pages.good(app.run())
    assert not [item for item in app.button if item.key == "sweep_made_close"]


def errors(app: AppTest) -> list[str]:
    """The errors that are shown, as plain text."""
    return [str(item.value).replace("\\", "") for item in app.error]


def test_the_same_sweep_is_not_started_by_another_tab_while_it_goes_on(app: AppTest) -> None:
    for _ in range(2):  # the dialog of the other tab is open still
        app.session_state[dialogs.SWEEP] = True
        values(app, lora_rank="8, 16")
        button(app).click()
        app = pages.good(app.run())
    (view,) = session._sweeps[0].views()
    assert errors(app) == [refusal(Refused("sweep_twin", {"name": view.name}))]
    app.session_state[sweep.NAME] = "once more"
    app = pages.good(app.run())
    button(app).click()
    app = pages.good(app.run())
    assert sorted(one.name for one in session._sweeps[0].views()) == sorted([view.name, "once more"])
    assert app.session_state[sweep.NAME] == ""
    session._sweeps[0].stop(view.id)
    app.session_state[dialogs.SWEEP] = True
    values(app, lora_rank="8, 16")
    button(app).click()
    app = pages.good(app.run())
    assert errors(app) == [refusal(Refused("sweep_twin", {"name": "once more"}))], "it has no name of its own"
    named = next(one for one in session._sweeps[0].views() if one.name == "once more")
    session._sweeps[0].stop(named.id)
    app.session_state[dialogs.SWEEP] = True
    values(app, lora_rank="8, 16")
    button(app).click()
    pages.good(app.run())
    assert len(session._sweeps[0].views()) == 3, "one that was stopped is no hindrance"


def test_what_a_cluster_gets_is_shown_as_it_will_be_submitted(
    services: Services, app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once somebody wants to see it; without waiting for the cluster, which is asked how long an array may be."""
    answers = threading.Event()
    asked: list[str] = []

    def most(launcher: SlurmArrays) -> int:
        asked.append(launcher.name)
        return 3 if answers.wait(20) else 0

    monkeypatch.setattr(SlurmArrays, "most_together", most)
    assert services.registry.targets.put(Target("lab", "slurm", gpus=0, partition="p"), None) is None
    values(app, learning_rate="1e-4, 2e-4, 3e-4, 4e-4")
    assert not app.expander and not asked
    app.session_state["do"] = {"train.target": "lab"}
    pages.good(app.run())
    assert not asked, "nobody has opened it"
    app.session_state[sweep.SCRIPT_OPEN] = True
    assert "The cluster is being asked" in told(pages.good(app.run())) and not app.code
    answers.set()
    wait_for(lambda: "--array" in "".join(box.value for box in pages.good(app.run()).code))
    shown, sweep_id = app.code[0].value, app.session_state[sweep.NEXT]
    assert f"--job-name=lfdash-sweep-{sweep_id}" in shown and "--array=0-2%" in shown
    assert "this script is submitted" in told(app)
    assert "lr1e-4/" in shown and "lr4e-4" not in shown and "--partition=p" in shown
    pages.good(button(app).click().run())
    assert [view.id for view in session.shared_sweeps().views()] == [sweep_id] and sweep.NEXT not in app.session_state
    assert sweep.SCRIPT_OPEN not in app.session_state, "another target is asked by another click"


@pytest.mark.parametrize(("strategy", "words"), [
    ("tpe", "handed over one by one"), ("random", "drawn once it begins"),
])
def test_where_no_script_is_known_before_that_is_said(
    services: Services, app: AppTest, strategy: str, words: str
) -> None:
    assert services.registry.targets.put(Target("lab", "slurm", gpus=0), None) is None
    given = {"sweep.strategy": strategy, "sweep.trials": "4", sweep.SCRIPT_OPEN: True, "do": {"train.target": "lab"}}
    for name, value in given.items():
        app.session_state[name] = value
    values(app, learning_rate="1e-4..1e-3 log")
    assert words in told(app) and not app.code


def test_a_script_that_cannot_be_made_is_told_and_waited_for_no_longer(
    services: Services, app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: SlurmArrays) -> int:
        raise KeyError("ours")

    monkeypatch.setattr(SlurmArrays, "most_together", fails)
    assert services.registry.targets.put(Target("lab", "slurm", gpus=0), None) is None
    app.session_state[sweep.SCRIPT_OPEN] = True
    app.session_state["do"] = {"train.target": "lab"}
    values(app, learning_rate="1e-4, 2e-4")
    wait_for(lambda: "could not be made" in told(pages.good(app.run())))


def told(app: AppTest) -> str:
    return "\n".join(str(item.value) for item in app.caption)


def test_it_says_where_the_runs_go(services: Services, app: AppTest) -> None:
    assert services.registry.targets.put(Target("lab", "slurm", gpus=0), None) is None
    assert t("sweep.where", where=t("target.here")) in "".join(item.value for item in app.caption)
    app.session_state["do"] = {"train.target": "lab"}
    pages.good(app.run())
    assert t("sweep.where", where="lab") in "".join(item.value for item in app.caption)
