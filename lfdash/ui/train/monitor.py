"""The run that the page shows: state strip, message, loss chart, log, curves, files. Reads folders only."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lfdash.jobs.secret_arguments import hide
from lfdash.runs.diagnose import Diagnosis
from lfdash.runs.log_reader import ConsoleTail, read_plain
from lfdash.runs.metrics import MetricFrame, RunTail, downsample, smooth
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.report import bundle, explain
from lfdash.runs.results import experiment_link
from lfdash.runs.scan import RunView
from lfdash.ui.form import widgets
from lfdash.ui.launch import actions, next_steps, queue
from lfdash.ui.shared import charts, keyed
from lfdash.ui.shared.kind import kind
from lfdash.ui.shared.session import Services
from lfdash.ui.shared.text import label, t
from lfdash.ui.train import evaluation

TAB = "ui.tab"
TABS = {
    "train": ("log", "curves", "files", "configuration"),
    "export": ("log", "files", "configuration"),
    "eval": ("results", "predictions", "log", "files", "configuration"),
}
POINTS = 2000  # at most, a series
CURVES = ("learning_rate", "grad_norm", "tokens_per_s", "accuracy", "reward")
LOOKS = {
    RunState.STARTING: "run",
    RunState.RUNNING: "run",
    RunState.STOPPING: "stop",
    RunState.SUCCEEDED: "done",
    RunState.FAILED: "fail",
    RunState.STOPPED: "stop",
    RunState.LOST: "fail",
    RunState.QUEUED: "idle",
    RunState.HELD: "idle",
}


def tick_seconds(view: RunView | None, sessions: int) -> float:
    """How often the page looks: often while a run is alive, seldom when idle, less with many open tabs."""
    alive = view is not None and view.state not in TERMINAL
    return (2.0 if alive else 10.0) * max(1.0, sessions / 8)


def shown(services: Services) -> RunView | None:
    """The run to show: the one chosen or in the address, else the newest alive one, else the newest."""
    found = views(services)
    wanted = st.session_state.get(actions.SHOWN) or st.query_params.get("run")
    by_id = {view.run_id: view for view in found}
    if wanted in by_id:
        return by_id[wanted]
    alive = [view for view in found if view.state not in TERMINAL and view.waiting is None]
    return next(iter(alive or found), None)


def views(services: Services) -> list[RunView]:
    """The runs of the page's kind, newest first; those of the plain CLI count as training."""
    return [v for v in services.registry.snapshot() if (v.record.kind if v.record else "train") == kind()]


def strip_html(view: RunView | None) -> str:
    """State, step, epoch, times, loss and speed as one block of HTML; every value escaped."""
    if view is None:
        return (
            f'<div class="lf-strip"><span class="lf-name">{html.escape(t("ui.no_run"))}</span>'
            f'<span class="lf-state lf-idle">{html.escape(t("ui.idle"))}</span></div>'
            '<div class="lf-bar lf-idle"><i style="width:0"></i></div>'
        )
    look = LOOKS[view.state]
    facts = "".join(
        f'<span class="lf-fact"><b>{html.escape(value)}</b><small>{html.escape(name)}</small></span>'
        for name, value in strip_facts(view)
    )
    percent = 100.0 if view.state is RunState.SUCCEEDED else view.progress.percent or 0.0
    return (
        f'<div class="lf-strip"><span class="lf-name">{html.escape(view.name)}</span>'
        f'<span class="lf-state lf-{look}" data-state="{view.state.name}">'
        f"{html.escape(t(f'states.{view.state.name}'))}</span>{facts}</div>"
        f'<div class="lf-bar lf-{look}" role="progressbar" aria-valuenow="{percent:.0f}" aria-valuemin="0" '
        f'aria-valuemax="100"><i style="width:{percent:.1f}%"></i></div>'
    )


def strip_facts(view: RunView) -> list[tuple[str, str]]:
    """The labelled values of the strip, in order; a dash where nothing is known yet."""
    p = view.progress
    return [
        (t("ui.step"), f"{p.step if p.step is not None else '–'} / {p.total if p.total else '–'}"),
        (t("ui.epoch"), "–" if p.epoch is None else f"{p.epoch:.2f}"),
        (t("ui.eta"), duration(p.remaining_s) if view.state is RunState.RUNNING else "–"),
        (t("ui.elapsed"), duration(p.elapsed_s)),
        (t("ui.loss"), "–" if p.loss is None else f"{p.loss:.4f}"),
        (t("ui.speed"), "–" if p.tokens_per_s is None else t("ui.speed_value", value=f"{p.tokens_per_s:,.0f}")),
    ]


def duration(seconds: float | None) -> str:
    """Seconds as h:mm:ss."""
    if seconds is None:
        return "–"
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def draw_outcome(services: Services, view: RunView) -> None:
    """What a run that is over (or stopping) has to say, in one box."""
    if view.state is RunState.FAILED:
        draw_failure(services, view)
    elif view.state is RunState.STOPPED:
        st.warning(t("ui.stopped", saved=saved_words(view)), icon=":material/stop_circle:")
    elif view.state is RunState.SUCCEEDED:
        saved = {"eval": t("ui.scored"), "export": t("ui.exported")}.get(kind()) or saved_words(view)
        st.success(t("ui.succeeded", saved=saved), icon=":material/check_circle:")
    elif view.state is RunState.LOST:
        st.error(lost_words(view), icon=":material/help:")
    elif view.state is RunState.STOPPING and view.stuck:
        st.warning(t("ui.awaiting_stuck"), icon=":material/hourglass_disabled:")
    elif view.state is RunState.STOPPING:
        st.info(t(f"ui.awaiting_{view.awaiting or 'exit'}"), icon=":material/hourglass_top:")
    elif view.progress.step is None:
        st.info(t("ui.preparing"), icon=":material/hourglass_top:")
    if view.record and view.exit_code is None and view.state in (RunState.SUCCEEDED, RunState.STOPPED):
        st.caption(f":material/help: {t('ui.code_unknown')}")


def lost_words(view: RunView) -> str:
    """Why a run is lost, and what lies in its folder."""
    host = widgets.markdown_safe(view.record.host) if view.record else ""
    texts = {"boot": t("ui.lost_boot", saved=saved_words(view))}
    if host:
        texts["host"] = t("ui.lost_host", host=host, saved=saved_words(view))
    return texts.get(view.lost or "") or t("ui.lost", saved=saved_words(view))


def draw_failure(services: Services, view: RunView) -> None:
    """What went wrong in one sentence, the line of the log that proves it, the cure, and files to ask others with."""
    found = explained(view)
    redact = services.registry.redactor()
    proof = redact(found.line if found else view.error or "")
    advice = (
        t(f"diagnosis.{found.id}", **{k: widgets.markdown_safe(redact(v)) for k, v in found.params.items()})
        if found
        else ""
    )
    code = "?" if view.exit_code is None else view.exit_code
    cause = widgets.markdown_safe(proof) if proof else t("ui.failed_unknown")
    text = t("ui.failed", code=code, cause=cause)
    if view.exit_code is None and not proof:
        text = t("ui.never_started")
    st.error(f"{text}\n\n{advice}" if advice else text, icon=":material/error:")
    with st.container(horizontal=True, key="failure", gap="small"):
        if found and found.fix:
            words = ", ".join(f"{label(field_id)}: {value}" for field_id, value in found.fix.items())
            st.button(
                t("ui.fix_open"),
                key="fix_open",
                icon=":material/build:",
                help=t("ui.fix_open_help", fix=words),
                on_click=next_steps.take_settings,
                args=(services, view.run_id, False, dict(found.fix)),
            )
        st.download_button(
            t("ui.bundle"),
            partial(bundle, view, services.upstream.packages, lambda text: hide(redact(text))),
            file_name=f"{view.name}-report.zip",
            mime="application/zip",
            key="bundle",
            icon=":material/folder_zip:",
            on_click="ignore",
            help=t("ui.bundle_help"),
        )


def explained(view: RunView) -> Diagnosis | None:
    """The cause of a failure, looked for once an attempt: a log that ended does not change."""
    key = (view.run_id, view.attempt)
    held = st.session_state.get("monitor.explained")
    if held is None or held[0] != key:
        held = (key, explain(view))
        st.session_state["monitor.explained"] = held
    cause: Diagnosis | None = held[1]
    return cause


def saved_words(view: RunView) -> str:
    """What lies in the run's folder, in words."""
    saved = view.saved
    parts = []
    if saved.model is not None:
        parts.append(t(f"ui.saved_{saved.model}", step=saved.step if saved.step is not None else "?"))
    if saved.checkpoints:
        parts.append(t("ui.saved_checkpoints", count=len(saved.checkpoints), last=saved.checkpoints[-1]))
    return " ".join(parts) or t("ui.saved_nothing")


def tail(view: RunView) -> tuple[RunTail, ConsoleTail]:
    """This session's readers of the shown run; new ones when another run is shown."""
    held = st.session_state.get("ui.tail")
    if held is None or held[0] != view.run_id:
        held = (view.run_id, RunTail(view.paths), ConsoleTail(view.paths.console))
        st.session_state["ui.tail"] = held
    return held[1], held[2]


def loss_data(frame: MetricFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Long form of the loss chart: columns step (int32), value (float32), series; at most 2,000 points each."""
    parts = []
    for name, values in zip(labels, (frame["loss"], None, frame["eval_loss"]), strict=True):
        source = frame["loss"] if values is None else values
        # a spoiled line may say anything
        known = (np.abs(source) <= np.finfo("float32").max) & (np.abs(frame["step"]) < 2**31)
        x, y = frame["step"][known], source[known]
        if values is None:
            y = smooth(y)
        x, y = downsample(x, y, POINTS)
        parts.append(pd.DataFrame({"step": x.astype("int32"), "value": y.astype("float32"), "series": name}))
    return pd.concat(parts, ignore_index=True)


def draw_loss(frame: MetricFrame) -> None:
    """The loss chart, or why there is none yet."""
    labels = (t("ui.series_raw"), t("ui.series_smooth"), t("ui.series_eval"))
    log = bool(st.session_state.get("ui.log_scale"))
    spec = charts.loss_spec(labels, t("ui.step"), t("ui.loss"), log=log)
    st.vega_lite_chart(
        loss_data(frame, labels),
        spec,
        key=f"loss_{'log' if log else 'linear'}",
        width="stretch",
        on_select="rerun",
        selection_mode=charts.ZOOM,
    )


def draw_body(services: Services, view: RunView) -> None:
    """Everything below the buttons."""
    if view.waiting is not None:
        queue.draw_shown(services, view)
        return
    metrics, console = tail(view)
    metrics.poll()
    draw_outcome(services, view)
    if metrics.dead_since is not None and kind() == "train":
        st.warning(t("ui.loss_dead", step=f"{metrics.dead_since:.0f}"), icon=":material/monitor_heart:")
    next_steps.draw_after(services, view)
    tabs = TABS[kind()]
    key = f"{TAB}_{kind()}"
    if kind() == "train":
        draw_loss(metrics.frame)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        tab = keyed.segments(
            t("ui.details"),
            tabs,
            key=key,
            word=lambda tab: t(f"ui.tab_{tab}"),
            required=True,
            label_visibility="collapsed",
        )
        if kind() == "train":
            draw_link(services, view)
            st.toggle(t("ui.log_scale"), key="ui.log_scale", persist_state="session", width="content")
    DETAILS[tab](services, view, metrics.frame, console)


def draw_link(services: Services, view: RunView) -> None:
    """The tracker's page of the run, once it has published one."""
    key = (view.run_id, view.attempt)
    held = st.session_state.get("monitor.link")
    if held is None or held[0] != key or held[1] is None:
        held = (key, experiment_link(view.paths))
        st.session_state["monitor.link"] = held
    if held[1] and services.registry.redact(held[1]) == held[1]:  # an address with a token in it is not for others
        st.link_button(t("ui.tracker"), held[1], icon=":material/open_in_new:", help=widgets.markdown_safe(held[1]))


def draw_log(services: Services, _view: RunView, _frame: MetricFrame, console: ConsoleTail) -> None:
    """The child's output: follows its end until scrolled up."""
    console.poll()
    blocks = console.blocks()
    if not blocks:
        st.caption(t("ui.log_empty"))
        return
    with st.container(height=330, autoscroll=True, key="console", border=True):
        if console.dropped:
            st.caption(t("ui.log_cut", mb=f"{console.dropped / 1e6:.1f}"))
        redact = services.registry.redactor()
        for block in blocks:
            st.text(redact(block))


def draw_curves(_services: Services, _view: RunView, frame: MetricFrame, _console: ConsoleTail) -> None:
    """Small charts of whatever else was recorded."""
    drawn = [name for name in CURVES if name in frame and np.isfinite(frame[name]).any()]
    if not drawn:
        st.caption(t("ui.curves_empty"))
        return
    columns = st.columns(2)
    for place, name in enumerate(drawn):
        known = np.isfinite(frame[name])
        x, y = downsample(frame["step"][known], frame[name][known], POINTS)
        data = pd.DataFrame({"step": x.astype("int32"), "value": y.astype("float32")})
        spec = charts.curve_spec(t(f"ui.curve_{name}"), t("ui.step"))
        columns[place % 2].vega_lite_chart(data, spec, key=f"curve_{name}", width="stretch")


def draw_files(services: Services, view: RunView, _frame: MetricFrame, _console: ConsoleTail) -> None:
    """What lies in the run's folder."""
    redact = services.registry.redactor()
    rows: list[dict[str, Any]] = [
        {"name": redact(name), "size": size, "changed": pd.Timestamp(changed, unit="s")}
        for name, size, changed in view.paths.listing()
    ]
    st.caption(t("ui.files_in", path=widgets.markdown_safe(str(view.path))))
    st.dataframe(
        pd.DataFrame(rows, columns=["name", "size", "changed"]),
        hide_index=True,
        height=300,
        column_config={
            "name": t("ui.file_name"),
            "size": st.column_config.NumberColumn(t("ui.file_size"), format="bytes"),
            "changed": st.column_config.DatetimeColumn(t("ui.file_changed"), format="YYYY-MM-DD HH:mm:ss"),
        },
    )


def draw_configuration(services: Services, view: RunView, _frame: MetricFrame, _console: ConsoleTail) -> None:
    """Exactly what was run."""
    try:
        text = read_plain(view.paths.training_args)
    except (OSError, UnicodeDecodeError):
        st.caption(t("ui.no_configuration"))
        return
    st.code(hide(services.registry.redact(text)), language="yaml", height=330)


DETAILS = {
    "results": lambda _services, view, _frame, _console: evaluation.draw_scores(view),
    "predictions": lambda services, view, _frame, _console: evaluation.draw_predictions(
        view, services.registry.redactor()
    ),
    "log": draw_log,
    "curves": draw_curves,
    "files": draw_files,
    "configuration": draw_configuration,
}
