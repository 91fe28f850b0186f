"""The field that says where a job runs: which targets it offers, when it is there, and what is said of a target."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.on_target import facts_of, target_of
from lfdash.engine.services import Services
from lfdash.jobs.field import Field
from lfdash.jobs.job import TARGET, JobConfig
from lfdash.targets.target import LOCAL
from lfdash.ui.shared.text import markdown_safe, pair, t
from lfdash.ui.targets import words

COUNT = "gpu_count"  # name of the field that says how many GPUs


def is_target(row: Field) -> bool:
    """Whether a field is the one that says where a job runs."""
    return row.name == TARGET


def offered(services: Services) -> list[str]:
    """The clusters that a job can be given to, in the order of their file."""
    return [name for name, target in services.registry.targets.read().rows.items() if target.kind != LOCAL]


def is_shown(services: Services, job: JobConfig, row: Field) -> bool:
    """Whether a field is to be seen at all: the one that says where a job runs only where there is a choice."""
    return not is_target(row) or bool(offered(services) or job.values.get(row.id))


def nothing_words(services: Services, job: JobConfig, row: Field) -> str:
    """What stands in an empty field that a target has a say in; "" for all others."""
    if is_target(row):
        return t("target.here")
    target = target_of(services, job)
    if target is None or row.name != COUNT:
        return ""
    return t("target.gpu_usual") if target.gpus is None else t("target.gpu_default", count=target.gpus)


def draw_about(services: Services, job: JobConfig) -> None:
    """What a target that is chosen asks for, and what is known of it; nothing for this machine."""
    target = target_of(services, job)
    if target is None:
        return
    st.caption(markdown_safe(pair(target.name, words.row_words(target))))
    found = facts_of(services, target)
    button = t("targets.button")
    known = t("target.unjudged", button=button) if found is None else t("target.judged", found=words.summary(found))
    st.caption(f":material/info: {markdown_safe(known)}")
