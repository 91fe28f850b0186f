"""Which card a training fits on. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from lfdash.memory.estimate import Estimate

Verdict = Literal["fits", "unsure", "tight", "does_not"]
TIGHT = 0.08  # share of the free memory within which it cannot be told
MIB = 2**20
WORD = re.compile(r"[A-Z0-9]+")


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


NEAR = 0.1  # share by which a card's memory may differ from its product's: ECC and the driver keep some
SAME = 0.01  # share by which that of two cards of one product may differ


def product_of(name: str) -> str:
    """The product of CARDS that a driver's name of a device tells of ("NVIDIA H100 80GB HBM3": "H100"), the one with
    most words; "" for none."""
    words = set(WORD.findall(name.upper()))
    found = [(len(parts), one) for card in CARDS for one in card.examples
             if (parts := set(WORD.findall(one.upper()))) <= words]
    return max(found, default=(0, ""))[1]


def card_of(name: str, total: int) -> Card:
    """The kind of card that a device is: by its name, where its memory does not speak against it (a part of a card, or
    a product of several sizes, has another), else the largest that has no more memory. total: bytes."""
    product = product_of(name)
    named = next((card for card in CARDS if product in card.examples), None)
    if named is not None and abs(total / named.total - 1) <= NEAR:
        return named
    return max((card for card in CARDS if card.total <= total * (1 + SAME)), key=lambda card: card.total,
               default=CARDS[0])


def is_same(one: tuple[str, int], two: tuple[str, int]) -> bool:
    """Whether two devices, each a driver's name ("" where it is not known) and bytes, are the same kind of card: of one
    product and one size; by the size alone where a name is not known."""
    if abs(one[1] - two[1]) > SAME * two[1]:
        return False
    names = [product_of(name) or name.strip().upper() for name, _ in (one, two)]
    return names[0] == names[1] or not all(names)


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
