"""A language that marks every text: what a page shows outside of the marks comes from no locale.

Only the fixed parts of a text are marked, `⟦Stopped: ⟧{run}⟦.⟧`, so that what is filled in is looked at too.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

from lfdash import locales

MARK = re.compile("⟦[^⟦⟧]*⟧")
# What the browser is told and does not show.
UNSEEN = {
    "id", "key", "icon", "form_id", "icon_name", "url", "page", "page_script_hash", "shortcut", "identity", "language",
    "theme", "vega_lite_type", "selection_mode", "group_id", "query_param_key", "emoji", "mime", "data_id", "format",
    "autocomplete", "type", "container_key", "javascript", "element_id", "deferred_file_id", "command", "raw_value",
    "query_string",
}
EXEMPT = {"code", "json", "text"}  # elements that show code, data and the log
HTML_WORDS = re.compile(r"(?:title|aria-label|alt)=\"([^\"]*)\"|<(?:style|script)>.*?</(?:style|script)>|<[^>]*>", re.S)
MARKDOWN = re.compile(r":material/\w+:|:(?:red|blue|green|gray|orange|violet|rainbow|small)\[|`[^`]*`")
ESCAPED = re.compile(r"\\([\\`*_{}\[\]<>#$:|~])")
WORD = re.compile(r"[^\W\d_]{2,}")
# A file, a path, a name with a number or a joint in it, a version, an address.
NAME = re.compile(r"[\w.+-]*[\d_./:=-][\w./:=+-]*|https?://\S+")


def marked(words: Any) -> Any:
    """A locale's value with the fixed parts of every text in marks."""
    if isinstance(words, Mapping):
        return {key: marked(value) for key, value in words.items()}
    if isinstance(words, list):
        return [marked(value) for value in words]
    if "{" not in words:
        return f"⟦{words}⟧"
    parts = []
    for fixed, name, form, change in string.Formatter().parse(words):
        fixed = fixed.replace("{", "{{").replace("}", "}}")
        parts.append(f"⟦{fixed}⟧" if fixed.strip() else fixed)
        if name is not None:
            parts.append("{" + name + (f"!{change}" if change else "") + (f":{form}" if form else "") + "}")
    return "".join(parts)


PSEUDO = marked(locales.catalogue(locales.DEFAULT_LANGUAGE))
PSEUDO["language"]["plural"] = locales.catalogue(locales.DEFAULT_LANGUAGE)["language"]["plural"]  # no words


def strings(message: Message) -> Iterator[str]:
    """Every text of a message that a browser may show."""
    for field, value in message.ListFields():
        if field.name in UNSEEN:
            continue
        for item in value if field.is_repeated else [value]:
            if isinstance(item, Message):
                yield from strings(item)
            elif isinstance(item, str):
                yield item


def titles(spec: Any) -> Iterator[str]:
    """The words of a chart: titles of axes, marks and tooltips, and the names of its series."""
    if isinstance(spec, Mapping):
        for key, value in spec.items():
            if key in ("title", "text") and isinstance(value, str):
                yield value
            elif key == "domain" and isinstance(value, list):
                yield from (item for item in value if isinstance(item, str))
            else:
                yield from titles(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from titles(value)


def table(element: Any) -> Iterator[str]:
    """The words of a table: its columns as they are headed, and its cells."""
    config = json.loads(element.proto.columns or "{}")
    for name in element.value.columns:
        yield str(config.get(name, {}).get("label") or name)
        yield from (str(cell) for cell in element.value[name])


def drawn(message: dict[str, Any]) -> Iterator[str]:
    """The texts of curves (lfdash/ui/curves/draw.py), as they are sent first."""
    parts = message.get("parts", {})
    for words in parts.get("page", {}).get("words", {}).values():
        yield re.sub(r"\{\w+\}", " ", words)  # the browser fills it in
    for name in ("axes", "charts"):
        yield from (words for _value, words in parts.get("settings", {}).get(name, ()))
    for name, part in parts.items():
        if name.startswith("chart/"):
            yield from titles(part["spec"])
            yield from (line["label"] for line in part["lines"])


def shown(node: Any) -> Iterator[tuple[str, str]]:
    """(element, text) for everything below a node of AppTest's tree."""
    children = getattr(node, "children", None)
    kind = str(getattr(node, "type", "?"))
    proto = getattr(node, "proto", None)
    if kind == "dataframe":
        yield from ((kind, words) for words in table(node))
    elif kind == "vega_lite_chart":
        yield from ((kind, words) for words in titles(json.loads(proto.spec)))
    elif kind == "bidi_component":
        yield from ((kind, words) for words in drawn(json.loads(proto.json)))
    elif kind == "html":
        yield from ((kind, " ".join(part)) for part in [HTML_WORDS.split(proto.body)] for part in [filter(None, part)])
    elif isinstance(proto, Message) and kind not in EXEMPT:
        yield from ((kind, words) for words in strings(proto))
    for child in (children or {}).values():
        yield from shown(child)


def unmarked(words: str, names: Iterable[str], sayings: Iterable[str]) -> list[str]:
    """The words of a text that are neither marked nor known names. sayings: whole texts of others."""
    rest = MARKDOWN.sub(" ", ESCAPED.sub(r"\1", MARK.sub(" ", words)))
    for saying in sayings:
        rest = rest.replace(saying, " ")
    found = []
    for token in re.split(r"[\s,;|·“”\"'()\[\]{}*<>…]+", rest):
        token = token.strip(".:!?=–-")
        if token and token not in names and not NAME.fullmatch(token) and WORD.search(token):
            found.append(token)
    return found


def faults(app: AppTest, names: set[str], sayings: Iterable[str]) -> list[str]:
    """Everything that the page shows and that comes from no locale."""
    found = []
    for kind, words in shown(app._tree):
        left = unmarked(words, names, sayings)
        if left:
            found.append(f"{kind}: {left} in {words[:120]!r}")
    return sorted(set(found))
