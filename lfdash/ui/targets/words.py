"""Targets, what they offer and what a test found, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from string import Formatter

from lfdash.engine.machine_words import GIB, size_words
from lfdash.engine.on_target import usual_gpus
from lfdash.engine.target_facts import Failure, TargetFacts, TargetGpu
from lfdash.engine.target_tests import Step
from lfdash.launchers.ray_job import memory_bytes
from lfdash.locales import DEFAULT_LANGUAGE
from lfdash.locales import lookup as lookup_in
from lfdash.outcomes import Problem
from lfdash.targets.offered import Offer, Offered
from lfdash.targets.target import Target
from lfdash.ui.shared.text import language, listed, lookup, markdown_safe, t

LITERAL = re.compile(r"^[^=]*=(\s*~|.*\$)")  # NAME=value that a shell would read as something else
MINUTES = re.compile(r"(\d+):\d{1,2}")  # MINUTES:SECONDS (sbatch, --time), where many mean hours
HELD = "\ue000"  # the place of a value
SHOWN = ("llamafactory", "torch", "transformers")  # packages that are named
CLOCK_S = 5.0  # from which difference on a clock is said to be wrong


def label(name: str, kind: str = "") -> str:
    """What a field of a target of a kind is called; its name where it has no words yet."""
    known = lookup("targets", f"field_{name}_{kind}") or lookup("targets", f"field_{name}")
    if name == "kind":  # of the kinds only Ray's needs another field
        return t("targets.kind_ray")
    return str(known or name)


def help_text(name: str, kind: str = "") -> str | None:
    """What a field of a target of a kind means; None where it has no words yet."""
    known = lookup("targets", f"help_{name}_{kind}") or lookup("targets", f"help_{name}")
    return str(known) if known else None


def row_words(target: Target) -> str:
    """What a target asks for, in one line."""
    parts = [t(f"targets.kind_{target.kind}")]
    for name in ("address", "partition", "account", "qos", "constraint"):
        if value := getattr(target, name):
            parts.append(f"{label(name)}: {value}")
    if target.nodes > 1:
        parts.append(f"{label('nodes')}: {target.nodes}")
    for name in ("gpus", "cpus", "memory", "time_limit"):
        value = getattr(target, name)
        if value not in (None, ""):
            parts.append(f"{label(name)}: {value}")
    return " · ".join(parts)


def offer_words(offer: Offer) -> str:
    """What a part of a cluster has, and what of it is free."""
    parts = [] if offer.up else [t("targets.offer_down")]
    if offer.gpus:
        parts.append(t("targets.offer_gpus", free=known(offer.free_gpus), all=str(offer.gpus)))
    elif offer.gpus is None and offer.node_gpus:
        parts.append(t("targets.offer_node_gpus", n=str(offer.node_gpus)))
    elif offer.all_cpus is not None:
        parts.append(t("target_test.no_gpu"))
    if offer.gpu_types:
        parts.append(listed(offer.gpu_types))
    if offer.all_cpus is not None:
        parts.append(t("targets.offer_cpus_of", free=known(offer.free_cpus), all=str(offer.all_cpus)))
    elif offer.free_cpus is not None:
        parts.append(t("targets.offer_cpus", n=str(offer.free_cpus)))
    if offer.all_memory_mb is not None:
        free = "" if offer.free_memory_mb is None else gib(offer.free_memory_mb)
        parts.append(t("targets.offer_memory", free=free or t("target_test.unknown"), all=gib(offer.all_memory_mb)))
    if offer.nodes > 1 or offer.all_cpus is None:
        parts.append(t("targets.offer_nodes", idle=known(offer.idle), all=str(offer.nodes)))
    if offer.time_limit and offer.time_limit != "infinite":
        parts.append(t("targets.offer_limit", limit=offer.time_limit))
    mark = " *" if offer.default and offer.name else ""
    return f"{offer.name or t('targets.offer_whole')}{mark}: {' · '.join(parts)}"


def known(value: int | None) -> str:
    """A number; that it is not known."""
    return t("target_test.unknown") if value is None else str(value)


def gib(megabytes: int) -> str:
    """MiB, in GiB."""
    return f"{megabytes / 1024:.1f}".removesuffix(".0")


def lacking(target: Target, offer: Offer) -> Iterator[str]:
    """What a target on Ray asks of a node, and no node of now has: its jobs wait, and nothing says for how long. Slurm
    itself refuses such a job."""
    if target.kind != "ray":
        return
    wanted = {
        "gpus": (usual_gpus(target), offer.node_gpus), "cpus": (target.cpus or 1, offer.cpus),
    }
    for name, (asked, most) in wanted.items():
        if asked > most:
            yield f"{label(name)}: {asked} > {most}"
    if target.memory and memory_bytes(target.memory) >> 20 > offer.memory_mb:
        yield f"{label('memory')}: {target.memory} > {t('units.gib', n=gib(offer.memory_mb))}"


def problem_markdown(problem: Problem) -> str:
    """The same in Markdown, its value as code: so it can be copied, since nothing that is not seen is put into it."""
    value = " ".join(str(problem.params.get("value", "")).split())
    if not value:
        return markdown_safe(problem_text(problem))
    told = problem_text(replace(problem, params={**problem.params, "value": HELD}))
    fence = "`" * (max(map(len, re.findall("`+", value)), default=0) + 1)
    return markdown_safe(told).replace(HELD, f"{fence} {value} {fence}")


def problem_text(problem: Problem) -> str:
    """What is wrong with a field of the dialog, by its value, and what would be right."""
    params = {name: str(value) for name, value in problem.params.items()}
    if "other" in params:
        params |= {"key": label(params["key"]), "other": label(params["other"])}
    if problem.code == "target_path" and params.get("key") in ("cli", "python", "slurm_conf", "token_file"):
        return t(f"targets.wrong_path_{params['key']}", **params)
    return t(f"targets.wrong_{problem.code.removeprefix('target_')}", **params)


def field_warnings(name: str, text: str, offered: Offered | None) -> Iterator[str]:
    """What is to be told of a value that can be saved all the same. offered: what the cluster has, None where nobody
    knows."""
    text = text.strip()
    if name == "partition" and text and offered is not None and offered.offers:
        known_ones = [one.name for one in offered.offers]
        if text not in known_ones:
            yield t("targets.no_partition", value=text, known=", ".join(known_ones))
    if name == "env":
        literal = [line.partition("=")[0].strip() for line in text.splitlines() if LITERAL.search(line)]
        if literal:
            yield t("targets.env_literal", names=", ".join(literal))
    if name == "time_limit" and (short := MINUTES.fullmatch(text)):
        yield t("targets.time_minutes", value=text, minutes=str(int(short[1])))


def step_words(step: Step) -> str:
    """Where a test is, with the scheduler's own words."""
    seen = step.seen
    own = f" ({', '.join(filter(None, (seen.word, seen.reason)))})" if seen.word else ""
    silent = f" {t('target_test.silent_now', reason=seen.silent)}" if seen.silent else ""
    return f"{t(f'target_test.step_{step.name}')}{own}{silent}"


def failure_words(failure: Failure) -> str:
    """Why a test found nothing, as far as the file says, which anybody may have written."""
    code = failure.code if lookup_in(DEFAULT_LANGUAGE, "target_test", f"why_{failure.code}") else "failed"
    named = {name: "?" for _, name, _, _ in Formatter().parse(str(lookup("target_test", f"why_{code}"))) if name}
    return t(f"target_test.why_{code}", **named | {name: str(value) for name, value in failure.params.items()})


def gpu_words(gpus: tuple[TargetGpu, ...]) -> str:
    """GPUs of the same kind counted."""
    kinds: dict[TargetGpu, int] = {}
    for gpu in gpus:
        kinds[gpu] = kinds.get(gpu, 0) + 1
    named = [f"{n} × {gpu.name} ({t('units.gib', n=f'{gpu.memory / GIB:.0f}')})" for gpu, n in kinds.items()]
    return listed(named)


def summary(facts: TargetFacts) -> str:
    """What was found, in one line."""
    packages = facts.packages or {}
    parts = [facts.host, *(f"{name} {packages[name]}" for name in SHOWN if name in packages)]
    if facts.gpus is not None:
        parts.append(gpu_words(facts.gpus) if facts.gpus else t("target_test.no_gpu"))
    return " · ".join(filter(None, parts))


def found_rows(facts: TargetFacts) -> Iterator[tuple[str, str]]:
    """What was found: its name, and in words."""
    code, unknown, packages = language(), t("target_test.unknown"), facts.packages
    yield t("target_test.row_host"), facts.host or unknown
    yield t("target_test.row_cli"), facts.cli or t("target_test.no_cli")
    for name in SHOWN:
        yield name, unknown if packages is None else packages.get(name) or t("target_test.not_installed")
    yield "Python", facts.python or unknown
    yield t("target_test.row_supervisor"), facts.supervisor_python or unknown
    gpus = unknown if facts.gpus is None else gpu_words(facts.gpus) if facts.gpus else t("target_test.no_gpu")
    yield t("target_test.row_gpus"), gpus
    yield "bf16", unknown if facts.bf16 is None else t("ui.on") if facts.bf16 else t("ui.off")
    yield t("targets.field_cpus"), str(facts.cpus or unknown)
    yield t("targets.field_memory"), t("units.gib", n=f"{facts.memory / GIB:.1f}") if facts.memory else unknown
    yield t("target_test.row_workspace"), t("target_test.seen_and_written")
    yield t("target_test.row_disk"), size_words(code, facts.disk) if facts.disk else unknown
    yield t("target_test.row_clock"), clock_words(facts.clock) or unknown
    locks = {"seen": t("target_test.locks_seen"), "unseen": t("target_test.locks_unseen")}
    yield t("target_test.row_locks"), locks.get(facts.locks, facts.locks or unknown)


def clock_words(clock: tuple[float, float] | None) -> str:
    """How much another clock is ahead, as far as that is known; "" where it is not."""
    if clock is None:
        return ""
    least, most = clock
    if least <= 0 <= most:
        return t("target_test.clock_same", s=f"{max(-least, most):.1f}")
    return t("target_test.clock_ahead", least=f"{least:.1f}", most=f"{most:.1f}")


def warnings(target: Target, facts: TargetFacts) -> Iterator[str]:
    """What of it keeps jobs from running well, each with its remedy."""
    if facts.packages is None:
        yield t("target_test.warn_environment", reason=facts.error or "?")
    elif "llamafactory" not in facts.packages:
        yield t("target_test.warn_llamafactory", cli=facts.cli or "?")
    if facts.locks == "unseen":
        yield t("target_test.warn_locks")
    elif facts.locks != "seen":
        yield t("target_test.warn_locks_unknown", reason=facts.locks or "?")
    if facts.clock and (facts.clock[0] > CLOCK_S or facts.clock[1] < -CLOCK_S):
        yield t("target_test.warn_clock")
    if usual_gpus(target) and facts.gpus == ():
        yield t("target_test.warn_gpus", n=str(usual_gpus(target)))
