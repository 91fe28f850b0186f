"""The fields of one target: what most people need first, the rest folded; what is wrong stands below its field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import streamlit as st

from lfdash.engine.services import Services
from lfdash.engine.target_offers import Told
from lfdash.outcomes import Problem
from lfdash.targets.fields import RUNNERS
from lfdash.targets.target import Kind, Target
from lfdash.targets.typed import DEFAULTS, LINES, names, read
from lfdash.ui.shared import keyed
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import markdown_safe, t
from lfdash.ui.targets import keys, listing, words
from lfdash.ui.targets.keys import NAME, PAGE, SAID, TRIED

LOOK_S = 1.0
MOST_SHOWN = 12  # partitions
FIRST = ("address", "token_file", "partition", "gpus", "time_limit", "resume", "cli")  # what most need
OWN_WORDS = ("cli", "python", "workspace", "slurm_conf", "gpus", "token_file")
NOTHING = ("address", "container")  # empty means that there is none
GROUPS = {  # the rest, folded; what no group has is in the last one
    "resources": ("cpus", "memory", "gpu_type", "nodes", "account", "qos", "constraint", "save_s"),
    "environment": ("python", "workspace", "modules", "setup", "env", "container", "runner"),
    "expert": (),
}
MISSING = "both"  # the code of what is only told once Save was pressed: somebody may still be typing


def draw(services: Services) -> None:
    """All fields, and the buttons."""
    kind: Kind = st.session_state[keys.KIND]
    before: Target | None = st.session_state.get(keys.BEFORE)
    told = services.target_offers.of(cluster_of(kind))
    problems = problems_of(kind)
    title = t("targets.edits", name=before.name) if before else t(f"targets.new_{kind}")
    st.markdown(f"**{markdown_safe(title)}**")
    keyed.text(
        t("targets.name"), key=NAME, page=PAGE, help=t("targets.name_help"), disabled=before is not None,
        placeholder="lab",
    )
    draw_problems(problems.get("name", ()))
    offers = st.fragment(partial(draw_offers, services, kind, told), run_every=LOOK_S if told.asking else None)
    first = [name for name in FIRST if name in names(kind)]
    named = first[: 2 if kind == "ray" else 0]  # what is asked is named by the fields above
    draw_pairs(named, problems, told)
    offers()
    draw_pairs([name for name in first if name not in named], problems, told)
    for group, rows in grouped(kind).items():
        wrong = any(problems.get(name) for name in rows)
        if wrong and st.session_state.get(TRIED):
            st.session_state[f"targets.open_{group}"] = True
        with keyed.expander(t(f"targets.group_{group}"), key=f"targets.open_{group}", page=PAGE) as box:
            if box.open:
                draw_pairs(rows, problems, told)
    said = st.session_state.get(keys.REFUSED)
    if said:
        st.error(said)
    elif st.session_state.get(TRIED) and problems:
        st.error(t("targets.wrong", n=str(sum(map(len, problems.values())))))
    with st.container(horizontal=True, gap="small", key="targets_save"):
        st.button(
            t("targets.save"), key="target_save", type="primary", icon=":material/check:", on_click=save,
            args=(services,),
        )
        st.button(t("targets.back"), key="target_back", icon=":material/arrow_back:", on_click=keys.show_list)
        if before is not None and services.registry.targets.read().rows.get(before.name) != before:
            st.button(
                t("targets.reload"), key="target_reload", icon=":material/refresh:", on_click=reload,
                args=(services, before.name), help=t("targets.reload_help"),
            )


def cluster_of(kind: Kind) -> Target:
    """What of the typed target says which cluster it is."""
    typed = {name: text.strip() for name, text in keys.typed(kind).items()}
    return Target(
        "", kind, slurm_conf=typed.get("slurm_conf", ""), address=typed.get("address", ""),
        token_file=typed.get("token_file", ""),
    )


def meant(kind: Kind) -> Target | tuple[Problem, ...]:
    """The target that the fields mean, or what is wrong with them."""
    name = str(st.session_state.get(NAME) or "").strip()
    return read(name, kind, keys.typed(kind), st.session_state.get(keys.BEFORE))


def grouped(kind: Kind) -> dict[str, list[str]]:
    """The folded groups of a kind that have fields, with these."""
    known = names(kind)
    placed = {*FIRST, *(name for rows in GROUPS.values() for name in rows)}
    found = {group: [name for name in rows if name in known] for group, rows in GROUPS.items()}
    found["expert"] += [name for name in known if name not in placed]
    return {group: rows for group, rows in found.items() if rows}


def problems_of(kind: Kind) -> Mapping[str, tuple[Problem, ...]]:
    """What is wrong with what was typed, by field. What is missing is told once Save was pressed."""
    found = meant(kind)
    tried = bool(st.session_state.get(TRIED))
    problems: dict[str, tuple[Problem, ...]] = {}
    for problem in () if isinstance(found, Target) else found:
        untouched = problem.field == "name" and not st.session_state.get(NAME)
        if tried or not (untouched or problem.code.endswith(MISSING)):
            problems[str(problem.field)] = (*problems.get(str(problem.field), ()), problem)
    return problems


def draw_pairs(rows: Sequence[str], problems: Mapping[str, tuple[Problem, ...]], told: Told) -> None:
    """Fields, two side by side; those of several lines below them."""
    short = [name for name in rows if name not in LINES]
    for place in range(0, len(short), 2):
        for column, name in zip(st.columns(2), short[place : place + 2], strict=False):
            with column:
                draw_field(name, problems, told)
    for name in rows:
        if name in LINES:
            draw_field(name, problems, told)


def draw_field(name: str, problems: Mapping[str, tuple[Problem, ...]], told: Told) -> None:
    """One field, with what is wrong with it."""
    kind, key = st.session_state[keys.KIND], keys.field_key(name)
    label, help_text = words.label(name, kind), words.help_text(name, kind)
    choices = choices_of(name, told)
    if choices:
        keys.empty_is_none(name)
        keyed.select(
            label, choices, key=key, page=PAGE, open_=name != "runner", nothing=t("targets.unset"), help=help_text
        )
    else:
        keyed.text(label, key=key, page=PAGE, area=name in LINES, help=help_text, placeholder=empty_words(name))
    draw_problems(problems.get(name, ()))
    for told_of_it in words.field_warnings(name, str(st.session_state.get(key) or ""), told.offered):
        st.caption(f":orange[:material/warning: {markdown_safe(told_of_it)}]")


def empty_words(name: str) -> str:
    """What stands for an empty field: what is then taken."""
    if type(DEFAULTS[name]) is int:
        return str(DEFAULTS[name])
    if name in OWN_WORDS:
        return t(f"targets.empty_{name}")
    return t("targets.unset") if DEFAULTS[name] in (None, "") and name not in NOTHING else ""


def choices_of(name: str, told: Told) -> list[str]:
    """What a field offers: where the cluster tells it, or there are only some; () where anything is typed."""
    offered = told.offered
    if name == "runner":
        return list(RUNNERS)
    if offered is None:
        return []
    types = dict.fromkeys(one_type for one in offered.offers for one_type in one.gpu_types)
    known: Mapping[str, Sequence[str]] = {
        "partition": [one.name for one in offered.offers], "account": offered.accounts, "qos": offered.qos,
        "gpu_type": list(types),
    }
    return list(known.get(name, ()))


def draw_offers(services: Services, kind: Kind, told: Told) -> None:
    """What the cluster offers; drawn with the page once there is an answer."""
    cluster = cluster_of(kind)
    if told.waits:
        if services.target_offers.may_ask(cluster):  # it was just allowed, here
            st.rerun()
        listing.draw_ask(services, cluster, disabled=kind == "ray" and not cluster.address)
    if told.asking:
        if not services.target_offers.of(cluster).asking:
            st.rerun()
        if told.offered is None:
            st.caption(t("targets.offers_asking"))
    if told.failure:
        st.caption(f":orange[:material/cloud_off:] {markdown_safe(t('targets.offers_silent', reason=told.failure))}")
    if told.offered is not None:
        offers = told.offered.offers
        lines = [f"- {markdown_safe(words.offer_words(one))}" for one in offers[:MOST_SHOWN]]
        if len(offers) > MOST_SHOWN:
            lines.append(f"- {t('targets.offers_more', n=str(len(offers) - MOST_SHOWN))}")
        st.caption("\n".join([t("targets.offers" if kind == "slurm" else "targets.offers_ray"), *lines]))


def draw_problems(problems: Sequence[Problem]) -> None:
    """What is wrong with a field."""
    for problem in problems:
        st.caption(f":red[:material/error:] {words.problem_markdown(problem)}")


def save(services: Services) -> None:
    """Save was pressed."""
    kind: Kind = st.session_state[keys.KIND]
    before: Target | None = st.session_state.get(keys.BEFORE)
    st.session_state[TRIED] = True
    keyed.catch_up()
    found = meant(kind)
    st.session_state.pop(keys.REFUSED, None)
    if not isinstance(found, Target):
        return
    refused = services.registry.targets.put(found, before)
    if refused is not None:
        st.session_state[keys.REFUSED] = markdown_safe(refusal(refused))
        return
    st.session_state[SAID] = ("success", markdown_safe(t("targets.saved", name=found.name)))
    if before is None:
        st.session_state[keys.SAVED] = found.name
    keys.show_list()


def reload(services: Services, name: str) -> None:
    """Shows a target as it is now; what was typed is given up."""
    now = services.registry.targets.read().rows.get(name)
    if now is None:
        keys.show_list()
    else:
        keys.edit(now.kind, now)
