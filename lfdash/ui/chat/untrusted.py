"""A model's Markdown, made harmless: whoever wrote its training data may have written it.

Streamlit shows HTML as text, but it loads images from anywhere (which tells their server who reads what), and a link
hides where it leads. So nothing in brackets is taken for markup: a character without a width parts the brackets from
what makes them a link, an image, a reference or one of Streamlit's directives. A bare address stays a link, since it
shows itself. Blocks of code are drawn by themselves, and never parsed as Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

JOINER = "\u2060"  # has no width and breaks no line
BLANK = "\ufeff"  # the same, and white space to JavaScript: a directive's name may hold a joiner, and no white space
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([\w.+#-]*)[^`\n]*$")
# `](` of a link or image, `][` of a reference, `]:` of its definition; `![` of an image; `[[` and `[^` of footnotes
PARTED = re.compile(r"(?<=\])(?=[(\[:])|(?<=!)(?=\[)|(?<=\[)(?=\^)")
# `:red[words]`, `:name{...}`, `::name` and `:material/icon:`: where a character goes that parts them
DIRECTIVE = re.compile(r"(?<=:)(?=:|material/|[\w-]+[\[{])|(?<=(?<!\w):)(?=[a-z])", re.IGNORECASE)
BETWEEN = re.compile(r"\](\s+)(?=[(\[:])")  # some readers allow white space there


@dataclass(frozen=True)
class Part:
    """A part of an answer. code: a block of code in `language` ("" = unknown), without its fences; else Markdown."""

    text: str
    code: bool = False
    language: str = ""


def parts(text: str) -> Iterator[Part]:
    """The parts of a model's answer in order, harmless. A block of code without an end goes to the end."""
    lines: list[str] = []
    fence, language = "", ""
    for line in text.split("\n"):
        found = FENCE.match(line)
        if not fence and found is not None:
            if any(lines):
                yield Part(harmless("\n".join(lines)))
            lines, fence, language = [], found[1], found[2]
        elif fence and found is not None and found[1].startswith(fence) and not found[2]:
            yield Part("\n".join(lines), code=True, language=language)
            lines, fence = [], ""
        else:
            lines.append(line)
    if fence or any(lines):
        yield Part("\n".join(lines), code=True, language=language) if fence else Part(harmless("\n".join(lines)))


def harmless(text: str) -> str:
    """Markdown without links that hide their address, images, references, HTML and directives."""
    text = BETWEEN.sub(lambda found: f"]{JOINER}{found[1]}", text)
    text = PARTED.sub(JOINER, DIRECTIVE.sub(BLANK, text))
    return text.replace("<", f"<{JOINER}")  # an escape would be undone by another one before it
