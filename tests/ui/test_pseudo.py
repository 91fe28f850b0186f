"""Every text on every page comes from a locale: seen in a language that marks all of its own.

Exempt: LLaMA-Factory's own help, names (of models, arguments, choices, files), log and data text, code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash import locales
from lfdash.data.formats import FORMATS
from lfdash.engine.services import Services
from lfdash.jobs.fields import FIELDS, GROUPS
from lfdash.jobs.resources import ResourceRequest
from lfdash.llamafactory.deep_check import Verdict
from lfdash.llamafactory.token_lengths import Lengths
from lfdash.outcomes import Problem, Refused
from lfdash.runs.compare.address import TABS, of_runs
from lfdash.runs.record import RunRecord, RunState
from lfdash.runs.view import Reason, RunView, Saved, Waiting
from lfdash.ui.data import lengths, new
from lfdash.ui.data import page as data
from lfdash.ui.form import preview
from lfdash.ui.form.origin import NEW
from lfdash.ui.form.state import Form
from lfdash.ui.shared import layout, session
from lfdash.ui.shared.answers import SHOWN
from tests.support import app as pages
from tests.support import pseudo
from tests.support.runs import fake_cli, plan_for, wait_end
from tests.support.sweeps import add_sweep

# Data text: rows and names that the files below hold. `lfdash`, `tok`, `GB` and `GiB` are no words of a language.
DATA = {"rows", "pairs", "online", "broken", "new", "mine", "ask", "say", "hello", "world", "instruction", "output",
        "done", "failed", "odd", "scored", "merged", "absent", "fast", "nope", "zzz", "bad",
        "prompt", "response", "list", "out", "chosen", "rejected", "columns", "true", "fail"}
NAMES = DATA | {"lfdash", "tok", "GPU", "GB", "GiB", "MB", "kB", "YAML", *map(locales.name_of, locales.available())}


@dataclass
class Site:
    """The pages in the marking language, with all that they can show."""

    services: Services
    names: set[str]
    said: list[str]  # whole texts of others: the parser's, the file system's

    def open(self, page: str = "app.py") -> AppTest:
        app = pages.start()
        return app if page == "app.py" else pages.good(app.switch_page(page).run())

    def check(self, app: AppTest) -> None:
        """All that the page shows now is marked."""
        pages.good(app)
        assert pseudo.faults(app, self.names, self.said) == []

    def view(self, name: str) -> RunView:
        found = self.services.registry.get(f"id-{name}")
        assert found is not None
        return found


def known_names(services: Services) -> set[str]:
    """Names of LLaMA-Factory and of this machine: as they stand, and the words they are made of."""
    upstream = services.upstream
    found = {str(item) for row in FIELDS if not isinstance(row.choices, str) for item in row.choices}
    for argument in upstream.arguments.values():
        found |= {argument.name, argument.group, argument.type, str(argument.default), *map(str, argument.choices)}
    found |= {*upstream.models, *upstream.templates}
    return {word for name in found for word in (name, *name.replace("[", " ").replace("]", " ").split())} | NAMES


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("pseudo") / "workspace"
    (root / "data").mkdir(parents=True)
    files = {
        "rows.json": json.dumps([{"instruction": "ask", "output": "say"}] * 3), "broken.json": '[{"a": 1},\n {]',
        "new.jsonl": '{"hello": "world"}\n',
        "dataset_info.json": json.dumps({
            "rows": {"file_name": "rows.json", "columns": {"prompt": "instruction", "response": "output"}},
            "pairs": {"file_name": "rows.json", "ranking": True}, "broken": {"file_name": "broken.json"},
            "absent": {"file_name": "absent.json"}, "online": {"hf_hub_url": "some/where"},
        }),
    }
    for name, content in files.items():
        (root / "data" / name).write_text(content)
    cli = fake_cli(root.parent)
    marking = mock.patch.object(locales, "catalogue", lambda _code: pseudo.PSEUDO)
    with mock.patch.dict(os.environ, LFDASH_CLI=cli), pages.opened(root) as services, marking:
        services.registry.start()
        for name, args in {"done": {"steps": 3}, "failed": {"fail": "error"}, "odd": {"fail": "exit:3"}}.items():
            run(services, "train", name, cli, args)
        scored = run(services, "eval", "scored", cli, {"steps": 1})
        (scored.path / "all_results.json").write_text('{"predict_rouge-1": 51.5}')
        rows = [{"prompt": "ask", "label": "say", "predict": "hello"}] * 30
        (scored.path / "generated_predictions.jsonl").write_text("\n".join(map(json.dumps, rows)))
        run(services, "export", "merged", cli, {"steps": 1})
        said = [
            str(root), "Expecting property name enclosed in double quotes", "no traceback here",
            "ValueError: Undefined dataset nope in dataset_info.json.",
        ]
        yield Site(services, known_names(services) | {cli, os.uname().nodename}, said)


def run(services: Services, kind: str, name: str, cli: str, args: dict[str, Any]) -> RunView:
    """A run of the stand-in, to its end."""
    plan = plan_for(services.workspace.root, name=name, cli=cli, **args)
    record = RunRecord.new(plan, kind=kind, name=name, model="m", stage="sft", method="lora")
    services.registry.launch(plan, record)
    return wait_end(services.registry, plan.run_id)


def test_marks() -> None:
    """The check itself can fail: plain words are found, marks, names and numbers are not."""
    assert pseudo.marked("Stopped: {run!r} at {n:.2f}.") == "⟦Stopped: ⟧{run!r}⟦ at ⟧{n:.2f}⟦.⟧"
    assert pseudo.unmarked("⟦Loss⟧ 2.5 demo-1 **⟦x⟧** :material/error: `code` lora", {"lora"}, ["Their words"]) == []
    assert pseudo.unmarked("⟦Loss⟧ today, Их: saves/a/b", set(), []) == ["today", "Их"]


STAGES = [("sft", "lora"), ("rm", "full"), ("ppo", "lora"), ("dpo", "freeze"), ("kto", "oft"), ("pt", "full")]


SWITCHES = ("train.use_galore", "train.use_apollo", "train.use_badam", "train.use_swanlab", "train.use_llama_pro")


def test_every_group_of_the_form(site: Site) -> None:
    app = site.open()
    pages.widget(app, "selectbox", "page.preset_pick").set_value(NEW)
    site.check(app.run())
    app.session_state["train.form.more.names"] = ["adam_beta1", "group_by_length", "no_such"]
    open_all(app)
    for key in SWITCHES:
        app.session_state[key] = True
    for stage, method in STAGES:
        app.session_state["train.training_stage"], app.session_state["top.finetuning_type"] = stage, method
        site.check(app.run())


def open_all(app: AppTest) -> None:
    for group in (*GROUPS, None):
        app.session_state[f"open_{group.name if group else 'more'}"] = True


def test_filter(site: Site) -> None:
    app = site.open()
    for wanted in ("lora", "rate", "zzz"):
        app.session_state["page.filter"] = wanted
        site.check(app.run())


BROKEN = {
    "train.learning_rate": "fast", "train.num_train_epochs": "1e9", "train.dataset": ["nope", "pairs"],
    "train.output_dir": "../out", "train.compute_type": "bf16", "top.template": "nope", "train.val_size": "0.1",
    "train.eval_dataset": ["rows"], "train.logging_steps": "1000", "train.neat_packing": True, "train.use_galore": True,
}


def test_problems(site: Site) -> None:
    app = site.open()
    for key, value in BROKEN.items():
        app.session_state[key] = value
    app.session_state["train.form.more.raw"] = "- no\n- mapping"
    app.button(key="start").click()
    pages.good(app.run())
    site.check(app.run())
    assert any("fast" in words for _, words in pseudo.shown(app._tree))
    app.session_state["train.form.more.raw"] = "learning_rte: 1\noutput_dir: x\nlearning_rate: 1\nuse_unsloth: true"
    site.check(app.run())


def test_changed_and_reset(site: Site) -> None:
    app = site.open()
    for key, value in {"train.learning_rate": "1e-3", "train.packing": True, "train.training_stage": "kto"}.items():
        app.session_state[key] = value
    site.check(app.run())


SAVED = Saved("adapter", 3, (2, 3))
SHORT = {"asked": "2", "free": "1", "who": "GPU 0: done"}
WAITS = (Reason("slots", {"run": "done"}), Reason("paused", {}), Reason("short", SHORT))
STATES: list[dict[str, Any]] = [
    *({"state": state, "saved": SAVED} for state in RunState),
    {"state": RunState.SUCCEEDED, "saved": Saved("model", None, ())},
    {"state": RunState.SUCCEEDED, "record": None},
    {"state": RunState.STOPPED, "saved": Saved()},
    {"state": RunState.LOST, "saved": Saved(), "lost": "boot"},
    {"state": RunState.LOST, "saved": Saved(), "lost": "host"},
    {"state": RunState.LOST, "saved": Saved(), "lost": "launcher"},
    *({"state": RunState.STOPPING, "awaiting": what} for what in (
        "data", "save", "evaluation", "term", "kill", "stuck", "exit")),
    *({"state": RunState.QUEUED, "waiting": Waiting(1, ResourceRequest(), None, reason)} for reason in WAITS),
    {"state": RunState.QUEUED, "waiting": Waiting(1, ResourceRequest())},
    {"state": RunState.HELD, "waiting": Waiting(2, ResourceRequest(), Reason("after_failure", {"run": "done"}))},
]


def test_every_state_of_a_run(site: Site) -> None:
    app = site.open()
    done, registry = site.view("done"), site.services.registry
    others = [item for item in registry.snapshot() if item.run_id != done.run_id]
    app.session_state[SHOWN] = done.run_id
    for changes in STATES:
        view = replace(done, **changes)
        with (
            mock.patch.object(registry, "snapshot", return_value=[view, *others]),
            mock.patch.object(registry, "get", return_value=view),
        ):
            site.check(app.run())
    for tab in ("curves", "files", "configuration"):
        app.session_state["page.tab_train"] = tab
        site.check(app.run())


def test_a_failure(site: Site) -> None:
    app = site.open()
    for name in ("failed", "odd"):
        app.session_state[SHOWN] = f"id-{name}"
        site.check(app.run())
        assert app.error


def test_a_taken_name(site: Site) -> None:
    app = site.open()
    with mock.patch.object(Form, "problems") as found:
        found.return_value = (Problem("train.output_dir", "name_taken", {"value": "done"}),)
        app.session_state["train.form.checked"] = True
        view = replace(site.view("done"), output_dir="saves/demo-llama/lora/done")
        app.session_state["train.output_dir"] = "done"
        with mock.patch.object(site.services.registry, "snapshot", return_value=[view]):
            site.check(app.run())


def test_the_preview(site: Site) -> None:
    app = site.open()
    app.session_state["train.learning_rate"] = "fast"
    app.button(key="preview").click()
    pages.good(app.run())
    assert app.button(key="deep_check")
    site.check(app)


def deep_check_page() -> None:
    """The part of the preview that asks; AppTest closes a dialog at the next click."""
    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form import preview
    from lfdash.ui.form.state import Form
    from lfdash.ui.shared.session import shared_services

    form = Form(shared_services(), DEFAULT)
    preview.draw_deep_check(form.services, form.read().job)


def test_the_deep_check(site: Site) -> None:
    app = pages.good(AppTest.from_function(deep_check_page).run())
    refused = [Refused(f"asked_{code}", {"reason": "7"}) for code in ("said", "python", "time", "exit")]
    for answer in ([Verdict("")], [Verdict("done", "train.dataset")], *refused):
        with mock.patch.object(preview, "deep_check", return_value=answer):
            app.button(key="deep_check").click()
            site.check(app.run())
            assert app.warning or app.error or app.success


def test_evaluate_and_export(site: Site) -> None:
    for page, tabs in (("evaluate", ("results", "predictions", "log")), ("export", ("log", "files"))):
        app = site.open(f"pages/{page}.py")
        kind = "eval" if page == "evaluate" else "export"
        open_all(app)
        for tab in tabs:
            app.session_state[f"page.tab_{kind}"] = tab
            site.check(app.run())
        app.button(key="start").click()
        pages.good(app.run())
        site.check(app.run())
        with mock.patch.object(site.services.registry, "snapshot", return_value=[]):
            site.check(site.open(f"pages/{page}.py"))


def test_data(site: Site) -> None:
    app = site.open("pages/data.py")
    for name in ("rows", "pairs", "broken", "absent", "online"):
        app.session_state[data.PICK] = name
        site.check(app.run())


def test_data_lengths(site: Site) -> None:
    app = site.open("pages/data.py")
    app.session_state["top.model_path"], app.session_state[data.PICK] = "models/some-model", "rows"
    for found in (Lengths((1, 9999)), Lengths((1,)), Refused("asked_said", {"reason": "done"})):
        with mock.patch.object(lengths, "count_tokens", return_value=found):
            pages.good(app.run())
            app.button(key="data.measure").click()
            site.check(app.run())


def test_own_data(site: Site) -> None:
    app = site.open("pages/data.py")
    app.session_state[new.SOURCE] = "local"
    site.check(app.run())
    for file in ("new.jsonl", None):
        app.session_state[new.LOCAL] = file
        site.check(app.run())
    app.session_state[new.LOCAL] = "new.jsonl"
    pages.good(app.run())
    for item in FORMATS:
        app.session_state[new.FORMAT] = item.name
        site.check(app.run())
    app.session_state["data.folder"] = "../out"
    site.check(app.run())
    app.session_state["data.folder"] = "nowhere"
    site.check(app.run())


def test_comparing(site: Site) -> None:
    app = site.open("pages/compare.py")
    site.check(app)
    app.session_state["compare.state"] = of_runs(["id-done", "id-failed", "id-odd", "id-scored", "id-never"])
    for tab in TABS:
        app.session_state["compare.state"] = replace(app.session_state["compare.state"], tab=tab)
        site.check(app.run())


def test_sweeps(site: Site) -> None:
    app = site.open("pages/sweep.py")
    site.check(app)
    ends = (2.0, 1.5, "pruned", "by_hand", 1.25, "gone")
    view = add_sweep(
        session._sweeps[0], {"learning_rate": "0.001, 0.002, 0.003", "lora_rank": [8, 16]}, ends, name="mine",
        stop_early="median",
    )
    site.names |= {"nan", "mine", "loss", "learning_rate", "lora_rank", *(trial.name for trial in view.trials)}
    site.check(app.run())
    app.query_params["sweep"] = view.id
    site.check(app.run())
    app.query_params["sweep"] = "mine-not"
    site.names.add("mine-not")
    site.check(app.run())


def test_the_reference(site: Site) -> None:
    site.check(site.open("pages/arguments.py"))


def test_opening_and_saving(site: Site) -> None:
    app = site.open()
    pages.widget(app, "text_input", "config.name").set_value("mine")
    pages.good(app.run())
    app.button(key="config.save").click()
    site.check(app.run())
    pages.widget(app, "text_input", "config.name").set_value("mine")
    site.check(app.run())
    pages.widget(app, "selectbox", "config.pick").set_value("mine")
    site.check(app.run())
    pages.widget(app, "text_input", "config.new_name").set_value(".bad")
    app.button(key="config.rename").click()
    site.check(app.run())


FILES = {
    "list": "- a", "yaml": "a: [", "empty": "{}", "twice": "a: 1\na: 2", "key": "1: 2", "odd": "? [a]\n: b",
    "large": "#" * 1_000_001, "board": "top.model_name: [1]\ntrain.nonsense: 1", "json": '{"a": 1, "a": 2}',
    "fine": "learning_rate: fast\nno_such: 1", "many": "a: [" + "1," * 30_000 + "]", "deep": "a: " + "[" * 200,
    "form": "top.model_name: x\ntrain.learning_rate: '1e-4'\ntrain.nonsense: 1",
}


def test_files(site: Site) -> None:
    site.said += ["expected the node content, but found '<stream end>'", "did not find expected node content"]
    app = site.open()
    for content in FILES.values():
        app.get("file_uploader")[0].set_value(("file.yaml", content.encode(), "text/yaml"))
        site.check(app.run())


def test_a_chat(site: Site) -> None:
    app = site.open("pages/chat.py")
    open_all(app)
    site.check(app.run())


def test_nothing_can_be_started(site: Site) -> None:
    for what in ("preview", "variable", "cli", "platform"):
        refused = Refused(f"blocked_{what}")
        with mock.patch.object(Services, "blocked", refused), mock.patch.object(site.services, "by_entry", False):
            site.check(site.open())


def test_every_page_is_looked_at() -> None:
    """A new page needs a test here."""
    here = Path(__file__).read_text(encoding="utf-8")
    assert [path for path, _ in layout.PAGES if Path(path).name not in here and Path(path).stem not in here] == []


def test_the_title_and_the_menu(site: Site) -> None:
    with mock.patch.object(layout.st, "set_page_config") as told:
        for page, _ in layout.PAGES:
            site.open(page)
    for call in told.call_args_list:
        words = [call.kwargs["page_title"], *call.kwargs["menu_items"].values()]
        assert [left for text in words for left in pseudo.unmarked(text, {"lfdash"}, [])] == []
