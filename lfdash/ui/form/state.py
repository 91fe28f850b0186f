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
from lfdash.engine.prepare import MULTIMODAL, fit_to_machine, fresh_name, with_model_name
from lfdash.engine.services import Services
from lfdash.jobs import checks, secret_arguments
from lfdash.jobs.args import job_from_args
from lfdash.jobs.checks import EXTRA_PREFIX, secret_argument
from lfdash.jobs.field import Field
from lfdash.jobs.fields import BY_ID, ROWS, WATCHED
from lfdash.jobs.job import JobConfig, coerce, new_job
from lfdash.jobs.llamaboard_format import implied
from lfdash.jobs.secret_arguments import looks_secret
from lfdash.outcomes import Problem, Value
from lfdash.ui.form import extra_arguments, preferences, widgets
from lfdash.ui.shared.kind import kind, scoped
from lfdash.workspace.memo import Memo

PRESET = "ui.preset"
PRESET_PICK = "ui.preset_pick"
DRAWN = "ui.drawn_kind"  # the kind of form that was drawn last
# session keys of each kind's own form, through `scoped`
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


def rows() -> tuple[Field, ...]:
    """The rows of the page's form."""
    return ROWS[kind()]


def output() -> str:
    """The id of the form's run name."""
    return f"{kind()}.output_dir"


def checked() -> bool:
    """Whether Start was pressed since the form was filled."""
    return bool(st.session_state.get(scoped(CHECKED)))


def check(on: bool) -> None:
    """Shows, or no longer shows, what is missing."""
    st.session_state[scoped(CHECKED)] = on


def baseline() -> Mapping[str, Value]:
    """What the form was filled with."""
    found: Mapping[str, Value] = st.session_state.get(scoped(BASELINE), {})
    return found


def read() -> Reading:
    """The job that the session's raw values say. Refused values are problems, and are not in the job."""
    values: dict[str, Value] = {}
    refused: list[Problem] = []
    for row in rows():
        raw = st.session_state.get(row.id)
        if not widgets.is_given(raw):
            continue
        got = coerce(row, raw)
        if got.status == "refused" and got.problem is not None:
            refused.append(got.problem)
        elif got.value is not None:
            values[row.id] = got.value
    extra, problems = extra_arguments.read()
    # never part of a job: not shown, not kept, not sent
    secret = [name for name in extra if secret_arguments.is_secret(name)]
    problems += [secret_argument(name, extra[name], kind()) for name in secret]
    kept = {name: value for name, value in extra.items() if name not in secret}
    return Reading(JobConfig(kind(), values, kept), (*refused, *problems))


def propose_name(services: Services) -> None:
    """Puts a fresh run name into the form."""
    stem = st.session_state.get(PRESET) or "run" if kind() == "train" else kind()
    st.session_state[output()] = fresh_name(services, stem)


def write(job: JobConfig) -> None:
    """Replaces every job key by what the job gives."""
    for row in rows():
        st.session_state[row.id] = widgets.to_raw(row, job.values.get(row.id))
    extra_arguments.write(job.extra)


def load_preset(services: Services, name: str) -> None:
    """Fills the form with a preset (its keys only), fitted to this machine, and a fresh run name."""
    preset = services.presets[name]
    job = with_model_name(services, job_from_args(preset.args))
    job, notes = fit_to_machine(services, job)
    show_preset(name)
    start_from(services, job, notes)


def load_job(services: Services, job: JobConfig, notes: list[tuple[str, dict[str, Any]]]) -> None:
    """Fills the form with a loaded job: exactly what it gives, and a fresh run name when it has none."""
    show_preset(None)
    start_from(services, with_model_name(services, job), notes)


def show_preset(name: str | None) -> None:
    """Says which preset the form started from, to the page and to the widget that chooses it."""
    if kind() == "train":
        st.session_state[PRESET] = st.session_state[PRESET_PICK] = name


def load_new(services: Services) -> None:
    """Fills the form with LlamaBoard's defaults, fitted to this machine."""
    job, notes = fit_to_machine(services, new_job(kind()))
    show_preset(None)
    start_from(services, JobConfig(job.kind, {**job.values, **preferences.usual(services)}, job.extra), notes)
    model_chosen(services)
    st.session_state[scoped(BASELINE)] = dict(read().job.values)


def start_from(services: Services, job: JobConfig, notes: list[tuple[str, dict[str, Any]]]) -> None:
    """Makes a job the form's content and its own baseline."""
    write(job)
    st.session_state[scoped(BASELINE)] = dict(job.values)
    st.session_state[scoped(NOTES)] = notes
    check(False)
    if not job.run_name:
        propose_name(services)
    save_draft(services)


def draft(services: Services) -> Memo:
    """Where the form is kept between sessions."""
    return Memo(services.workspace.private / f"draft-{kind()}.json")


def save_draft(services: Services) -> None:
    """Keeps the form for the next session: raw values, so that a half-typed number survives. No secrets."""
    raws = {row.id: st.session_state.get(row.id) for row in rows() if not row.secret}
    draft(services).save(
        {
            "values": {k: raw for k, raw in raws.items() if widgets.is_given(raw) and not looks_secret(raw)},
            "more": without_secrets(extra_arguments.state()),
            "preset": st.session_state.get(PRESET),
            "baseline": {key: value for key, value in baseline().items() if not BY_ID[key].secret},
        }
    )


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


def restore_draft(services: Services) -> bool:
    """Fills the form from the kept draft. False when there is none that can be used."""
    kept = draft(services).load()
    values = kept.get("values")
    if not isinstance(values, dict) or not values:
        return False
    for row in rows():
        if row.scope == "top" and row.id in st.session_state:
            continue  # the other page's form has filled what both share
        raw = values.get(row.id)
        st.session_state[row.id] = raw if fits(row, raw) else widgets.to_raw(row, None)
    extra_arguments.restore(kept.get("more"))
    preset = kept.get("preset")
    show_preset(preset if preset in services.presets else None)
    before = kept.get("baseline")
    st.session_state[scoped(BASELINE)] = before if isinstance(before, dict) else {}
    if not st.session_state.get(output()):
        propose_name(services)
    return True


def fits(row: Field, raw: Any) -> bool:
    """Whether a kept raw value has the type that the field's widget holds."""
    if row.kind == "bool":
        return isinstance(raw, bool)
    if row.kind == "choices":
        return isinstance(raw, list) and all(isinstance(item, str) for item in raw)
    return isinstance(raw, str)


def seed(services: Services) -> None:
    """Fills the form once a session: the draft, else the demo (no GPU), else a new job."""
    carry_over()
    if scoped(BASELINE) in st.session_state or restore_draft(services):
        return
    if kind() != "train":
        seed_own(services)
    elif "demo" in services.presets and services.devices.gpu_count == 0:
        load_preset(services, "demo")
    else:
        load_new(services)


def carry_over() -> None:
    """Keeps what both pages share: a widget of another page with the same key would start empty."""
    if st.session_state.get(DRAWN) == kind():
        return
    st.session_state[DRAWN] = kind()
    for row in rows():
        if row.id in st.session_state:
            st.session_state[row.id] = st.session_state[row.id]


def seed_own(services: Services) -> None:
    """Fills the own fields of an evaluation or an export; the model is the one of the training form."""
    job, _ = fit_to_machine(services, new_job(kind()))
    for row in rows():
        if row.scope == kind() or row.id not in st.session_state:
            st.session_state[row.id] = widgets.to_raw(row, job.values.get(row.id))
    extra_arguments.write({})
    st.session_state[scoped(BASELINE)] = read().job.values
    propose_name(services)
    save_draft(services)


def changed_ids() -> list[str]:
    """Fields whose value differs from the preset (or the new form) that was loaded; run name left out."""
    before = baseline()
    return [
        row.id
        for row in rows()
        if row.id not in (output(), MODEL, MULTIMODAL)
        and st.session_state.get(row.id) != widgets.to_raw(row, before.get(row.id))
        and (widgets.is_given(st.session_state.get(row.id)) or before.get(row.id) is not None)
    ]


def reset(services: Services, field_ids: list[str]) -> None:
    """Takes fields back to the value of the preset."""
    for field_id in field_ids:
        st.session_state[field_id] = widgets.to_raw(BY_ID[field_id], baseline().get(field_id))
    save_draft(services)


def apply_fix(services: Services, fix: Mapping[str, Value | None]) -> None:
    """Writes the values that cure a problem; a key `extra.NAME` is an argument without a field."""
    for target, value in fix.items():
        if target.startswith(EXTRA_PREFIX):
            extra_arguments.put(target.removeprefix(EXTRA_PREFIX), value)
        else:
            st.session_state[target] = widgets.to_raw(BY_ID[target], value)
    save_draft(services)


def model_chosen(services: Services) -> None:
    """Fills path, template and multimodality from the model that was just chosen."""
    name = st.session_state.get(MODEL) or ""
    model = services.upstream.models.get(name)
    if model is None:  # one's own
        st.session_state[PATH] = preferences.path_of(services, name) or st.session_state.get(PATH, "")
        return
    hub = st.session_state.get(HUB_NAME) or "huggingface"
    path = preferences.path_of(services, model.name) or model.paths.get(hub) or next(iter(model.paths.values()), "")
    st.session_state[PATH] = path
    st.session_state[TEMPLATE] = model.template or "default"
    st.session_state[MULTIMODAL] = True if model.multimodal else None


def on_change(services: Services, field_id: str, fragment: str) -> None:
    """A field was changed: keep the draft, then redraw as little as shows the truth."""
    before = st.session_state.get(scoped(KNOWN))
    if field_id in (MODEL, HUB_NAME):
        model_chosen(services)
    preferences.remember(services, field_id)
    fill_implied(field_id)
    save_draft(services)
    if field_id in WATCHED or field_id in (MODEL, PATH, HUB_NAME) or checked():
        st.rerun()  # of the whole page: by itself only the widget's fragment would follow
    now_wrong = shown_problems(services, read())
    if before is None or marks(told(before[1]), field_id) != marks(now_wrong, field_id):
        st.rerun()  # a field of another group has become right or wrong
    st.rerun([fragment, "bar", "early"])


def marks(found: Iterable[Problem], field_id: str) -> set[tuple[str | None, str]]:
    """Which other fields are marked, and for what."""
    return {(problem.field, problem.code) for problem in found if problem.field != field_id}


def fill_implied(field_id: str) -> None:
    """Fills what a changed value implies, where nothing is given yet (LlamaBoard does it when it launches)."""
    values = read().job.values
    for name, value in implied(values, field_id).items():
        if name in ALWAYS_IMPLIED or not widgets.is_given(st.session_state.get(name)):
            st.session_state[name] = widgets.to_raw(BY_ID[name], value)


def problems(services: Services, reading: Reading) -> tuple[Problem, ...]:
    """Everything that keeps the form from being run, in the order of the form."""
    return (*reading.refused, *checks.problems(reading.job, context.of(services, reading.job)))


def shown_problems(services: Services, reading: Reading) -> tuple[Problem, ...]:
    """What is to be told now, at most FRESH_S old: before Start was pressed, without what is only missing."""
    held = st.session_state.get(scoped(KNOWN))
    if held is None or held[0] != reading or time.monotonic() - held[2] > FRESH_S:
        held = (reading, problems(services, reading), time.monotonic())
        st.session_state[scoped(KNOWN)] = held
    return told(held[1])


def told(found: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """What of all problems is to be told now."""
    return found if checked() else tuple(problem for problem in found if problem.code not in MISSING)
