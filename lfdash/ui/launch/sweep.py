"""*Sweep…* at the foot of the form: several values for some settings, the table of runs, and how many there are."""

from __future__ import annotations

from typing import Any

import streamlit as st

from lfdash.engine.submit import keep_secrets
from lfdash.engine.sweep_records import new_id
from lfdash.engine.sweep_views import SweepView, planned
from lfdash.jobs.field import Field
from lfdash.jobs.fields import BY_ID, ROWS
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import DIRECTIONS, SEEDS, SETTINGS, STOPPING, STRATEGIES, Sweep, evaluates, read_sweep
from lfdash.jobs.sweep_values import can_be_swept, key_of, plain, row_named, told
from lfdash.outcomes import Problem, Value
from lfdash.ui.form.state import Form
from lfdash.ui.launch import sweep_list
from lfdash.ui.shared import dialogs, keyed
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.session import shared_sweeps
from lfdash.ui.shared.text import label, markdown_safe, pair, problem_markdown, t

FIELDS = "sweep.fields"  # session keys of the dialog: they outlive it, so that the foot can say what it holds
VALUES = "sweep.values"  # followed by the name of the setting
OPTIONS = {"strategy": STRATEGIES, "stop_early": STOPPING, "seed": SEEDS}
NUMBERS = ("trials", "parallel")
METRIC, DIRECTION = "sweep.metric", "sweep.direction"
NAME = "sweep.name"
ANSWER = "sweep.answer"  # why the last click made no sweep
NEXT = "sweep.next_id"  # the id that the next sweep gets: the name of its array has it
SCRIPT = "sweep.script"  # (sweep, what was shown of its array last), while the dialog is open
SCRIPT_OPEN = "sweep.script_open"
LOOK_S = 1.0  # between two looks at a script that is being made
MADE = "sweep.made"  # the sweep that the last click has made: id, name, number of runs
LONGEST_NAME = 80  # characters
MOST_SHOWN = 200  # rows of the table


def wish() -> None:
    """*Sweep…* was pressed."""
    st.session_state[dialogs.SWEEP] = True


def close() -> None:
    """Somebody has closed the dialog; what was typed stays."""
    for name in (dialogs.SWEEP, ANSWER, MADE, SCRIPT, SCRIPT_OPEN):
        st.session_state.pop(name, None)


def draw_made() -> None:
    """Where the sweep is that was just started, until somebody has gone there, or closes it."""
    made = st.session_state.get(MADE)
    if made is None:
        return
    sweep_id, name, count = made
    with st.container(horizontal=True, vertical_alignment="center", key="sweep_made", border=True):
        words = t("sweep.made", name=markdown_safe(name), count=count)
        st.markdown(f":green[:material/check_circle:] {words}", width="stretch")
        sweep_list.draw_link(sweep_id, t("sweep.open_made"))
        st.button(
            t("sweep.made_close"), key="sweep_made_close", icon=":material/close:", type="tertiary",
            on_click=st.session_state.pop, args=(MADE, None),
        )


def draw_dialog(form: Form) -> None:
    """The dialog, while it is open."""
    if dialogs.SWEEP in st.session_state:
        dialogs.show(t("sweep.title"), close, draw_open, form, icon=":material/tune:")


def names_of(job: JobConfig) -> list[str]:
    """The settings of a job that may have several values, as arguments; those that apply."""
    return [key_of(row) for row in ROWS[job.kind] if can_be_swept(row) and row.when.holds(job.get)]


def mapping() -> dict[str, Any]:
    """What the dialog holds, as a file's `sweep` mapping."""
    state = st.session_state
    given: dict[str, Any] = {name: state.get(f"sweep.{name}") for name in (*OPTIONS, *NUMBERS)}
    given |= {"metric": state.get(METRIC), "direction": state.get(DIRECTION), "name": (state.get(NAME) or "").strip()}
    if given["strategy"] in (None, "grid"):
        given["trials"] = None
    settings = {name: state.get(f"{VALUES}.{name}") or "" for name in state.get(FIELDS) or []}
    return {**{name: value for name, value in given.items() if value not in (None, "")}, SETTINGS: settings}


def read(job: JobConfig) -> Sweep | tuple[Problem, ...] | None:
    """The sweep that the dialog holds, or what is wrong with it; None when no setting was chosen."""
    return read_sweep(mapping(), job) if st.session_state.get(FIELDS) else None


def count_words(form: Form) -> str:
    """How many runs the sweep of the foot has; "" without one."""
    found = read(form.read().job) if form.kind.trains else None
    return t("sweep.foot", count=found.count) if isinstance(found, Sweep) else ""


def draw_open(form: Form) -> None:
    """The dialog's content. A click in it draws that alone: once its sweep was made the page has to be drawn, so that
    it closes."""
    if dialogs.SWEEP not in st.session_state:
        st.rerun()
    draw(form)


def draw(form: Form) -> None:
    """What the dialog shows."""
    job = form.read().job
    st.caption(t("sweep.about"))
    st.caption(f":material/dns: {t('sweep.where', where=markdown_safe(job.target or t('target.here')))}")
    names = names_of(job)
    chosen = [name for name in st.session_state.get(FIELDS) or [] if name in names]
    if chosen != (st.session_state.get(FIELDS) or []):
        st.session_state[FIELDS] = chosen  # the others do not apply any more
    for name in keyed.many(t("sweep.fields"), names, key=FIELDS, page=form.page, placeholder=t("sweep.fields_pick")):
        row = row_named(name)
        assert row is not None
        keyed.text(
            f"{label(row.id)} ({name})", key=f"{VALUES}.{name}", page=form.page, help=t("sweep.values_help"),
        )
        st.caption(markdown_safe(example(row, job.values.get(row.id))))
    draw_options(form, job)
    found = read(job)
    if isinstance(found, Sweep):
        draw_runs(found)
        draw_script(form, job, found)
    elif found:
        for problem in found:
            if problem.code == "sweep_one" and is_blank(problem.field):
                continue  # nobody has typed anything yet: the button says what is missing
            known = problem.field is not None and problem.field in BY_ID
            name = f"**{markdown_safe(label(str(problem.field)))}** " if known else ""
            st.error(name + problem_markdown(problem))
    if ANSWER in st.session_state:
        st.error(markdown_safe(st.session_state[ANSWER]), icon=":material/block:")
    why = form.services.blocked_on(job.target)
    blocked = refusal(why) if why else ""
    reason = blocked or ("" if isinstance(found, Sweep) else t("sweep.not_yet"))
    words = t("sweep.start", count=found.count) if isinstance(found, Sweep) else t("sweep.start_none")
    st.button(
        words, key="sweep_start", type="primary", icon=":material/play_arrow:", disabled=bool(reason),
        help=reason or t("sweep.start_help"), on_click=start, args=(form,),
    )
    sweep_list.draw(shared_sweeps())


def example(row: Field, own: Value | None) -> str:
    """What stands below a field: how several values are written, and the value of now."""
    choices = row.choices if isinstance(row.choices, tuple) else ()
    usual = {
        "float": ("1e-5, 1e-4, 1e-3", "1e-5..1e-3 log 5"), "int": ("8, 16, 32", "8..64 4"), "bool": ("true, false",),
        "choice": (", ".join(map(str, choices[:2])),),
    }
    now = "" if own is None else pair(t("sweep.now"), spoken(own))
    examples = f" {t('sweep.or')} ".join(filter(None, usual.get(row.kind, ())))
    return " · ".join(filter(None, (pair(t("sweep.such_as"), examples) if examples else "", now)))


def is_blank(field: str | None) -> bool:
    """Whether nothing was typed for a setting."""
    return field in BY_ID and not st.session_state.get(f"{VALUES}.{key_of(BY_ID[field])}")


def spoken(value: Value) -> str:
    """A value of now, as it is typed."""
    return plain(value) if isinstance(value, float) else told(value)


def draw_options(form: Form, job: JobConfig) -> None:
    """What it is called, and how the values are tried."""
    keyed.text(
        t("sweep.name"), key=NAME, page=form.page, help=t("sweep.name_help"), placeholder=t("sweep.name_none"),
        max_chars=LONGEST_NAME,
    )
    with st.container(horizontal=True, gap="small"):
        for name, options in OPTIONS.items():
            st.session_state.setdefault(f"sweep.{name}", options[0])
            keyed.select(
                t(f"sweep.{name}"), options, key=f"sweep.{name}", page=form.page, empty=False,
                word=lambda option: t(f"sweep.is_{option}"), help=t(f"sweep.{name}_help"), width=200,
            )
    with st.container(horizontal=True, gap="small"):
        metrics = [*(["eval_loss"] if evaluates(job) else []), "loss"]
        keyed.select(
            t("sweep.metric"), metrics, key=METRIC, page=form.page, open_=True, nothing=t("sweep.metric_own"),
            help=t("sweep.metric_help"), width=200,
        )
        keyed.select(
            t("sweep.direction"), DIRECTIONS, key=DIRECTION, page=form.page, nothing=t("sweep.metric_own"),
            word=lambda option: t(f"sweep.is_{option}"), width=200,
        )
        for name in NUMBERS:
            if name == "parallel" or st.session_state["sweep.strategy"] != "grid":
                keyed.text(t(f"sweep.{name}"), key=f"sweep.{name}", page=form.page, help=t(f"sweep.{name}_help"))


def draw_runs(sweep: Sweep) -> None:
    """The table of runs of a grid; of another strategy how many there will be."""
    runs = planned(sweep)
    if not runs:
        st.info(t("sweep.drawn", count=sweep.count))
        return
    name = t("ui.runs_col_name")
    keys = [(key_of(one.row), one.field) for one in sweep.dimensions]
    rows = [
        {name: run.name, **{key: spoken(run.values[field]) for key, field in keys}} for run in runs[:MOST_SHOWN]
    ]
    st.dataframe(rows, hide_index=True, height=min(250, 36 * (len(rows) + 1)), key="sweep_runs")


def next_id() -> str:
    """The id that the next sweep will have."""
    found: str = st.session_state.setdefault(NEXT, new_id())
    return found


def draw_script(form: Form, job: JobConfig, sweep: Sweep) -> None:
    """What a cluster gets for the runs together, once somebody wants to see it: the cluster is asked for that."""
    if shared_sweeps().scripts.takes_arrays(job):
        with keyed.expander(t("sweep.script", target=job.target), key=SCRIPT_OPEN, page=form.page) as box:
            if box.open:
                draw_open_script(form, job, sweep)


def draw_open_script(form: Form, job: JobConfig, sweep: Sweep) -> None:
    """The script; while it is made anew, that of before."""
    script = shared_sweeps().scripts.of(job, sweep, next_id())
    held = st.session_state.get(SCRIPT)
    shown = held[1] if script.state == "asking" and held is not None and held[0] == (job, sweep) else script
    if script.state != "asking":
        st.session_state[SCRIPT] = ((job, sweep), script)

    def look() -> None:
        if script.state == "asking" and shared_sweeps().scripts.of(job, sweep, next_id()).state != "asking":
            st.rerun()
        st.caption(t(f"sweep.script_{shown.state}"))
        if shown.text:
            redact = form.services.registry.redactor()
            st.code(redact(shown.text), language="bash", height=330)

    st.fragment(look, run_every=LOOK_S if script.state == "asking" else None)()


def start(form: Form) -> None:
    """Makes the sweep that the dialog shows, and closes it; or says why there is none."""
    if dialogs.SWEEP not in st.session_state:
        return  # the second half of a double click: the first has made it
    st.session_state.pop(ANSWER, None)
    job = form.read().job
    sweep = read(job)
    if not isinstance(sweep, Sweep):
        return
    keep_secrets(form.services, job)
    found = shared_sweeps().create(job, sweep, next_id())
    if isinstance(found, SweepView):
        close()
        st.session_state.pop(NEXT)
        st.session_state[MADE] = (found.id, found.name, found.count)
        st.session_state[NAME], st.session_state[FIELDS] = "", []  # the form means one run again
        return
    problems = [one for one in found.params.get("problems", ()) if one.level == "error"]
    told_first = problem_markdown(problems[0]) if problems else ""
    st.session_state[ANSWER] = told_first or refusal(found)
