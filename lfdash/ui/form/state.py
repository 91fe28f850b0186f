"""The job keys of the session: seeding, loading, reading. Nothing else writes them.

The session holds one raw value a field (see `widgets`), the preset that was chosen, and whether the
problems of the form are to be shown. Everything else is derived.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from lfdash.engine import context
from lfdash.engine.context import MODEL, PATH
from lfdash.engine.defaults import MULTIMODAL, Note, fit_to_machine, fresh_name, with_model_name
from lfdash.engine.services import Services
from lfdash.jobs import checks, secret_arguments
from lfdash.jobs.args import job_from_args
from lfdash.jobs.checks import secret_argument
from lfdash.jobs.cures import EXTRA_PREFIX
from lfdash.jobs.field import Field
from lfdash.jobs.fields import BY_ID, ROWS, WATCHED
from lfdash.jobs.job import JobConfig, coerce, new_job
from lfdash.jobs.kinds import JobKind
from lfdash.jobs.llamaboard_format import implied
from lfdash.jobs.secret_arguments import looks_secret
from lfdash.outcomes import Problem, Value
from lfdash.ui.form import preferences, widgets
from lfdash.ui.form.extra_arguments import ExtraArguments
from lfdash.ui.form.keys import scoped
from lfdash.workspace.memo import Memo

PRESET = "page.preset"
PRESET_PICK = "page.preset_pick"
DRAWN = "page.drawn_kind"  # the name of the kind whose form was drawn last
# session keys that each form has for itself, through `Form.key`
CHECKED = "checked"  # Start was pressed: show what is missing, not only what is wrong
BASELINE = "baseline"  # field id -> value of the preset, to mark what differs
NOTES = "notes"  # what loading changed, as (text key, params)
HUB_NAME = "top.hub_name"
TEMPLATE = "top.template"
KNOWN = "known"  # (reading, its problems, when they were looked for)
FRESH_S = 1.0  # how long known problems serve: all groups are drawn within one run of the page
# What is missing is told when Start is pressed, what is wrong at once.
MISSING = frozenset({
    "model_missing", "name_missing", "dataset_missing", "reward_missing", "template_missing", "export_missing",
    "export_nothing",
})
ALWAYS_IMPLIED = ("train.reward_model_type", "train.pissa_convert")  # follow their field whatever they hold


@dataclass(frozen=True)
class Reading:
    """The form as a job, and the values that could not become part of it."""

    job: JobConfig
    refused: tuple[Problem, ...]


@dataclass(frozen=True)
class Form:
    """The form of one kind of job. It holds nothing itself: its values are the session's, under the ids of its fields,
    so that a callback may have a form among its arguments.

    services: of the workspace. kind: what the form's job is.
    """

    services: Services
    kind: JobKind

    @property
    def rows(self) -> tuple[Field, ...]:
        """Its rows of the table of fields."""
        return ROWS[self.kind.name]

    @property
    def output(self) -> str:
        """The id of the field that holds the run's name."""
        return f"{self.kind.name}.output_dir"

    @property
    def extra(self) -> ExtraArguments:
        """Its arguments without a field."""
        return ExtraArguments(self.kind)

    @property
    def page(self) -> str:
        """What the widgets of its page are told apart by from those of other pages with the same key."""
        return self.kind.name

    def key(self, name: str) -> str:
        """The session key of something that each form has for itself."""
        return scoped(self.kind, name)

    @property
    def checked(self) -> bool:
        """Whether Start was pressed since the form was filled."""
        return bool(st.session_state.get(self.key(CHECKED)))

    def check(self, on: bool) -> None:
        """Shows, or no longer shows, what is missing."""
        st.session_state[self.key(CHECKED)] = on

    @property
    def baseline(self) -> Mapping[str, Value]:
        """What the form was filled with."""
        found: Mapping[str, Value] = st.session_state.get(self.key(BASELINE), {})
        return found

    @property
    def notes(self) -> list[Note]:
        """What loading changed, to be told."""
        notes: list[Note] = st.session_state.get(self.key(NOTES), [])
        return notes

    def set_notes(self, notes: list[Note]) -> None:
        """Replaces what is told about what was loaded."""
        st.session_state[self.key(NOTES)] = notes

    def read(self) -> Reading:
        """The job that the session's raw values say. Refused values are problems, and are not in the job."""
        values: dict[str, Value] = {}
        refused: list[Problem] = []
        for row in self.rows:
            raw = st.session_state.get(row.id)
            if not widgets.is_given(raw):
                continue
            got = coerce(row, raw)
            if got.status == "refused" and got.problem is not None:
                refused.append(got.problem)
            elif got.value is not None:
                values[row.id] = got.value
        extra, problems = self.extra.read()
        # never part of a job: not shown, not kept, not sent
        secret = [name for name in extra if secret_arguments.is_secret(name)]
        problems += [secret_argument(name, extra[name], self.kind.name) for name in secret]
        kept = {name: value for name, value in extra.items() if name not in secret}
        return Reading(JobConfig(self.kind.name, values, kept), (*refused, *problems))

    def propose_name(self) -> None:
        """Puts a fresh run name into the form."""
        preset = st.session_state.get(PRESET) if self.kind.starts_from == "preset" else None
        st.session_state[self.output] = fresh_name(self.services, preset or self.kind.stem)

    def write(self, job: JobConfig) -> None:
        """Replaces every job key by what the job gives."""
        for row in self.rows:
            st.session_state[row.id] = widgets.to_raw(row, job.values.get(row.id))
        self.extra.write(job.extra)

    def load_preset(self, name: str) -> None:
        """Fills the form with a preset (its keys only), fitted to this machine, and a fresh run name."""
        preset = self.services.presets[name]
        job = with_model_name(self.services, job_from_args(preset.args))
        job, notes = fit_to_machine(self.services, job)
        self.show_preset(name)
        self.start_from(job, notes)

    def load_job(self, job: JobConfig, notes: list[Note]) -> None:
        """Fills the form with a loaded job: exactly what it gives, and a fresh run name when it has none."""
        self.show_preset(None)
        self.start_from(with_model_name(self.services, job), notes)

    def choose_dataset(self, name: str, directory: str, stage: str | None) -> None:
        """Puts one dataset of a data folder into the training form. stage: that it needs; None = the form's will do."""
        st.session_state["train.dataset"] = [name]
        if (st.session_state.get("train.dataset_dir") or "data") != directory:
            st.session_state["train.dataset_dir"] = directory
        if stage is not None:
            st.session_state["train.training_stage"] = stage
        self.save_draft()

    def show_preset(self, name: str | None) -> None:
        """Says which preset the form started from, to the page and to the widget that chooses it."""
        if self.kind.starts_from == "preset":
            st.session_state[PRESET] = st.session_state[PRESET_PICK] = name

    def load_new(self) -> None:
        """Fills the form with LlamaBoard's defaults, fitted to this machine."""
        job, notes = fit_to_machine(self.services, new_job(self.kind.name))
        self.show_preset(None)
        usual = preferences.usual(self.services)
        self.start_from(JobConfig(job.kind, {**job.values, **usual}, job.extra), notes)
        self.model_chosen()
        st.session_state[self.key(BASELINE)] = dict(self.read().job.values)

    def start_from(self, job: JobConfig, notes: list[Note]) -> None:
        """Makes a job the form's content and its own baseline."""
        self.write(job)
        st.session_state[self.key(BASELINE)] = dict(job.values)
        self.set_notes(notes)
        self.check(False)
        if not job.run_name:
            self.propose_name()
        self.save_draft()

    @property
    def draft(self) -> Memo:
        """Where the form is kept between sessions."""
        private, identity = self.services.workspace.private, self.services.registry.identity
        return Memo(private / f"draft-{self.kind.name}.json", identity.is_here)

    def save_draft(self) -> None:
        """Keeps the form for the next session: raw values, so that a half-typed number survives. No secrets."""
        raws = {row.id: st.session_state.get(row.id) for row in self.rows if not row.secret}
        self.draft.save(
            {
                "values": {k: raw for k, raw in raws.items() if widgets.is_given(raw) and not looks_secret(raw)},
                "more": without_secrets(self.extra.state()),
                "preset": st.session_state.get(PRESET),
                "baseline": {key: value for key, value in self.baseline.items() if not BY_ID[key].secret},
            }
        )

    def restore_draft(self) -> bool:
        """Fills the form from the kept draft. False when there is none that can be used."""
        kept = self.draft.load()
        values = kept.get("values")
        if not isinstance(values, dict) or not values:
            return False
        for row in self.rows:
            if row.scope == "top" and row.id in st.session_state:
                continue  # another page's form has filled what all share
            raw = values.get(row.id)
            st.session_state[row.id] = raw if fits(row, raw) else widgets.to_raw(row, None)
        self.extra.restore(kept.get("more"))
        preset = kept.get("preset")
        self.show_preset(preset if preset in self.services.presets else None)
        before = kept.get("baseline")
        st.session_state[self.key(BASELINE)] = before if isinstance(before, dict) else {}
        if not st.session_state.get(self.output):
            self.propose_name()
        return True

    def seed(self) -> None:
        """Fills the form once a session: the draft, else the demo (no GPU), else a new job."""
        self.carry_over()
        if self.key(BASELINE) in st.session_state or self.restore_draft():
            return
        if self.kind.starts_from == "model":
            self.seed_own()
        elif "demo" in self.services.presets and self.services.devices.gpu_count == 0:
            self.load_preset("demo")
        else:
            self.load_new()

    def carry_over(self) -> None:
        """Keeps what all pages share: a widget of another page with the same key would start empty."""
        if st.session_state.get(DRAWN) == self.kind.name:
            return
        st.session_state[DRAWN] = self.kind.name
        for row in self.rows:
            if row.id in st.session_state:
                st.session_state[row.id] = st.session_state[row.id]

    def seed_own(self) -> None:
        """Fills the fields that only this kind has; the model is the one of the form that was open before."""
        job, _ = fit_to_machine(self.services, new_job(self.kind.name))
        for row in self.rows:
            if row.scope == self.kind.name or row.id not in st.session_state:
                st.session_state[row.id] = widgets.to_raw(row, job.values.get(row.id))
        self.extra.write({})
        st.session_state[self.key(BASELINE)] = self.read().job.values
        self.propose_name()
        self.save_draft()

    def changed_ids(self) -> list[str]:
        """Fields whose value differs from the preset (or the new form) that was loaded; run name left out."""
        before = self.baseline
        return [
            row.id
            for row in self.rows
            if row.id not in (self.output, MODEL, MULTIMODAL)
            and st.session_state.get(row.id) != widgets.to_raw(row, before.get(row.id))
            and (widgets.is_given(st.session_state.get(row.id)) or before.get(row.id) is not None)
        ]

    def reset(self, field_ids: list[str]) -> None:
        """Takes fields back to the value of the preset."""
        for field_id in field_ids:
            st.session_state[field_id] = widgets.to_raw(BY_ID[field_id], self.baseline.get(field_id))
        self.save_draft()

    def apply_fix(self, fix: Mapping[str, Value | None]) -> None:
        """Writes the values that cure a problem; a key `extra.NAME` is an argument without a field."""
        for target, value in fix.items():
            if target.startswith(EXTRA_PREFIX):
                self.extra.put(target.removeprefix(EXTRA_PREFIX), value)
            else:
                st.session_state[target] = widgets.to_raw(BY_ID[target], value)
        self.save_draft()

    def model_chosen(self) -> None:
        """Fills path, template and multimodality from the model that was just chosen."""
        name = st.session_state.get(MODEL) or ""
        model = self.services.upstream.models.get(name)
        if model is None:  # one's own
            st.session_state[PATH] = preferences.path_of(self.services, name) or st.session_state.get(PATH, "")
            return
        hub = st.session_state.get(HUB_NAME) or "huggingface"
        kept = preferences.path_of(self.services, model.name)
        st.session_state[PATH] = kept or model.paths.get(hub) or next(iter(model.paths.values()), "")
        st.session_state[TEMPLATE] = model.template or "default"
        st.session_state[MULTIMODAL] = True if model.multimodal else None

    def on_change(self, field_id: str, fragment: str) -> None:
        """A field was changed: keep the draft, then redraw as little as shows the truth."""
        before = st.session_state.get(self.key(KNOWN))
        if field_id in (MODEL, HUB_NAME):
            self.model_chosen()
        preferences.remember(self.services, field_id)
        self.fill_implied(field_id)
        self.save_draft()
        if field_id in WATCHED or field_id in (MODEL, PATH, HUB_NAME) or self.checked:
            st.rerun()  # of the whole page: by itself only the widget's fragment would follow
        now_wrong = self.shown_problems(self.read())
        if before is None or marks(self.told(before[1]), field_id) != marks(now_wrong, field_id):
            st.rerun()  # a field of another group has become right or wrong
        st.rerun([fragment, "bar", "early"])

    def fill_implied(self, field_id: str) -> None:
        """Fills what a changed value implies, where nothing is given yet (LlamaBoard does it when it launches)."""
        values = self.read().job.values
        for name, value in implied(values, field_id).items():
            if name in ALWAYS_IMPLIED or not widgets.is_given(st.session_state.get(name)):
                st.session_state[name] = widgets.to_raw(BY_ID[name], value)

    def problems(self, reading: Reading) -> tuple[Problem, ...]:
        """Everything that keeps the form from being run, in the order of the form."""
        return (*reading.refused, *checks.problems(reading.job, context.of(self.services, reading.job)))

    def shown_problems(self, reading: Reading) -> tuple[Problem, ...]:
        """What is to be told now, at most FRESH_S old: before Start was pressed, without what is only missing."""
        held = st.session_state.get(self.key(KNOWN))
        if held is None or held[0] != reading or time.monotonic() - held[2] > FRESH_S:
            held = (reading, self.problems(reading), time.monotonic())
            st.session_state[self.key(KNOWN)] = held
        return self.told(held[1])

    def told(self, found: tuple[Problem, ...]) -> tuple[Problem, ...]:
        """What of all problems is to be told now."""
        return found if self.checked else tuple(problem for problem in found if problem.code not in MISSING)


def without_secrets(state: dict[str, Any]) -> dict[str, Any]:
    """What `more` keeps, without arguments that are or hold a secret."""
    given: dict[str, Any] = state["values"]
    bad = {name for name, value in given.items() if secret_arguments.is_secret(name) or looks_secret(value)}
    raw = state["raw"] or ""
    return {
        "names": [name for name in state["names"] if name not in bad],
        "values": {name: value for name, value in given.items() if name not in bad},
        "raw": raw if secret_arguments.hide(raw) == raw else "",
    }


def fits(row: Field, raw: Any) -> bool:
    """Whether a kept raw value has the type that the field's widget holds."""
    if row.kind == "bool":
        return isinstance(raw, bool)
    if row.kind == "choices":
        return isinstance(raw, list) and all(isinstance(item, str) for item in raw)
    return isinstance(raw, str)


def marks(found: Iterable[Problem], field_id: str) -> set[tuple[str | None, str]]:
    """Which other fields are marked, and for what."""
    return {(problem.field, problem.code) for problem in found if problem.field != field_id}
