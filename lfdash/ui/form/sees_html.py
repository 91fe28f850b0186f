"""Tokens and conversations as HTML. What comes from data is escaped, all of it.

What is trained on is underlined, what was cut off is struck out, a special token has a frame: colour says only who
speaks, in hues that colour-blind people tell apart (Okabe and Ito, Color Universal Design), and the bubble says it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from lfdash.llamafactory.sees import Side, Token
from lfdash.runs.output.shown import INVISIBLE, UNSEEN, visible
from lfdash.ui.shared.text import t

FOLDED = 240  # tokens of a bubble that are shown before somebody unfolds it
REPEATED = 8  # the same token so often is shown once, with its number
LETTERS = 1200  # of a message, the same
MOST_TOKENS, MOST_LETTERS = 8000, 100_000  # of a bubble that are drawn at all: half of them its end
HUES = {
    "system": "#cc79a7", "user": "#0072b2", "assistant": "#e69f00", "tool": "#009e73", "call": "#d55e00",
    "thought": "#56b4e9", "text": "#e69f00", "template": "#888888", "end": "#888888", "padding": "#888888",
    "chosen": "#e69f00", "rejected": "#888888", "function": "#d55e00", "observation": "#009e73", "tools": "#cc79a7",
}
CSS = """
.lf-sees {font-size: .86rem; line-height: 1.75; overflow-wrap: anywhere}
.lf-sees .say {border-left: 4px solid var(--hue); padding: .1rem .5rem; margin: .25rem 0; border-radius: .3rem;
  background: color-mix(in srgb, var(--hue) 10%, transparent)}
.lf-sees .who {display: block; font-size: .72rem; color: light-dark(#565d64, #aab2ba); user-select: none}
.lf-sees .words {white-space: pre-wrap; font-family: monospace}
.lf-sees .talk {white-space: pre-wrap}
.lf-sees i {font-style: normal; border-radius: .15rem; padding: 0 .5px}
.lf-sees i:nth-of-type(even) {background: color-mix(in srgb, var(--hue) 16%, transparent)}
.lf-sees i.trained {border-bottom: 2px solid light-dark(#1f2328, #f0f3f6); font-weight: 600}
.lf-sees i.cut {text-decoration: line-through; opacity: .7}
.lf-sees i.special {outline: 1px solid light-dark(#565d64, #aab2ba); font-size: .78rem}
.lf-sees summary {cursor: pointer; color: var(--lf-blue)}
.lf-sees .row {border-top: 1px dashed light-dark(#565d64, #aab2ba); margin: .5rem 0 0}
.lf-sees.key i {margin-right: .9rem}
"""


def style() -> str:
    """The style sheet, with a hue for each who speaks."""
    hues = "".join(f".lf-sees .by-{who} {{--hue: {hue}}}" for who, hue in HUES.items())
    return f"<style>{CSS}{hues}</style>"


def state_key(state: str) -> str:
    """The text that names a state, or "special"."""
    return "sees.cut_off" if state == "cut" else f"sees.{state}"


def legend() -> str:
    """What the marks mean."""
    states = ("trained", "masked", "cut", "special")
    shown = [f'<i class="{state}">{escape(t(state_key(state)))}</i>' for state in states]
    return f'<div class="lf-sees key by-template">{"".join(shown)}</div>'


def tokens(side: Side) -> str:
    """A sequence, a bubble for each who speaks."""
    parts: list[str] = []
    numbered = list(enumerate(side.tokens))
    begins = set(side.begins)
    turn = 0
    keyed = []
    for place, token in numbered:
        turn += place in begins and place > 0
        keyed.append((turn, place, token))
    for (_, speaker), group in groupby(keyed, key=lambda one: (one[0], one[2].speaker)):
        told = list(group)
        row = '<div class="row"></div>' if told[0][1] in begins and told[0][1] else ""
        parts.append(row + bubble(speaker, "words", folded([token for _, _, token in told])))
    return f'<div class="lf-sees">{"".join(parts)}</div>'


def conversation(said: Sequence[tuple[str, str]]) -> str:
    """What people read in a row."""
    parts = []
    for who, text in said:
        words = shown(text[:LETTERS])
        if len(text) > LETTERS:
            more = escape(t("sees.more_letters", count=len(text) - LETTERS))
            rest, half = text[LETTERS:], MOST_LETTERS // 2
            drawn = shown(rest)
            if len(rest) > MOST_LETTERS:
                middle = undrawn("letters", len(rest) - 2 * half)
                drawn = f"{shown(rest[:half])}{middle}{shown(rest[-half:])}"
            words += f"<details><summary>{more}</summary>{drawn}</details>"
        parts.append(bubble(who if who in HUES else "template", "talk", words, who))
    return f'<div class="lf-sees">{"".join(parts)}</div>'


def bubble(who: str, kind: str, content: str, name: str = "") -> str:
    """One who speaks. content: HTML. name: of whom there is no word."""
    word = t(f"sees.by_{who}") if who in HUES else name
    return f'<div class="say by-{who}"><span class="who">{escape(word)}</span><div class="{kind}">{content}</div></div>'


def folded(found: Sequence[Token]) -> str:
    """The tokens of a bubble; those of a long one behind a line that says how many."""
    if len(found) <= FOLDED:
        return "".join(spans(found))
    rest = found[FOLDED:]
    more = escape(t("sees.more_tokens", count=len(rest)))
    drawn = "".join(spans(rest))
    if len(rest) > MOST_TOKENS:
        half = MOST_TOKENS // 2
        parts = ("".join(spans(part)) for part in (rest[:half], rest[-half:]))
        drawn = undrawn("tokens", len(rest) - 2 * half).join(parts)
    return f'{"".join(spans(found[:FOLDED]))}<details><summary>{more}</summary>{drawn}</details>'


def undrawn(what: str, count: int) -> str:
    """A line in place of what is too much for a browser. what: "tokens" or "letters"."""
    return f'<div class="row who">{escape(t(f"sees.undrawn_{what}", count=f"{count:,}"))}</div>'


def spans(found: Sequence[Token]) -> Iterator[str]:
    """HTML of tokens; many of the same are one."""
    for _, group in groupby(found, key=lambda token: (token.id, token.state)):
        same = list(group)
        if len(same) >= REPEATED:
            yield span(same[0], f" ×{len(same)} ")
        else:
            yield from map(span, same)


def span(token: Token, more: str = "") -> str:
    """One token, its id and what is learned there as a hint. A part of a character is shown as a dot."""
    text = shown(token.text.replace("\r", "␍").replace("\t", "⇥") or "·")
    text = text.replace("\n", "↵\n")
    learned = "" if token.label is None else f" → {token.label}"
    classes = f"{token.state} special" if token.special else token.state
    return f'<i class="{classes}" title="{token.id}{learned} · {escape(t(state_key(token.state)))}">{text}{more}</i>'


def shown(text: str) -> str:
    """HTML of a text in which everything is seen: what turns it round or has no width stands there by its number."""
    return escape(INVISIBLE.sub(visible, UNSEEN.sub(visible, text)))
