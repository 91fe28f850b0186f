"""The dialog of a job's GPU memory: terms, settings that save some, *Make it fit* with its way back, cards."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine import forecast as asking
from lfdash.engine import whole_run
from lfdash.engine.memory import Foretold
from lfdash.engine.services import Services
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.cures import with_fix
from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.token_lengths import Lengths
from lfdash.machine.sampler import Machine
from lfdash.memory.cards import CARDS
from lfdash.outcomes import Refused
from lfdash.ui.launch import memory_dialog, memory_fit
from lfdash.ui.shared import clicks
from lfdash.ui.shared.text import t
from lfdash.workspace.devices import Devices, Gpu
from tests.support import app as pages
from tests.support.gpu import device, sample
from tests.support.runs import wait_for

FIELDS = (
    "train.batch_size", "train.gradient_accumulation_steps", "top.booster", "top.quantization_bit", "train.ds_stage",
    "train.ds_offload", "train.gpu_count", "train.disable_gradient_checkpointing", "train.optim",
)


def dialog_page() -> None:
    """What the dialog shows; the form is the demo's with another model."""
    import streamlit as st

    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form.state import Form
    from lfdash.ui.launch import memory_dialog
    from lfdash.ui.shared.session import shared_services

    form = Form(shared_services(), DEFAULT)
    form.seed()
    if "do" in st.session_state:
        form.apply_fix(st.session_state.pop("do"))
    memory_dialog.draw(form)


@pytest.fixture
def app(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    monkeypatch.setattr(clicks, "APART_S", -1.0)
    services.devices = Devices((Gpu(0, "", True),), 2)
    with mock.patch.object(Machine, "seen", sample(device(0, 80, 1))):
        found = AppTest.from_function(dialog_page, default_timeout=60)
        found.session_state["do"] = {
            "top.model_path": "Qwen/Qwen2.5-7B-Instruct", "train.use_cpu": None, "train.cutoff_len": 2048,
            "train.batch_size": 8, "train.gradient_accumulation_steps": 2, "train.additional_target": None,
        }
        yield pages.good(found.run())


def held(app: AppTest) -> dict[str, object]:
    return {name: app.session_state[name] for name in FIELDS if name in app.session_state}


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click()
    return pages.good(app.run())


def test_the_terms_add_up_and_are_drawn_beside_what_is_free(services: Services, app: AppTest) -> None:
    found = asking.forecast(services, job_from_args({"model_name_or_path": "Qwen/Qwen2.5-7B-Instruct", "bf16": True}))
    assert isinstance(found, asking.Forecast)
    frame = memory_dialog.bars(found)
    assert list(frame["begin"][1:-1]) == list(frame["end"][:-2]) and frame["begin"][0] == 0.0
    assert frame["end"].iloc[-1] == pytest.approx(frame["end"].iloc[-2])
    assert set(frame["free"]) == {79.0} and set(frame["total"]) == {80.0}
    spec = memory_dialog.spec(3, "x", True)
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["bar", "rule", "rule"]
    assert len(memory_dialog.spec(3, "x", False)["layer"]) == 1
    assert any("79.0 GiB are free on GPU 0" in str(item.value) for item in app.caption)


def test_one_click_takes_a_setting_over_and_undo_puts_back_what_was_there(app: AppTest) -> None:
    before = held(app)
    assert app.button(key="memory_undo").disabled
    press(app, "memory_apply_batch")
    assert held(app) == {**before, "train.batch_size": "1", "train.gradient_accumulation_steps": "16"}
    press(app, "memory_undo")
    assert held(app) == before and app.button(key="memory_undo").disabled


def test_the_card_of_this_machine_is_named_by_its_product(app: AppTest) -> None:
    (chosen,) = [item for item in app.selectbox if item.label == t("memory.make_it_fit")]
    assert chosen.options[0] == t("memory.card_here", device="GPU 0 (A card)", free="79.0")


def test_make_it_fit_shows_the_change_makes_it_and_takes_it_back(app: AppTest) -> None:
    before = held(app)
    app.session_state[memory_fit.CARD] = "24 GB"
    pages.good(app.run())
    (diff,) = [item.value for item in app.dataframe if t("memory.col_from") in item.value]
    columns = [t(f"memory.col_{name}") for name in ("setting", "from", "to", "gives")]
    assert len(diff) >= 1 and list(diff.columns) == columns
    assert str(diff[t("memory.col_gives")][0]).startswith("−")
    press(app, "memory_apply")
    assert held(app) != before
    assert t("memory.fit_already") in [str(item.value) for item in app.success]
    assert app.button(key="memory_apply").disabled
    press(app, "memory_undo")
    assert held(app) == before


def test_the_liger_kernel_is_chosen_in_its_list_where_that_is_free(services: Services) -> None:
    changes = {"enable_liger_kernel": True}
    assert memory_fit.fix_of(job_from_args({}), changes) == {"top.booster": "liger_kernel"}
    for args in ({}, {"flash_attn": "fa2"}, {"flash_attn": "auto"}, {"flash_attn": "sdpa"}):
        job = job_from_args(args)
        sent = build_args(with_fix(job, memory_fit.fix_of(job, changes)))
        assert sent == {"flash_attn": "auto", **args, **changes} or sent == {**args, **changes}, args


def installed(services: Services, **packages: str) -> None:
    """What LLaMA-Factory's environment has."""
    services.cli = Cli("/env/llamafactory-cli", "/env/python")
    services.upstream = replace(services.upstream, source="installed", packages={"torch": "2.11.0", **packages})


def test_a_setting_whose_package_is_not_installed_is_disabled_and_says_what_installs_it(
    app: AppTest, services: Services
) -> None:
    assert not app.button(key="memory_apply_liger").disabled, "what is not known forbids nothing"
    installed(services)
    pages.good(app.run())
    for name, package in (("liger", "liger-kernel"), ("quantize_4bit", "bitsandbytes"), ("offload", "deepspeed")):
        button = app.button(key=f"memory_apply_{name}")
        assert button.disabled and f"{package} is not installed" in button.help.replace("\\", "")
    assert not app.button(key="memory_apply_batch").disabled
    assert any("pip install liger-kernel" in str(item.value).replace("\\", "") for item in app.markdown)
    installed(services, **{"liger-kernel": "0.8.5"})
    pages.good(app.run())
    assert not app.button(key="memory_apply_liger").disabled


def test_make_it_fit_leaves_out_what_is_not_installed_and_tells_of_it_apart(app: AppTest, services: Services) -> None:
    app.session_state[memory_fit.CARD] = "24 GB"
    pages.good(app.run())
    assert t("memory.lacks_unknown") in [str(item.value) for item in app.caption]
    installed(services)
    pages.good(app.run())
    (diff,) = [item.value for item in app.dataframe if t("memory.col_from") in item.value]
    assert len(diff) == 2, "batch and accumulation"
    told = " ".join(str(item.value) for item in app.info).replace("\\", "")
    assert "Another way: " in told and "/env/python -m pip install liger-kernel" in told
    press(app, "memory_apply")
    assert held(app)["top.booster"] == "auto" and held(app)["top.quantization_bit"] in (None, "none")
    app.session_state[memory_fit.CARD] = "12 GB"
    pages.good(app.run())
    told = " ".join(str(item.value) for item in app.info)
    assert "It would fit with" in told and "`/env/python -m pip install 'bitsandbytes>=0.39.0'`" in told, "as code"
    assert app.button(key="memory_apply").disabled
    assert t("memory.lacks_unknown") not in [str(item.value) for item in app.caption]


def test_what_no_setting_makes_fit_is_said(app: AppTest) -> None:
    app.session_state["do"] = {"top.model_path": "Qwen/Qwen2.5-72B-Instruct", "top.finetuning_type": "full"}
    app.session_state[memory_fit.CARD] = "8 GB"
    pages.good(app.run())
    (told,) = [str(item.value) for item in app.warning]
    need, short, room = map(float, re.findall(r"([\d.]+) GiB", told))
    assert short == pytest.approx(need - room, abs=0.11) and 6 < room < 8
    assert app.button(key="memory_apply").disabled


def test_the_model_may_be_shared_by_more_gpus_of_the_machine(app: AppTest, services: Services) -> None:
    services.devices = Devices(tuple(Gpu(n, "", True) for n in range(4)), 2)
    app.session_state["do"] = {"train.gpu_count": 1, "train.gpu_fits": True}
    pages.good(app.run())
    press(app, "memory_apply_more_gpus")
    assert (held(app)["train.gpu_count"], held(app)["train.ds_stage"]) == ("2", "3")
    assert app.session_state["train.gpu_fits"] is None, "a promise that several cannot have"


def test_cards_one_and_several(app: AppTest, services: Services) -> None:
    app.session_state[memory_dialog.PART] = "cards"
    pages.good(app.run())
    (table,) = [item.value for item in app.dataframe if t("memory.col_card") in item.value]
    assert len(table) == len(CARDS)
    assert {str(cell)[0] for cell in table["1 ×"]} >= {"✓", "↓"}
    assert [name for name in table[t("memory.col_card")] if " · " in name] == ["80 GB · GPU 0"]
    assert t("memory.cards_changes") in [str(item.value) for item in app.caption]
    installed(services)
    pages.good(app.run())
    (table,) = [item.value for item in app.dataframe if t("memory.col_card") in item.value]
    assert str(table["1 ×"][0])[0] == "✗" and any("`/env/python" in str(item.value) for item in app.caption)


def test_a_dry_run_is_begun_told_called_off_and_its_answer_shown(app: AppTest, services: Services) -> None:
    services.cli = Cli("/a/llamafactory-cli", "/a/python")
    pages.good(app.run())
    asked: list[threading.Event] = []

    def measured(_services: Services, foretold: Foretold, stop: threading.Event) -> Foretold:
        asked.append(stop)
        if len(asked) == 1:
            stop.wait(30)
        return replace(foretold, measured=True)

    with mock.patch.object(asking, "measure", measured):
        press(app, "memory_measure_go")
        assert any(str(item.value).startswith("Measuring") for item in app.caption)
        wait_for(lambda: asked, 10)
        press(app, "memory_cancel")
        assert asked[0].is_set() and app.button(key="memory_measure_go") is not None
        press(app, "memory_measure_go")
        wait_for(lambda: any(work.found for work in services.dry_runs._held.values()), 10)
        pages.good(app.run())
    assert any(t("memory.measured") in str(item.value) for item in app.caption)


def test_why_there_is_no_dry_run_is_said(app: AppTest) -> None:
    button = app.button(key="memory_measure_go")
    assert button.disabled and "LFDASH_CLI" in str(button.help)


def test_a_dry_run_that_fails_says_why(app: AppTest, services: Services) -> None:
    services.cli = Cli("/a/llamafactory-cli", "/a/python")
    pages.good(app.run())
    late = Refused("memory_time", {"seconds": 120})
    with mock.patch.object(asking, "measure", return_value=late):
        press(app, "memory_measure_go")
        wait_for(lambda: any(work.found for work in services.dry_runs._held.values()), 10)
        pages.good(app.run())
    assert any("did not end in 120 seconds" in str(item.value) for item in app.warning)


def test_the_whole_run_tells_tokens_once_the_lengths_are_measured(app: AppTest, services: Services) -> None:
    app.session_state[memory_dialog.PART] = "run"
    pages.good(app.run())
    assert app.button(key="memory_lengths").disabled and t("memory.run_unknown") in [str(i.value) for i in app.info]
    services.cli = Cli("/a/llamafactory-cli", "/a/python")
    app.session_state["do"] = {"train.dataset": ["mine"]}
    counted = mock.patch.object(whole_run, "count_tokens", return_value=Lengths((100,) * 32))
    with counted, mock.patch.object(whole_run, "rows_used", return_value=32):
        pages.good(app.run())
        assert not app.info and t("memory.run_not_measured") in app.table[0].value.to_string()
        press(app, "memory_lengths")
        told = {str(name): str(value) for name, value in app.table[0].value.itertuples()}
    assert told[t("memory.run_tokens")] == "3,200" and told[t("memory.run_rows")] == "32"
