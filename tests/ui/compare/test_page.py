"""The Compare page without a browser: what is chosen, what is told of it, and the address that says all of it."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.locales import available
from lfdash.runs.record import RunState
from lfdash.ui.compare import page, predictions, relation, settings
from lfdash.ui.curves.settings import CurveSettings
from tests.support import app as pages
from tests.support.many import add_plain, add_run
from tests.ui.compare.conftest import PAIR, address, html, predict, press, visit, words


def cells(app: AppTest, name: str) -> list[str]:
    """The texts of the row of a table."""
    row = re.search(rf'<tr><th scope="row">(?:<code>)?{re.escape(name)}(?:</code>)?</th>(.*?)</tr>', html(app))
    assert row is not None, name
    return [" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in re.findall("<td[^>]*>(.*?)</td>", row[1])]


def places(part: Any, text: str) -> list[tuple[int, ...]]:
    """Where in a part of the page HTML with this text stands: the numbers of the blocks, then that of the element."""
    if not hasattr(part, "children"):
        return [()] if part.type == "html" and text in part.proto.body else []
    return [(number, *place) for number, child in part.children.items() for place in places(child, text)]


def ids_of(services: Services, *names: str) -> list[str]:
    """The ids of runs that have just come."""
    services.registry.refresh()
    services.registry.summaries.step(services.registry.snapshot(), budget=60)
    ids = {view.name: view.run_id for view in services.registry.snapshot()}
    return [ids[name] for name in names]


def plain_words(app: AppTest) -> str:
    """The texts without what keeps names from being markup."""
    return words(app).replace("\\", "").replace("\u2060", "")


def test_without_runs_it_says_how_to_choose_some(several: Services) -> None:
    app = visit()
    assert "Choose runs to compare" in words(app) and address(app) == {}
    app = press(app, "compare_newest")
    plain = next(view.run_id for view in several.registry.snapshot() if view.record is None)
    assert address(app) == {"runs": f"{plain},id-fast"}


def test_two_runs_with_their_numbers_and_the_settings_that_differ(several: Services) -> None:
    app = visit(PAIR)
    text = html(app)
    assert text.count("<small>baseline</small>") == 2  # of the numbers and of the settings
    assert cells(app, "learning_rate") == ["1e-05", "0.001"]
    assert cells(app, "Steps")[0] == "60" and cells(app, "Steps")[1].startswith("40")
    assert all(row in text for row in ("at step 40, smoothed (half-life 2 steps)", "Best, raw", "Last, raw"))
    assert "**fast** goes no further" in words(app) and "Raw: as logged." in words(app)
    assert ">template<" not in text and ">output_dir<" not in text and ">seed<" not in text
    app.session_state[settings.ALL] = True
    app = pages.good(app.run())
    assert cells(app, "seed") == ["42", "42 default"] and cells(app, "lora_rank") == ["8", "8 default"]
    assert len(app.get("bidi_component")) == 1 and not app.exception


def test_a_value_of_an_earlier_step_names_it(several: Services) -> None:
    """Nothing was evaluated at step 30, and no value stands between those of 20 and 40."""
    add_run(several.workspace.root, "short", steps=30, total=30)
    several.registry.refresh()
    several.registry.summaries.step(several.registry.snapshot(), budget=60)
    app = visit({"runs": "id-slow,id-short"})
    (earlier,) = [row for row in re.findall("<tr>.*?</tr>", html(app)) if "at step 20" in row and "at step 30" in row]
    assert earlier.count("<small>at step 20</small>") == 2 and "last value logged there or before" in words(app)
    assert "last value logged there or before" not in words(visit(PAIR))


def test_the_best_of_what_is_logged_is_called_a_single_value(several: Services) -> None:
    rows = re.findall("<tr>.*?</tr>", html(visit(PAIR)))
    assert 2 in [row.count("single value at step") for row in rows if ">Best" in row]


def test_the_half_life_of_the_table_is_not_that_of_the_curves(several: Services) -> None:
    rows = [re.findall("at step 40[^<]*<.*?</tr>", html(visit(query))) for query in (PAIR, {**PAIR, "smooth": "20"})]
    assert rows[0] == rows[1] and "half-life 2 steps" in rows[0][0]


def test_time_speed_and_memory_are_neither_better_nor_worse(several: Services) -> None:
    took = html(visit({**PAIR, "base": "id-fast"})).partition("Time, speed, memory")[2].partition("</table>")[0]
    assert re.search(r"[+−][\d.]+ %", took) and not re.search("better|worse|★", took)


def test_better_and_worse_are_said_in_words(several: Services) -> None:
    app = visit({**PAIR, "base": "id-fast"})
    text = html(app)
    assert re.search(r"[+−][\d.]+ %, (better|worse)", text) and "★" in text


def test_the_address_says_all_and_gives_it_back(several: Services) -> None:
    query = {
        "runs": "id-slow,,id-fast", "base": "id-fast", "tab": "relation", "setting": "learning_rate",
        "metric": "predict_bleu-4", "x": "epoch", "smooth": "20", "log": "1",
    }
    app = visit(query)
    assert address(app) == query
    assert app.session_state["curves.settings"][1] == CurveSettings(x="epoch", span=20.0, log=True)
    other = visit(address(app))
    assert address(other) == query


def test_an_address_may_name_runs(several: Services) -> None:
    app = visit({"runs": "slow,id-fast", "base": "fast"})
    assert address(app) == {"runs": "id-slow,id-fast", "base": "id-fast"}


def test_runs_come_and_go_and_keep_their_colours(several: Services) -> None:
    app = visit(PAIR)
    app = press(app, "compare_drop_id-slow")
    assert address(app) == {"runs": ",id-fast"} and "Add a second run" in words(app)
    app.session_state["compare.find"] = "eval-s"
    app = pages.good(app.run())
    app = press(app, "compare_add_id-eval-slow")
    assert address(app) == {"runs": "id-eval-slow,id-fast"}
    app = press(app, "compare_base_id-fast")
    assert address(app) == {"runs": "id-eval-slow,id-fast", "base": "id-fast"}
    assert "Evaluations have scores, not curves: **eval-slow**" in plain_words(app)
    app = press(app, "compare_clear")
    assert address(app) == {} and "Choose runs" in words(app)


def test_what_the_curves_write_into_the_address_takes_nothing_back(several: Services) -> None:
    app = visit(PAIR)
    app.query_params["x"] = "epoch"  # as ui/curves does when another axis is chosen
    app.session_state["curves.settings"] = (app.session_state["curves.settings"][0], CurveSettings(x="epoch"))
    app = press(app, "compare_base_id-fast")
    assert address(app) == {**PAIR, "base": "id-fast", "x": "epoch"}
    app.query_params["runs"] = "id-slow"  # a link that was followed, or Back
    del app.query_params["base"]
    assert address(pages.good(app.run())) == {"runs": "id-slow", "x": "epoch"}


def test_a_link_to_the_page_alone_means_the_runs_of_before(several: Services) -> None:
    app = visit(PAIR)
    app.switch_page("pages/runs.py")
    app = pages.good(app.run())
    for name in list(app.query_params):
        del app.query_params[name]
    app.switch_page("pages/compare.py")
    app = pages.good(app.run())
    assert address(app)["runs"] == PAIR["runs"]


def test_what_cannot_be_compared_is_told_by_name_and_drops_nobody(several: Services) -> None:
    root = several.workspace.root
    refused = several.registry.archive.discard("id-fast")
    assert refused is None
    plain = next(view.run_id for view in several.registry.snapshot() if view.record is None)
    folder = root / "saves" / "demo-llama" / "lora" / "eval-slow"
    (folder / "run.json").write_text("{ spoiled")
    several.registry.refresh()
    spoiled = next(view.run_id for view in several.registry.snapshot() if view.path == folder)
    app = visit({"runs": f"id-slow,id-fast,id-gone,{plain},{spoiled}"})
    said = plain_words(app)
    assert "In the trash: **fast**" in said and "Not in this workspace (deleted or moved?): **id-gone**" in said
    assert "run.json cannot be read: **eval-slow**" in said and "no training_args.yaml): **cli**" in said
    assert cells(app, "Steps")[0] == "60" and "not known" in html(app)


def test_a_folder_that_vanishes_while_it_is_shown(several: Services) -> None:
    app = visit(PAIR)
    shutil.rmtree(several.workspace.root / "saves" / "demo-llama" / "lora" / "fast")
    several.registry.refresh()
    app = pages.good(app.run())
    assert "Not in this workspace" in words(app)


def test_scores_of_the_runs_evaluations(several: Services) -> None:
    app = visit({**PAIR, "tab": "scores"})
    assert cells(app, "predict_bleu-4") == ["40.0000", "50.0000 ★ +25.0 %, better"]
    assert "of slow" in html(app) and "of fast" in html(app) and "demo_sft" in html(app)


def test_losses_of_other_stages_are_neither_better_nor_worse(several: Services) -> None:
    for name, stage in (("by-sft", "sft"), ("by-dpo", "dpo"), ("by-dpo-2", "dpo")):
        paths = add_run(several.workspace.root, name, stage=stage)
        loss = {"by-sft": 2.0, "by-dpo": 0.5, "by-dpo-2": 0.25}[name]
        (paths.root / "all_results.json").write_text(json.dumps({"eval_loss": loss}))
    several.registry.refresh()
    mixed = cells(visit({"runs": "id-by-sft,id-by-dpo", "tab": "scores"}), "eval_loss")
    assert mixed == ["2.0000", "0.5000 −75.0 %"]
    alike = cells(visit({"runs": "id-by-dpo,id-by-dpo-2", "tab": "scores"}), "eval_loss")
    assert alike == ["0.5000", "0.2500 ★ −50.0 %, better"]


def test_the_speed_of_a_stopped_run_is_that_of_its_log(several: Services) -> None:
    for name, steps, state in (("whole", 60, RunState.SUCCEEDED), ("cut", 12, RunState.STOPPED)):
        paths = add_run(several.workspace.root, name, steps=steps, state=state)
        told = {"train_runtime": 1000.0, "train_steps_per_second": 0.6, "train_samples_per_second": 4.8}
        (paths.root / "all_results.json").write_text(json.dumps(told))
    several.registry.refresh()
    several.registry.summaries.step(several.registry.snapshot(), budget=60)
    rows = {row.name: row for row in several.table.rows(several.registry.snapshot())}
    view = several.registry.get("id-cut")
    assert view is not None
    own = several.registry.summaries.get(view).summary.whole.steps_per_s
    assert own is not None and rows["cut"].details.scores["train_steps_per_second"] == own
    assert rows["whole"].details.scores["train_steps_per_second"] == 0.6
    app = visit({"runs": "id-whole,id-cut", "tab": "scores"})
    whole, cut = cells(app, "train_steps_per_second")
    assert whole == "0.6000" and cut.startswith("0.6000 by the log: ") and "%" not in cut
    assert "by the log" in cells(app, "train_samples_per_second")[1]
    turned = cells(visit({"runs": "id-cut,id-whole", "tab": "scores"}), "train_steps_per_second")
    assert turned[1] == "0.6000", "nothing is compared with a number that is wrong"


def test_files_that_are_pointers_are_told(several: Services) -> None:
    paths = add_plain(several.workspace.root, "pointed")
    paths.trainer_log.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 12345\n")
    several.registry.refresh()
    app = visit({"runs": "id-slow,pointed"})
    assert "git-lfs pointers" in plain_words(app) and "**pointed**" in plain_words(app)
    assert "No step logged yet" not in plain_words(app)


def test_predictions_that_differ(several: Services) -> None:
    app = visit({**PAIR, "tab": "predictions"})
    text = html(app)
    assert "a <del>cat</del> &lt;b&gt;" in text and "a <ins>dog</ins> &lt;b&gt;" in text
    assert "the same" not in text and "has no row with this prompt" in text
    assert "In both: 2. Different: 2. Only left: 1." in words(app)
    app.session_state[predictions.ALL] = True
    app = pages.good(app.run())
    assert "the same" in html(app)
    app.session_state[predictions.FIND] = "dog"
    app = pages.good(app.run())
    assert "<ins>dog</ins>" in html(app) and "only here" not in html(app)


def test_two_evaluations_of_one_name_are_called_differently(several: Services) -> None:
    """As folders are called that were copied from elsewhere."""
    for model, answer in (("one", "a"), ("two", "b")):
        paths = add_plain(several.workspace.root, "predict", model=model)
        (paths.root / "predict_results.json").write_text('{"predict_bleu-4": 1.0}')
        predict(paths.root, {"one": answer})
    several.registry.refresh()
    several.registry.summaries.step(several.registry.snapshot(), budget=60)
    ids = [view.run_id for view in several.registry.snapshot() if view.name == "predict"]
    app = visit({"runs": ",".join(ids), "tab": "predictions"})
    heads = re.findall('<div class="lf-what">(predict[^<]*)</div>', html(app))
    assert sorted(heads) == ["predict · saves/one/lora/predict", "predict · saves/two/lora/predict"]


def test_scores_whose_origin_is_not_known_are_not_said_to_be_of_the_training(several: Services) -> None:
    folder = several.workspace.root / "saves" / "demo-llama" / "lora"
    (folder / "slow" / "all_results.json").write_text('{"train_loss": 1.0, "eval_loss": 2.0}')
    (folder / "fast" / "eval_results.json").write_text('{"eval_loss": 2.0}')
    text = html(visit({**PAIR, "tab": "scores"}))
    own, found = (text.partition(f">{title}<")[2].partition("</table>")[0] for title in (
        "Measured at the end of training",
        "Results in the folders of these runs (when they were measured is not known)",
    ))
    assert "slow" in own and "fast" not in own.replace("eval-fast", "") and "train_loss" in own.replace("<wbr>", "")
    assert "fast" in found and "slow" not in found


def test_what_the_folders_tell_is_among_the_settings(several: Services) -> None:
    add_plain(several.workspace.root, "theirs", model="Mistral-7B", method="lora")
    add_plain(several.workspace.root, "others", model="Qwen2.5-3B", method="full")
    shown = visit({"runs": ",".join(ids_of(several, "theirs", "others"))})
    models = [f"{model} known from the folder" for model in ("Mistral-7B", "Qwen2.5-3B")]
    assert cells(shown, "model_name_or_path") == models
    assert [cell.split()[0] for cell in cells(shown, "finetuning_type")] == ["lora", "full"]


def test_scores_on_data_that_are_not_known_are_not_compared(several: Services) -> None:
    for name, loss in (("theirs", 0.5), ("others", 2.0)):
        paths = add_plain(several.workspace.root, name)
        (paths.root / "all_results.json").write_text(json.dumps({"eval_loss": loss, "train_loss": loss}))
    shown = visit({"runs": ",".join(ids_of(several, "theirs", "others")), "tab": "scores"})
    measured = [cell for cell in cells(shown, "train_loss") if cell]
    assert "%" not in " ".join(measured) and measured, measured
    assert "Not known on which data" in words(shown) and "**theirs**, **others**" in words(shown)


def test_without_a_common_prompt_it_says_so(several: Services) -> None:
    predict(several.workspace.root / "saves" / "demo-llama" / "lora" / "eval-fast", {"other": "x", "third": "y"})
    text = words(visit({**PAIR, "tab": "predictions"}))
    assert "No prompt is in both" in text and "Only left: 3. Only right: 2." in text
    assert "In both" not in text and "All answers are the same" not in text


def test_runs_without_a_setting_are_named(several: Services) -> None:
    ids = ids_of(several, "slow", "fast", "cli")
    text = plain_words(visit({"runs": ",".join(ids), "tab": "relation", "setting": "lora_rank", "metric": "last"}))
    assert re.search(r"This setting is not known of: .*\*\*cli\*\*", text), text


def test_what_a_model_answers_is_text() -> None:
    left, right = predictions.marked_html("a <img src=x onerror=alert(1)> b", 'a <script>"</script> b')
    assert "<img" not in left and "<del>" in left and "&lt;" in left
    assert "<script" not in right and "<ins>" in right and '"' not in right


def test_other_evaluations_stand_in_the_address(several: Services) -> None:
    app = visit({**PAIR, "tab": "predictions", "pair": "id-eval-fast,id-eval-slow"})
    assert "a <del>dog</del>" in html(app) and address(app)["pair"] == "id-eval-fast,id-eval-slow"


def test_what_is_chosen_stands_in_the_address(several: Services) -> None:
    app = visit({**PAIR, "tab": "predictions"})
    pages.widget(app, "selectbox", predictions.RIGHT).set_value("id-eval-slow")
    app = pages.good(app.run())
    assert "Choose two different evaluations" in words(app)
    pages.widget(app, "selectbox", predictions.LEFT).set_value("id-eval-fast")
    app = pages.good(app.run())
    assert address(app)["pair"] == "id-eval-fast,id-eval-slow" and "a <del>dog</del>" in html(app)
    app = visit({**PAIR, "tab": "relation"})
    pages.widget(app, "selectbox", relation.METRIC).set_value("predict_bleu-4")
    app = pages.good(app.run())
    assert (address(app)["setting"], address(app)["metric"]) == ("learning_rate", "predict_bleu-4")


def test_a_setting_against_a_metric(several: Services) -> None:
    app = visit({**PAIR, "tab": "relation"})
    (chart,) = app.get("vega_lite_chart")
    assert '"learning_rate"' in chart.proto.spec and '"log"' in chart.proto.spec
    app.session_state[relation.LOOK] = "lines"
    app = pages.good(app.run())
    (chart,) = app.get("vega_lite_chart")
    assert '"place"' in chart.proto.spec


@pytest.mark.parametrize("tab", page.TABS)
def test_every_language_draws_every_part(several: Services, tab: str) -> None:
    app = visit({**PAIR, "tab": tab})
    for code in reversed(available()):
        app = pages.speak(app, code)
        assert "⟦" not in html(app)


def test_evaluations_alone_have_no_curves(several: Services) -> None:
    app = visit({"runs": "id-eval-slow,id-eval-fast"})
    assert app.get("bidi_component") == [] and "no numbers to compare" in words(app)


def test_a_run_that_is_not_there_yet_is_waited_for(several: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit({"runs": "id-slow,id-late"})
    seconds = pages.looks(monkeypatch)
    app = pages.good(app.run())
    assert 10.0 in seconds and "Not in this workspace" in words(app)
    add_run(several.workspace.root, "late")
    several.registry.refresh()
    app = pages.good(app.run())
    assert "Not in this workspace" not in words(app) and len(cells(app, "Steps")) == 2


def test_a_run_that_was_started_elsewhere_just_now_is_there_at_once(several: Services) -> None:
    add_run(several.workspace.root, "late")
    add_run(several.workspace.root, "later")
    app = visit({"runs": "id-slow,id-late,later"})
    assert "Not in this workspace" not in words(app) and len(cells(app, "Steps")) == 3


def test_what_is_told_of_runs_moves_nothing_below_it(several: Services) -> None:
    """Streamlit shows an element at its old place and at its new one while the page is drawn anew."""
    (both,) = places(visit({"runs": "id-slow,id-fast"}).main, 'aria-label="Numbers"')
    for runs in ("id-slow,id-gone", "id-slow,id-fast,id-gone,eval-slow"):
        assert places(visit({"runs": runs}).main, 'aria-label="Numbers"') == [both]


def test_the_files_of_the_settings_hold_what_is_shown(several: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[str]] = []
    monkeypatch.setattr(settings, "draw_downloads", lambda rows, *_rest: taken.append([row.name for row in rows]))
    app = visit(PAIR)
    app.session_state[settings.ALL] = True
    pages.good(app.run())
    assert "seed" not in taken[0] and "learning_rate" in taken[0] and "seed" in taken[-1]
