"""Versions that are known not to work: a table with its sources, and what of it is installed and would be met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from packaging.requirements import Requirement

from lfdash.jobs.environment import Facts
from lfdash.jobs.experts import has_experts
from lfdash.jobs.fields import BY_KIND_ARG
from lfdash.jobs.kinds import JobKind
from lfdash.jobs.packages import canonical, install_line, suits
from lfdash.jobs.rules import EXTRA, Args, Cure, Finding, number
from lfdash.outcomes import Level


@dataclass(frozen=True)
class KnownBad:
    """A combination that is known not to work.

    packages: requirements that must all be met by what is installed. met: whether a job meets the fault. argument:
    where it is shown. code: its text, `problems.CODE`. source: where it is told, for whoever doubts it. cured_by: the
    requirement that cures it, "" = none does. fix: arguments that avoid it.
    """

    packages: tuple[str, ...]
    code: str
    argument: str
    source: str
    met: Callable[[Args, Facts], object] = lambda args, facts: True
    cured_by: str = ""
    fix: Cure | None = None
    level: Level = "warning"


LLAMAFACTORY = "https://github.com/hiyouga/LlamaFactory"
KNOWN_BAD = (
    KnownBad(
        ("transformers==5.6.0", "flash-attn"), "bad_fa2", "flash_attn", f"{LLAMAFACTORY}/issues/10610",
        lambda args, _: args.get("flash_attn") == "fa2", "transformers==5.5.4", {"flash_attn": "auto"}, "error",
    ),
    KnownBad(
        ("transformers>=5", "bitsandbytes"), "bad_experts", "quantization_bit",
        "https://github.com/bitsandbytes-foundation/bitsandbytes/issues/1849",
        lambda args, facts: args.get("quantization_bit") in (4, 8)
        and args.get("quantization_method", "bnb") == "bnb" and has_experts(args, facts),
    ),
    KnownBad(
        ("torch>=2.9,<2.10", "llamafactory>=0.9.4"), "bad_conv3d", "model_name_or_path", f"{LLAMAFACTORY}/issues/10115",
        # image_max_pixels: what the form sends for a multimodal model of LLaMA-Factory's table
        lambda args, facts: facts.model.pictures if facts.model else "image_max_pixels" in args, "torch<2.9",
    ),
    KnownBad(
        ("transformers>=4.48", "llamafactory>=0.9.1"), "bad_shift_attn", "shift_attn", f"{LLAMAFACTORY}/issues/6823",
        lambda args, _: args.get("shift_attn"), fix={"shift_attn": None},
    ),
    KnownBad(
        ("transformers>=4.46,<4.48",), "bad_accumulation", "gradient_accumulation_steps",
        "https://github.com/huggingface/transformers/pull/35438",
        lambda args, _: number(args, "gradient_accumulation_steps") > 1, "transformers>=4.48",
    ),
    KnownBad(
        ("transformers==4.57.0",), "bad_withdrawn", "model_name_or_path", f"{LLAMAFACTORY}/issues/9327",
        cured_by="transformers==4.57.1",
    ),
)


def met(kind: JobKind, args: Args, facts: Facts) -> Iterator[Finding]:
    """The known faults of what is installed that a job would meet."""
    installed = {canonical(name): version for name, version in (facts.packages or {}).items()}
    for row in KNOWN_BAD:
        wanted = [Requirement(text) for text in row.packages]
        if not all(suits(item, installed.get(item.name)) for item in wanted) or not row.met(args, facts):
            continue
        field = BY_KIND_ARG[kind.name].get(row.argument)
        params = {
            "package": wanted[0].name, "version": installed[wanted[0].name], "source": row.source,
            "command": install_line(facts.python, row.cured_by) if row.cured_by else "",
        }
        yield Finding(field.id if field else EXTRA, row.code, params, row.level, row.fix)
