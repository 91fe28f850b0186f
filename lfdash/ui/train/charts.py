"""The loss chart and the small curves of the run that is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from lfdash.engine.services import Services
from lfdash.runs.console import ConsoleTail
from lfdash.runs.metrics import MetricFrame, downsample, smooth
from lfdash.runs.view import RunView
from lfdash.ui.shared import charts
from lfdash.ui.shared.text import t

POINTS = 2000  # at most, a series
CURVES = ("learning_rate", "grad_norm", "tokens_per_s", "accuracy", "reward")


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
