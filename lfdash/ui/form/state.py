"""The job keys of the session: seeding, loading, reading. Nothing else writes them.

The session holds one raw value a field (see `widgets`), the preset that was chosen, whether the problems of
the form are to be shown, and what was replaced (see `undo`). Everything else is derived.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import streamlit as st

from lfdash.engine import context, models
from lfdash.engine.context import MODEL, PATH
from lfdash.engine.defaults import (
    MULTIMODAL,
    Note,
    fit_to_machine,
    with_model_name,
    with_model_path,
)
from lfdash.jobs import checks, secret_arguments
from lfdash.jobs.args import job_from_args
from lfdash.jobs.checks import secret_argument
from lfdash.jobs.cures import EXTRA_PREFIX
from lfdash.jobs.fields import BY_ID, WATCHED
from lfdash.jobs.job import JobConfig, coerce, new_job
from lfdash.jobs.llamaboard_format import implied
from lfdash.jobs.presets import FIRST
from lfdash.outcomes import Problem, Value
from lfdash.ui.form import draft, origin, preferences, run_name, shared_fields, undo, widgets
from lfdash.ui.form.held import BASELINE, CHECKED, NOTES, HeldForm
from lfdash.ui.form.origin import ORIGIN, PRESET
from lfdash.ui.form.run_name import PROPOSED
from lfdash.ui.shared import keyed
from lfdash.ui.shared.text import label, listed, lookup

# session keys that each form has for itself, through `Form.key`
FOLLOWED = "followed"  # the template that came with the chosen model, and the one that somebody chose before
ASKED = "asked"  # the fragment that asks what shall be done with a job whose devices are in use
FOLLOWERS = ("changed", "bar", "early", ASKED)  # fragments that follow each change of a field
SAYS = "says"  # that which says in words what a form with weights would do: it follows, too
MODEL_PICK = "page.model"  # what the one field of the model shows; the form's values are its name and path
HUB_NAME = "top.hub_name"
TEMPLATE = "top.template"
KNOWN = "known"  # (reading, its problems, when they were looked for)
COMPUTE = "train.compute_type"
# notes of what this machine, or a target, has changed, with what it was
FITTED = ("ui.note_cpu_compute", "ui.note_old_gpu", "target.note_no_gpu", "target.note_old_gpu")
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
class Form(HeldForm):
    """A form that is read, filled and changed."""

    def read(self) -> Reading:
        """The job that the session's raw values say. Refused values are problems, and are not in the job."""
        if MODEL_PICK in keyed.catch_up():
            self.choose_model(st.session_state[MODEL_PICK] or "")
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
        if self.model_unknown:
            refused.append(Problem(PATH, "model_unknown", {"value": self.model}))
        extra, problems = self.extra.read()
        # never part of a job: not shown, not kept, not sent
        secret = [name for name in extra if secret_arguments.is_secret(name)]
        problems += [secret_argument(name, extra[name], self.kind.name) for name in secret]
        kept = {name: value for name, value in extra.items() if name not in secret}
        return Reading(JobConfig(self.kind.name, values, kept), (*refused, *problems))

    def own_keys(self) -> list[str]:
        """The session keys beside those of its fields that say what the form is."""
        shared = [PRESET, ORIGIN] if self.kind.starts_from == "preset" else []
        return [*shared, *(self.key(name) for name in (BASELINE, NOTES, CHECKED, PROPOSED))]

    def save_draft(self) -> None:
        """Keeps it for the next session."""
        draft.save(self)

    def replacing(self, key: str, **params: object) -> AbstractContextManager[None]:
        """What is done inside can be taken back. key, params: the text of who does it."""
        return undo.replacing(self, (key, params))

    def write(self, job: JobConfig) -> None:
        """Replaces every job key by what the job gives."""
        for row in self.rows:
            st.session_state[row.id] = widgets.to_raw(row, job.values.get(row.id))
        self.extra.write(job.extra)

    def load_preset(self, name: str) -> None:
        """Fills the form with a preset (its keys only), fitted to this machine. What is the user's own stays: the
        model, the datasets and the run name that differ from what the form was filled with."""
        preset = self.services.presets[name]
        title = lookup("presets", preset.name)
        own_target = self.target_key in self.changed_ids() and self.read().job.target if self.filled else ""
        job = with_model_name(self.services, job_from_args(preset.args)).on(own_target or "")
        job, notes = fit_to_machine(self.services, job)
        job = job.on("")
        with self.replacing("ui.by_preset", name=str(title[0]) if title else preset.title):
            own = self.own_values() if self.filled and name != FIRST else {}
            names = [label(field_id) for field_id in own if field_id not in (MODEL, MULTIMODAL, TEMPLATE)]
            origin.show(self, name)
            self.start_from(job, [*notes, ("ui.kept_yours", {"names": listed(names)})] if names else notes)
            st.session_state.update(own)
            draft.save(self)

    def own_values(self) -> dict[str, Any]:
        """What a preset leaves alone, by session key: a model, datasets and a run name that the user chose."""
        changed = set(self.changed_ids())
        keys = {PATH, MODEL, TEMPLATE, MULTIMODAL} if PATH in changed and st.session_state.get(PATH) else set()
        folder = f"{self.kind.name}.dataset_dir"
        keys |= {folder} & changed
        for row in self.rows:
            names = st.session_state.get(row.id)
            if row.choices == "datasets" and row.id in changed and names:
                keys |= {row.id}  # of another stage, too: that is told at the field, and nothing is replaced unseen
        keys |= {self.output} if run_name.own(self) else set()
        keys |= {self.target_key} & changed
        return {row.id: st.session_state.get(row.id) for row in self.rows if row.id in keys}

    def load_job(self, job: JobConfig, notes: list[Note], by: str = "") -> None:
        """Fills the form with a loaded job: exactly what it gives, and a fresh run name when it has none. by: whose it
        is, where the notes do not name it."""
        shared_fields.enter(self)
        name = by or next((str(params["name"]) for _, params in notes if "name" in params), "")
        with self.replacing("ui.by_file" if name else "ui.by_job", name=name):
            origin.show(self, None)
            self.start_from(self.with_model(job), notes)

    def load_weights(self, job: JobConfig, notes: list[Note]) -> None:
        """Fills the form with a job that loads other weights. What is the user's own of how it is run stays: the
        settings of this kind that differ from what the form was filled with, and a typed name."""
        own = {name: st.session_state[name] for name in self.changed_ids() if name.startswith(f"{self.kind.name}.")}
        if run_name.own(self):
            own[self.output] = run_name.own(self)
        with self.replacing("ui.by_weights"):
            self.start_from(self.with_model(job), notes)
            st.session_state.update(own)
            draft.save(self)

    def choose_dataset(self, name: str, directory: str, stage: str | None) -> None:
        """Puts one dataset of a data folder into the training form. stage: that it needs; None = the form's will do."""
        with self.replacing("ui.by_dataset", name=name):
            st.session_state["train.dataset"] = [name]
            if (st.session_state.get("train.dataset_dir") or "data") != directory:
                st.session_state["train.dataset_dir"] = directory
            if stage is not None:
                st.session_state["train.training_stage"] = stage
        draft.save(self)

    def with_model(self, job: JobConfig) -> JobConfig:
        """The job with both name and path of its model, where one says the other."""
        job = with_model_path(self.services, with_model_name(self.services, job))
        name = str(job.values.get(MODEL) or "")
        kept = preferences.path_of(self.services, name) if name and PATH not in job.values else None
        return JobConfig(job.kind, {**job.values, PATH: kept}, job.extra) if kept else job

    def load_new(self) -> None:
        """Fills the form with LlamaBoard's defaults, fitted to this machine."""
        job, notes = fit_to_machine(self.services, new_job(self.kind.name))
        usual = preferences.usual(self.services)
        with self.replacing("ui.by_new"):
            origin.show(self, None, new=True)
            self.start_from(JobConfig(job.kind, {**job.values, **usual}, job.extra), notes)
            self.choose_model(preferences.last_model(self.services))
            st.session_state[self.key(BASELINE)] = dict(self.read().job.values)
            draft.save(self)

    def start_from(self, job: JobConfig, notes: list[Note]) -> None:
        """Makes a job the form's content and its own baseline."""
        self.write(job)
        st.session_state[self.key(BASELINE)] = dict(job.values)
        self.set_notes(notes)
        self.check(False)
        if not job.run_name:
            run_name.propose(self)
        draft.save(self)

    def seed(self) -> None:
        """Fills the form once a session: the draft, else the demo (no GPU), else a new job. Then a name that nobody
        typed is kept fresh."""
        shared_fields.enter(self)
        if self.filled or draft.restore(self):
            run_name.refresh(self)
        elif self.kind.starts_from == "model":
            self.seed_own()
        elif FIRST in self.services.presets and self.services.devices.gpu_count == 0:
            self.load_preset(FIRST)
        else:
            self.load_new()

    def seed_own(self) -> None:
        """Fills the fields that only this kind has; the model is the one of the form that was open before."""
        job, _ = fit_to_machine(self.services, new_job(self.kind.name))
        for row in self.rows:
            if row.scope == self.kind.name or row.id not in st.session_state:
                st.session_state[row.id] = widgets.to_raw(row, job.values.get(row.id))
        self.extra.write({})
        st.session_state[self.key(BASELINE)] = self.read().job.values
        run_name.propose(self)
        draft.save(self)

    def reset(self, field_ids: list[str]) -> None:
        """Takes fields back to the value of the preset, the model as a whole."""
        whole = [*field_ids, *((MODEL, MULTIMODAL) if PATH in field_ids else ())]
        with self.replacing("ui.by_reset"):
            for field_id in whole:
                st.session_state[field_id] = widgets.to_raw(BY_ID[field_id], self.baseline.get(field_id))
        draft.save(self)

    def apply_fix(self, fix: Mapping[str, Value | None], by: str = "ui.by_fix") -> None:
        """Writes the values that cure a problem; a key `extra.NAME` is an argument without a field. by: the text of who
        does it."""
        with self.replacing(by):
            for target, value in fix.items():
                if target.startswith(EXTRA_PREFIX):
                    self.extra.put(target.removeprefix(EXTRA_PREFIX), value)
                else:
                    st.session_state[target] = widgets.to_raw(BY_ID[target], value)
        draft.save(self)

    def undo(self) -> None:
        """Makes the form what it was before the last replacement of its content."""
        undo.take_back(self)
        origin.show_again(self)

    def redo(self) -> None:
        """Does the replacement again that `undo` took back."""
        undo.again(self)
        origin.show_again(self)

    @property
    def model(self) -> str:
        """What the one field of the model shows: a listed name, a path or hub id, or a typed name that is unknown."""
        name, path = st.session_state.get(MODEL) or "", st.session_state.get(PATH) or ""
        return models.shown(self.services, name, path)

    @property
    def model_unknown(self) -> bool:
        """Whether the field of the model holds a name that nothing is known of."""
        return bool(self.model) and not st.session_state.get(PATH)

    def choose_model(self, text: str) -> None:
        """Takes a chosen or typed model: its name, path, template and multimodality. An unknown name has no path; where
        nothing is known of its template, the one that somebody chose stays or comes back."""
        chosen = models.read(self.services, text, st.session_state.get(HUB_NAME) or "")
        st.session_state[MODEL], st.session_state[PATH] = chosen.name or None, chosen.path
        if chosen.template:
            self.follow(chosen.template)
            st.session_state[MULTIMODAL] = True if chosen.multimodal else None
        else:
            self.unfollow()

    def follow(self, template: str) -> None:
        """Sets the template that goes with a chosen model, and notes the one that somebody chose before."""
        held = st.session_state.get(self.key(FOLLOWED))
        now = st.session_state.get(TEMPLATE)
        own = held[1] if held and held[0] == now else now
        st.session_state[TEMPLATE] = template
        st.session_state[self.key(FOLLOWED)] = (template, own)

    def unfollow(self) -> None:
        """A model of which no template is known: one that came with the model before goes with it."""
        held = st.session_state.pop(self.key(FOLLOWED), None)
        if held and held[0] == st.session_state.get(TEMPLATE):
            st.session_state[TEMPLATE] = held[1]

    def on_change(self, field_id: str, fragment: str) -> None:
        """A field was changed: keep the draft, then redraw as little as shows the truth."""
        before = st.session_state.get(self.key(KNOWN))
        if field_id == HUB_NAME and self.model in self.services.upstream.models:
            self.choose_model(self.model)
        preferences.remember(self.services, field_id)
        self.fill_implied(field_id)
        if field_id == self.target_key:
            self.fit_to_target()
        proposed = st.session_state.get(self.key(PROPOSED))
        if proposed and not proposed[2] and not run_name.own(self):
            run_name.propose(self)  # it says what differs
        draft.save(self)
        if field_id in WATCHED or field_id in (PATH, HUB_NAME) or self.checked:
            st.rerun()  # of the whole page: by itself only the widget's fragment would follow
        now_wrong = self.shown_problems(self.read())
        if before is None or marks(self.told(before[1]), field_id) != marks(now_wrong, field_id):
            st.rerun()  # a field of another group has become right or wrong
        st.rerun([fragment, *FOLLOWERS, *([SAYS] if self.kind.starts_from == "model" else [])])

    def choose_target(self, name: str) -> None:
        """Chooses where the job runs, from elsewhere than the form."""
        with self.replacing("targets.by_use", name=name):
            st.session_state[self.target_key] = name
            self.fit_to_target()
        draft.save(self)

    def fit_to_target(self) -> None:
        """Another place was chosen: what the one before had decided is as the form was filled, and what the new one
        decides is said."""
        job = self.read().job
        was = {note: params for note, params in self.notes if note in FITTED}
        values = dict(job.values)
        for params in was.values():
            values[COMPUTE] = params["was"]
        fitted, notes = fit_to_machine(self.services, JobConfig(job.kind, values, job.extra))
        if self.kind.trains and (was or notes):
            st.session_state[COMPUTE] = widgets.to_raw(BY_ID[COMPUTE], fitted.values.get(COMPUTE))
        self.set_notes([*(note for note in self.notes if note[0] not in FITTED), *notes])

    def fill_implied(self, field_id: str) -> None:
        """Fills what a changed value implies, where nothing is given yet (LlamaBoard does it when it launches)."""
        values = self.read().job.values
        for name, value in implied(values, field_id).items():
            if name in ALWAYS_IMPLIED or not widgets.is_given(st.session_state.get(name)):
                st.session_state[name] = widgets.to_raw(BY_ID[name], value)

    def problems(self, reading: Reading) -> tuple[Problem, ...]:
        """Everything that keeps the form from being run, in the order of the form."""
        found = checks.problems(reading.job, context.of(self.services, reading.job))
        if self.model_unknown:  # which is said already
            found = tuple(problem for problem in found if problem.code != "model_missing")
        return (*reading.refused, *found)

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


def marks(found: Iterable[Problem], field_id: str) -> set[tuple[str | None, str]]:
    """Which other fields are marked, and for what."""
    return {(problem.field, problem.code) for problem in found if problem.field != field_id}
