"""What a job takes of GPU memory, in the foot of the form."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine import forecast
from lfdash.engine.memory import Foretold
from lfdash.engine.services import Services
from lfdash.machine.sample import Sample
from lfdash.machine.sampler import Machine
from lfdash.memory.estimate import estimate
from lfdash.memory.learned import PastRun, PastRuns
from lfdash.ui.shared import dialogs
from lfdash.ui.shared.text import t
from lfdash.workspace.devices import Devices
from tests.support import app as pages
from tests.support.gpu import device, sample

QWEN = "Qwen/Qwen2.5-7B-Instruct"


def drawn(app: AppTest, seen: Sample, **values: str) -> str:
    """The figure's words, with some settings."""
    for name, value in values.items():
        app.session_state[f"train.{name}"] = value
    with mock.patch.object(Machine, "seen", seen):
        pages.good(app.run())
    (button,) = [one for one in app.button if one.key == "memory_open"]
    return str(button.label)


@pytest.fixture
def app(services: Services) -> AppTest:
    services.devices = Devices((), 2)
    app = pages.start()
    app.session_state["top.model_path"] = QWEN
    app.session_state["train.use_cpu"] = False
    app.session_state["train.additional_target"] = ""
    return app


def test_a_smaller_batch_moves_the_figure_and_its_word_with_it(app: AppTest) -> None:
    seen = sample(device(0, 48, 1))
    one = drawn(app, seen, batch_size="1", cutoff_len="2048")
    eight = drawn(app, seen, batch_size="8", cutoff_len="2048")
    assert one.startswith(":green[:material/check: about ") and one.endswith("of 48 GiB on GPU 0 · fits]")
    assert eight.startswith(":red[:material/error: ") and eight.endswith("does not fit]")
    assert float(eight.split("about ")[1].split()[0]) > 2 * float(one.split("about ")[1].split()[0])


def test_a_card_that_somebody_uses_is_told_apart_from_one_that_is_too_small(app: AppTest) -> None:
    words = drawn(app, sample(device(0, 80, 70)), batch_size="1")
    assert words.startswith(":orange[") and t("memory.is_in_use") in words


def test_without_a_gpu_there_is_a_figure_and_no_verdict(app: AppTest) -> None:
    words = drawn(app, Sample(time=1.0))
    assert words.startswith("about ") and words.endswith("no GPU here")
    assert drawn(app, Sample(time=1.0, problems={"nvidia": "fails"})).endswith("GiB of GPU memory")


def test_a_size_that_only_a_name_tells_is_said_to_be_uncertain(app: AppTest) -> None:
    app.session_state["top.model_path"] = "somebody/some-13b"
    assert "± 40 %" in drawn(app, sample(device()))
    (button,) = [one for one in app.button if one.key == "memory_open"]
    assert "Only the size in the model" in str(button.help)


def test_a_model_of_which_nothing_is_known_has_no_figure(app: AppTest) -> None:
    app.session_state["top.model_path"] = "somebody/something"
    pages.good(app.run())
    assert not [one for one in app.button if one.key == "memory_open"]
    (told,) = [one for one in app.sidebar.caption if t("memory.foot_unknown") in str(one.value)]
    assert t("memory.size_unknown")[:20] in str(told.help)


def test_the_figure_refuses_no_start(app: AppTest) -> None:
    drawn(app, sample(device(0, 4, 0)))
    assert not app.button(key="start").disabled
    assert dialogs.MEMORY not in app.session_state


def foot_page() -> None:
    """The line of the foot; `do` of the session: changes that the dialog makes in the form."""
    import streamlit as st

    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form.state import Form
    from lfdash.ui.launch import memory
    from lfdash.ui.shared.session import shared_services

    form = Form(shared_services(), DEFAULT)
    form.seed()
    if "do" in st.session_state:
        form.apply_fix(st.session_state.pop("do"), memory.BY)
    memory.draw_figure(form)


def test_what_the_dialog_changed_can_be_taken_back_beside_the_figure(services: Services) -> None:
    def undo(app: AppTest) -> list[str]:
        return [str(one.help) for one in app.button if one.key == "memory_undo_foot"]

    app = pages.good(AppTest.from_function(foot_page, default_timeout=60).run())
    before = app.session_state["train.batch_size"]
    assert undo(app) == []
    app.session_state["do"] = {"train.batch_size": 64, "top.model_path": "somebody/something"}
    assert undo(pages.good(app.run())) == [t("memory.undo_foot", count=2)], "also where no figure is known any more"
    app.button(key="memory_undo_foot").click()
    assert undo(pages.good(app.run())) == [] and app.session_state["train.batch_size"] == before


def test_the_run_by_which_it_was_corrected_is_named_in_the_line(app: AppTest) -> None:
    seen = sample(device(0, 48, 1))
    plain = drawn(app, seen, batch_size="1", cutoff_len="2048")
    for name, shown in (("lora-1", "as in lora-1"), ("n" * 60, f"as in {'n' * 23}…")):
        def learn(_services: Services, found: Foretold, _totals: object, name: str = name) -> Foretold:
            plain = found.estimate
            run = PastRun(name, found.subject, plain, reserved=round(plain.reserved * 1.1))
            subject = replace(found.subject, past=PastRuns([run], found.subject))
            return replace(found, subject=subject, estimate=estimate(subject))

        with mock.patch.object(forecast, "learn", learn):
            words = drawn(app, seen)
        assert shown in words and words.split("about ")[1].split()[0] > plain.split("about ")[1].split()[0]
        (button,) = [one for one in app.button if one.key == "memory_open"]
        told = str(button.help).replace("\\", "")
        assert name in told and t("memory.compared_reserved") in told
