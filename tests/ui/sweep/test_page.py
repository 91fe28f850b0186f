"""The page of a sweep: its runs, what its settings do, and what is done with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from optuna.trial import TrialState
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.engine.sweep_study import Study
from lfdash.engine.sweep_views import SweepView
from lfdash.engine.sweeps import Sweeps
from lfdash.jobs.kinds import DEFAULT
from lfdash.outcomes import Refused
from lfdash.runs import notes
from lfdash.ui.form.keys import scoped
from lfdash.ui.form.state import BASELINE
from lfdash.ui.launch import sweep_list
from lfdash.ui.runs.tables import open_key
from lfdash.ui.shared import dialogs, session
from lfdash.ui.shared.answers import SHOWN
from lfdash.ui.shared.text import t
from lfdash.ui.sweep import actions, relation
from tests.support import app as pages
from tests.support.many import add_run
from tests.support.sweeps import add_sweep

GRID = {"learning_rate": "0.001, 0.002, 0.003", "lora_rank": [8, 16]}
ENDS = (2.0, 1.5, "pruned", "by_hand", 1.25, None)


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setattr("lfdash.engine.sweep_study.run_id_of", lambda _, number: f"id-trial{number}")
    with pages.with_fake_runs(tmp_path / "workspace", monkeypatch) as found:
        yield found


@pytest.fixture
def sweeps(services: Services) -> Sweeps:
    for number in range(5):
        add_run(services.workspace.root, f"trial{number}", age=9000 - number, args={"lora_rank": 8})
    services.registry.refresh()
    services.registry.summaries.step(services.registry.snapshot(), budget=60)
    return session._sweeps[0]


def visit(sweep: str = "", app: AppTest | None = None) -> AppTest:
    app = app or pages.start()
    app.switch_page("pages/sweep.py")
    if sweep:
        app.query_params[sweep_list.ADDRESS] = sweep
    return pages.good(app.run())


def cell(app: AppTest, column: str) -> list[Any]:
    (table,) = app.dataframe
    return list(table.value[column])


def html(app: AppTest) -> str:
    return "\n".join(str(item.proto.body) for item in app.get("html"))


def words(app: AppTest) -> str:
    kinds = ("info", "warning", "error", "caption", "markdown")
    return "\n".join(str(item.value) for kind in kinds for item in app.get(kind))


def test_the_runs_stand_best_first_with_what_became_of_them(sweeps: Sweeps) -> None:
    view = add_sweep(sweeps, GRID, ENDS, name="mine", stop_early="median")
    app = visit(view.id)
    assert cell(app, "name")[:3] == ["trial4", "trial1", "trial0"], "as they are called now"
    assert cell(app, "value")[:3] == [1.25, 1.5, 2.0] and cell(app, "at")[:3] == [30, 30, 30]
    assert cell(app, "setting.learning_rate")[:3] == [0.003, 0.001, 0.001]
    states = cell(app, "state")
    assert states[0] == "complete ★ BEST"
    assert sorted(states[3:]) == [
        "failed: it was stopped by hand", "in progress", "stopped early at 34 % (Median)"
    ]
    assert "mine" in html(app) and "5 / 6" in html(app) and 'data-state="going"' in html(app)
    assert "Complete runs shown: 3" in words(app)


def test_what_the_best_is_measured_by_is_said_beside_it(sweeps: Sweeps) -> None:
    view = add_sweep(sweeps, {"lora_rank": [8, 16, 32]}, [2.0, 1.5, None])
    app = visit(view.id)
    assert "Best so far: **trial1** · loss 1.5 · its best single value, at step 30" in words(app)
    study = Study(sweeps.folders.of(view.id), view.sweep)
    study.tell(study.note(study.trials[2], at=60, of=6), TrialState.COMPLETE, 1.0)
    app = visit(view.id, app)
    assert "Best: **trial2** · loss 1 · the median of its last 6 values, up to step 60" in words(app)


def test_importance_says_from_how_many_runs_it_is_and_that_it_is_unsure(
    sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = add_sweep(sweeps, GRID, [3.0, 3.1, 2.0, 2.1, 1.0, 1.1])
    app = visit(view.id)
    assert html(app).index("<code>learning_rate</code>") < html(app).index("<code>lora_rank</code>")
    assert t("sweep.importance_of", count=6) in words(app)
    assert t("sweep.importance_unsure", enough=relation.ENOUGH) in words(app)
    monkeypatch.setattr(relation, "ENOUGH", 6)
    assert "Unsure" not in words(visit(view.id, app))


def test_the_picture_is_a_point_or_a_line_a_run(sweeps: Sweeps) -> None:
    view = add_sweep(sweeps, GRID, ENDS)
    app = visit(view.id)
    assert len(app.get("vega_lite_chart")) == 1
    assert pages.widget(app, "selectbox", relation.SETTING).options == ["learning_rate", "lora_rank"]
    app.session_state[relation.LOOK] = "lines"
    assert len(pages.good(app.run()).get("vega_lite_chart")) == 1
    few = add_sweep(sweeps, GRID, [1.0])
    assert t("sweep.no_picture") in words(visit(few.id, app)) and not app.get("vega_lite_chart")


def test_the_best_is_trained_longer_in_a_form_that_is_filled_and_not_started(
    sweeps: Sweeps, services: Services
) -> None:
    view = add_sweep(sweeps, GRID, ENDS, {"num_train_epochs": 2})
    app = visit(view.id)
    app.button(key="sweep_longer").click()
    app = pages.good(app.run())
    assert app.session_state["train.num_train_epochs"] in (6, 6.0, "6", "6.0")
    assert float(app.session_state["train.learning_rate"]) == 0.003
    assert int(app.session_state["train.lora_rank"]) == 8
    assert app.session_state["train.output_dir"], "a fresh name"
    assert not services.registry.queue.jobs.entries() and len(services.registry.snapshot()) == 5
    assert app.session_state[SHOWN] == "id-trial4", "the best is shown beside the form"
    assert actions.GO not in app.session_state and DEFAULT.page == "app.py"


def test_what_the_form_held_can_be_had_back_also_where_it_was_not_open_yet(sweeps: Sweeps) -> None:
    view = add_sweep(sweeps, GRID, ENDS, {"num_train_epochs": 2})
    app = visit(view.id)
    before = app.session_state["train.learning_rate"]
    del app.session_state[scoped(DEFAULT, BASELINE)]  # as in a tab that begins with this page
    app.button(key="sweep_longer").click()
    app = pages.good(app.run())
    assert app.session_state["train.learning_rate"] == "0.003"
    app.button(key="undo").click()
    app = pages.good(app.run())
    assert app.session_state["train.learning_rate"] == before


def test_steps_are_what_is_longer_where_the_job_counts_steps(sweeps: Sweeps) -> None:
    view = add_sweep(sweeps, GRID, ENDS, {"max_steps": 7})
    app = visit(view.id)
    assert "max_steps is 21 instead of 7." in words(app).replace("\\", "")
    app.button(key="sweep_longer").click()
    app = pages.good(app.run())
    assert int(app.session_state["train.max_steps"]) == 21


def test_the_best_is_exported_from_its_weights(sweeps: Sweeps) -> None:
    view = add_sweep(sweeps, GRID, ENDS)
    app = visit(view.id)
    app.button(key="sweep_export").click()
    app = pages.good(app.run())
    assert app.session_state["export.export_dir"] == "exports/trial4"
    assert list(app.session_state["top.checkpoint_path"]) == ["trial4"]


def test_what_cannot_be_done_says_why(sweeps: Sweeps, services: Services) -> None:
    none = add_sweep(sweeps, GRID, [None])
    app = visit(none.id)
    assert app.button(key="sweep_export").disabled and app.button(key="sweep_export").help == t("sweep.no_best")
    assert app.button(key="sweep_compare_none").help == t("sweep.compare_one")
    done = add_sweep(sweeps, {"lora_rank": [8, 16]}, [1.0, 2.0])
    shutil.rmtree(services.registry.get("id-trial0").path)  # type: ignore[union-attr]
    services.registry.refresh()
    app = visit(done.id, app)
    assert app.button(key="sweep_stop").disabled and app.button(key="sweep_stop").help == t("sweep.is_over")
    assert app.button(key="sweep_export").help == t("outcomes.sweep_best_gone")


def test_a_sweep_that_is_over_has_its_failed_runs_tried_again(sweeps: Sweeps) -> None:
    view = add_sweep(sweeps, {"lora_rank": [8, 16]}, [1.0, "failed"])
    app = visit(view.id)
    assert app.button(key="sweep_go_on").help == t("sweep.go_on_failed", count=1)
    app.button(key="sweep_go_on").click()
    pages.good(app.run())
    (found,) = sweeps.views()
    assert [one.superseded for one in found.trials[:2]] == [False, True] and len(found.last) == 2


def test_values_that_were_tried_again_stand_once(sweeps: Sweeps) -> None:
    """Also while they wait for it."""
    view = add_sweep(sweeps, {"lora_rank": [8, 16]}, [1.0, "stopped"])
    study = Study(sweeps.folders.of(view.id), view.sweep)
    study.repeat(("stopped",))
    app = visit(view.id)
    assert cell(app, "setting.lora_rank") == [8, 16] and cell(app, "state")[1] == "stopped"
    again = study.ask()
    assert again is not None
    study.note(again, name="r16_2", queued=True)
    app = visit(view.id, app)
    assert cell(app, "name") == ["trial0", "trial2"] and cell(app, "setting.lora_rank") == [8, 16]
    assert cell(app, "state")[1].endswith(f" · {t('sweep.tries', count=2)}")
    found = sweeps.get(view.id)
    assert isinstance(found, SweepView) and actions.compared(found) == ["id-trial0", "id-trial2"]


def test_a_sweep_that_has_stopped_itself_says_why(sweeps: Sweeps) -> None:
    view = add_sweep(sweeps, GRID, ["failed", "failed", "problems"])
    sweeps.tick()
    (found,) = sweeps.views()
    assert found.state == "stopped" and found.braked and found.id == view.id
    app = visit(view.id)
    said = words(app).replace("\\", "")
    assert t("sweep.braked", count=3, why=t("sweep.why_problems")) in said
    assert app.button(key="sweep_go_on").help == t("sweep.go_on_failed", count=3)


def test_a_sweep_on_a_target_that_nobody_here_has_used_waits_and_says_so(
    sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = add_sweep(sweeps, GRID, ENDS[:5])
    told = t("scheduler.sweep_waits")
    assert told not in words(visit(view.id))
    monkeypatch.setattr(Sweeps, "waits_for_user", lambda _self, found: found.id == view.id)
    assert told in words(visit(view.id))


def test_a_sweep_whose_target_is_gone_or_broken_says_that(sweeps: Sweeps) -> None:
    """*Go on*, which the other words ask for, would change nothing."""
    found = add_sweep(sweeps, GRID, ENDS[:5])
    view = replace(found, state="going", job=found.job.on("lab"))
    path = sweeps.services.registry.targets.path
    for text, code in (("", "target_unknown"), ('[target.lab]\nkind = "slurm"\ncpus = 0\n', "target_broken")):
        path.write_text(text)
        refused = sweeps.refused(view)
        assert refused is not None and refused.code == code and not sweeps.waits_for_user(view)
    path.write_text('[target.lab]\nkind = "slurm"\n')
    assert sweeps.waits_for_user(view) and sweeps.refused(view) is None
    assert sweeps.refused(replace(view, state="stopped")) is None


def test_a_sweep_that_was_refused_says_why_it_waits(sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch) -> None:
    view = add_sweep(sweeps, GRID, ENDS[:5])
    refused = Refused("scheduler_silent", {"reason": "sbatch did not answer within 20 s"})
    monkeypatch.setattr(Sweeps, "refused", lambda _self, found: refused if found.id == view.id else None)
    said = words(visit(view.id)).replace("\\", "")
    assert t("scheduler.sweep_rests", refused=t("outcomes.scheduler_silent", **refused.params)) in said


def test_stop_and_go_on_and_a_stale_tab_that_stops_what_is_over(sweeps: Sweeps) -> None:
    view = add_sweep(sweeps, GRID, ENDS[:5])
    app = visit(view.id)
    app.button(key="sweep_stop").click()
    app = pages.good(app.run())
    assert sweeps.views()[0].state == "stopped"
    app.button(key="sweep_go_on").click()
    pages.good(app.run())
    assert sweeps.views()[0].state != "stopped"
    two = add_sweep(sweeps, {"lora_rank": [8, 16]}, [1.0, None], name="two")
    app = visit(two.id, app)
    held = Study(sweeps.folders.of(two.id), two.sweep)
    held.tell(held.trials[1], TrialState.COMPLETE, 0.5)  # it ends while the tab shows it in progress
    app.button(key="sweep_stop").click()
    app = pages.good(app.run())
    assert t("outcomes.sweep_over", name="two") in words(app).replace("\\", "")
    assert [one.state for one in sweeps.views() if one.id == two.id] == ["done"]


def test_an_address_that_means_none_and_one_by_name(sweeps: Sweeps) -> None:
    app = visit("nowhere")
    assert "There is no sweep “nowhere”" in words(app)
    assert t("sweep.none_yet") in words(visit())
    view = add_sweep(sweeps, GRID, ENDS, name="mine")
    app = visit("mine", app)
    assert app.query_params[sweep_list.ADDRESS] in (view.id, [view.id])
    app = visit()
    assert [item.label for item in app.expander] == ["mine · in progress · 5/6"]


def test_a_sweep_whose_folder_or_journal_goes_away_is_said(sweeps: Sweeps) -> None:
    view = add_sweep(sweeps, GRID, ENDS, name="mine")
    app = visit(view.id)
    (sweeps.folders.of(view.id) / "journal.log").write_text("nothing\n")
    app = pages.good(app.run())
    assert "journal.log is damaged" in words(app)
    shutil.rmtree(sweeps.folders.of(view.id))
    app = pages.good(app.run())
    assert "(any more)" in words(app) and not app.dataframe


def test_odd_names_are_shown_as_they_are(sweeps: Sweeps) -> None:
    name = "**a** <img src=x> [b](c) :red[d] $e$ `f` #"
    view = add_sweep(sweeps, GRID, ENDS, name=name)
    app = visit(view.id)
    assert "&lt;img src=x&gt;" in html(app) and "<img" not in html(app)
    app = visit()
    (label,) = [item.label for item in app.expander]
    assert "<img" not in label.replace("\\<", "") and "[b](c)" not in label


def test_the_link_from_the_dialog_closes_it(sweeps: Sweeps) -> None:
    app = pages.start()
    app.session_state[dialogs.SWEEP] = True
    assert dialogs.SWEEP not in visit(app=app).session_state


def test_the_runs_table_leads_to_the_sweep_of_a_group(sweeps: Sweeps, services: Services) -> None:
    add_sweep(sweeps, GRID, ENDS, name="mine")
    for number, tags in enumerate([("sweep mine",), ("sweep mine",), ("sweep other",)]):
        view = services.registry.get(f"id-trial{number}")
        assert view is not None and notes.save(view.paths, notes.Notes("", tags), before=view.notes) is None
    services.registry.refresh()
    app = pages.start()
    app.switch_page("pages/runs.py")
    app.query_params["group"] = "tags"
    for part in ("sweep mine", "sweep other"):
        app.session_state[open_key(f"{crc32(f'tags={part!r}'.encode()):08x}.")] = True
    app = pages.good(app.run())
    labels = [link.proto.label for link in app.get("page_link")]
    assert [label for label in labels if "sweep" in label] == ["Part of the sweep mine"]


def test_the_sweep_of_a_run(sweeps: Sweeps) -> None:
    view = add_sweep(sweeps, GRID, ENDS, name="mine")
    assert sweeps.of_run("id-trial1", ("sweep mine",)) == view
    assert sweeps.of_run("id-trial1", ("other",)) is None and sweeps.of_run("id-other", ("sweep mine",)) is None
