"""Targets, what they offer and what a test found, in words."""

from __future__ import annotations

from collections.abc import Iterator
from string import Formatter

from lfdash.engine.machine_words import GIB, size_words
from lfdash.engine.target_facts import Failure, TargetFacts, TargetGpu
from lfdash.engine.target_tests import Step
from lfdash.locales import DEFAULT_LANGUAGE
from lfdash.locales import lookup as lookup_in
from lfdash.outcomes import Problem
from lfdash.targets.offered import Offer
from lfdash.targets.target import Target
from lfdash.ui.shared.text import language, listed, lookup, t

SHOWN = ("llamafactory", "torch", "transformers")  # packages that are named
CLOCK_S = 5.0  # from which difference on a clock is said to be wrong


def label(name: str) -> str:
    """What a field of a target is called; its name where it has no words yet."""
    known = lookup("targets", f"field_{name}")
    if name == "kind":  # of the kinds only Ray's needs another field
        return t("targets.kind_ray")
    return str(known or name)


def help_text(name: str) -> str | None:
    """What a field of a target means; None where it has no words yet."""
    known = lookup("targets", f"help_{name}")
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
        parts.append(t("targets.offer_gpus", free=str(offer.free_gpus), all=str(offer.gpus)))
    elif offer.gpus is None and offer.node_gpus:
        parts.append(t("targets.offer_node_gpus", n=str(offer.node_gpus)))
    if offer.gpu_types:
        parts.append(listed(offer.gpu_types))
    if offer.free_cpus is not None:
        parts.append(t("targets.offer_cpus", n=str(offer.free_cpus)))
    parts.append(t("targets.offer_nodes", idle=str(offer.idle), all=str(offer.nodes)))
    if offer.time_limit and offer.time_limit != "infinite":
        parts.append(t("targets.offer_limit", limit=offer.time_limit))
    return f"{offer.name}{' *' if offer.default else ''}: {' · '.join(parts)}"


def problem_text(problem: Problem) -> str:
    """What is wrong with a field of the dialog, by its value, and what would be right."""
    params = {name: str(value) for name, value in problem.params.items()}
    if "other" in params:
        params |= {"key": label(params["key"]), "other": label(params["other"])}
    return t(f"targets.wrong_{problem.code.removeprefix('target_')}", **params)


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
    if target.gpus and facts.gpus == ():
        yield t("target_test.warn_gpus", n=str(target.gpus))
