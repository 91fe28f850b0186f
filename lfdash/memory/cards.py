"""Which card a training fits on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lfdash.memory.estimate import Estimate

Verdict = Literal["fits", "unsure", "tight", "does_not"]
TIGHT = 0.08  # share of the free memory within which it cannot be told
MIB = 2**20


@dataclass(frozen=True)
class Card:
    """A kind of card. name: by its size; examples: products of that size; total: bytes, the smallest that nvidia-smi or
    rocm-smi lists for one of them."""

    name: str
    examples: tuple[str, ...]
    total: int


CARDS = (
    Card("8 GB", ("RTX 3070", "RTX 4060"), 8188 * MIB),
    Card("12 GB", ("RTX 3060", "RTX 4070"), 12282 * MIB),
    Card("16 GB", ("T4", "RTX 4080", "RTX 5080"), 15360 * MIB),
    Card("24 GB", ("RTX 3090", "RTX 4090", "L4", "A10G"), 23028 * MIB),
    Card("32 GB", ("RTX 5090", "V100 32GB"), 32510 * MIB),
    Card("40 GB", ("A100 40GB",), 40536 * MIB),
    Card("48 GB", ("RTX A6000", "L40S"), 46068 * MIB),
    Card("64 GB", ("MI210", "Ascend 910B"), 65520 * MIB),
    Card("80 GB", ("A100 80GB", "H100"), 81251 * MIB),
    Card("96 GB", ("RTX PRO 6000", "H20"), 97871 * MIB),
    Card("141 GB", ("H200",), 143771 * MIB),
    Card("192 GB", ("B200", "MI300X"), 183359 * MIB),
)


def verdict(estimate: Estimate, free: int) -> Verdict:
    """Whether it fits into so many free bytes. tight: the two are nearer to each other than the estimate is exact,
    which is TIGHT, or the estimate's own band where that is wider. unsure: it is less, but what is not counted may
    take the rest (`Estimate.bounded`)."""
    margin = max(TIGHT, estimate.band) * free
    if estimate.driver <= free - margin:
        return "fits" if estimate.bounded else "unsure"
    return "tight" if estimate.driver <= free + margin else "does_not"


def fits_on(estimate: Estimate) -> dict[str, Verdict]:
    """Card -> whether it fits on an empty one, smallest card first."""
    return {card.name: verdict(estimate, card.total) for card in CARDS}


def smallest(estimate: Estimate) -> Card | None:
    """The smallest card that it surely fits on."""
    return next((card for card in CARDS if verdict(estimate, card.total) == "fits"), None)
