"""How long a dataset's rows are beside the cutoff of the training form, measured on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from lfdash.data.usable import Usable
from lfdash.jobs.args import build_args, build_env
from lfdash.jobs.job import JobConfig
from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.token_lengths import SAMPLE, Lengths, count_tokens
from lfdash.outcomes import Refused
from lfdash.ui.form.state import Form
from lfdash.ui.shared import charts
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import markdown_safe, t

BARS = 40
RESULT = "data.lengths"  # (what was measured, the answer)


def draw(form: Form, directory: str, dataset: str, looked: Usable | None) -> None:
    """The button, and the share of rows that the cutoff cuts. looked: what is known of the dataset's rows."""
    services = form.services
    if not isinstance(services.cli, Cli):
        return
    job = form.read().job
    args = {**build_args(job), "dataset": dataset, "dataset_dir": directory}
    model, template = args.get("model_name_or_path"), args.get("template")
    key = (dataset, directory, model, template, args.get("stage"))
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t("ui.lengths"), key="data.measure", icon=":material/straighten:", disabled=not model,
            help=t("ui.lengths_help", count=SAMPLE) if model else t("problems.model_missing"),
        )
        if model:
            with_model = t("ui.lengths_with", model=model, template=template or "–", cutoff=cutoff_of(job))
            st.caption(markdown_safe(with_model))
    outside = next(services.roots.outside(args), None)
    if clicked and outside:
        st.warning(markdown_safe(t("problems.path_outside", name=outside[0], value=outside[1])))
    elif clicked:
        with st.spinner(t("ui.lengths_counting")):
            found = count_tokens(services.cli, services.workspace.root, args, build_env(job), services.warm)
        if isinstance(found, Lengths):
            services.row_lengths.keep(args, found)
        st.session_state[RESULT] = (key, found)
    held = st.session_state.get(RESULT)
    if held is not None and held[0] == key:
        rows = looked.rows if looked is not None else None
        draw_result(held[1], cutoff_of(job), services.registry.redactor(), rows)


def cutoff_of(job: JobConfig) -> int:
    """The form's cutoff; LLaMA-Factory's own default where it is empty."""
    found = job.get("train.cutoff_len")
    return found if isinstance(found, int) else 2048


def draw_result(
    found: Lengths | Refused, cutoff: int, redact: Callable[[str], str], rows: int | None = None
) -> None:
    """One sentence and a histogram. rows: those of the file, of which at most SAMPLE are counted."""
    if isinstance(found, Refused):
        st.warning(t("ui.lengths_failed", reason=markdown_safe(redact(refusal(found)))))
        return
    over, total = found.over(cutoff), len(found.tokens)
    share = f"{over / total:.1%}" if total else "0 %"
    numbers = {"over": over, "total": total, "share": share, "cutoff": cutoff, "longest": max(found.tokens, default=0)}
    taken = total if rows is None else min(rows, SAMPLE)
    (st.warning if over else st.success)(t("ui.lengths_over" if over else "ui.lengths_fit", **numbers))
    if taken > total:
        st.warning(t("ui.lengths_left", left=taken - total, taken=taken, total=total))
    if rows is not None and rows > SAMPLE:
        st.caption(t("ui.lengths_sample", count=SAMPLE, rows=f"{rows:,}"))
    st.vega_lite_chart(bars(found.tokens, cutoff), charts.spec(charts.LENGTHS), key="lengths")


def bars(tokens: Sequence[int], cutoff: int) -> pd.DataFrame:
    """How many rows have how many tokens, in at most BARS bars of one width, one for rows of one length."""
    shortest, longest = min(tokens, default=0), max(tokens, default=0)
    width = (longest - shortest) // BARS + 1
    counts = Counter((length - shortest) // width for length in tokens)
    starts = [shortest + place * width for place in sorted(counts)]
    return pd.DataFrame({
        "tokens": starts, "end": [start + width for start in starts], "rows": [counts[p] for p in sorted(counts)],
        "cutoff": cutoff,
    })
