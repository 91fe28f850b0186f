"""However a secret is written, it is found, on the page and in a log; and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.supervisor import forms as forms_module
from lfdash.supervisor.forms import Finder, forms, raw
from lfdash.supervisor.mask import LogMask, redactor

SECRETS = ("hf_abcdefGHIJKL0123456789", "S3cr3t+/Pass \"word\\x&<y>'", "wörd/😀 +?", "0123456789/ab")
Writer = Callable[[str], str]


def encoded(write: Callable[[bytes], bytes], before: str = "", behind: str = "") -> Writer:
    """Writes a secret between two texts in base64."""
    return lambda text: write((before + text + behind).encode()).decode()


WRITERS: dict[str, Writer] = {
    "plain": str,
    "base64": encoded(base64.b64encode),
    "url-safe base64": encoded(base64.urlsafe_b64encode),
    "basic auth": encoded(base64.b64encode, "user:"),
    "basic auth, another": encoded(base64.b64encode, "me:"),
    "within base64": encoded(base64.b64encode, "a:", ":x"),
    "base64 in an address": lambda text: quote(encoded(base64.b64encode, "user:")(text), safe=""),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "quoted": lambda text: quote(text, safe=""),
    "quoted, / kept": quote,
    "quoted, + for a space": quote_plus,
    "quoted, %2f": lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text, safe="")),
    "quoted, %c3, / kept": lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text)),
    "html": html.escape,
    "html, quotes kept": lambda text: html.escape(text, quote=False),
    "html, as Jinja": lambda text: html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "xml": lambda text: html.escape(text).replace("&#x27;", "&apos;"),
    "json": json.dumps,
    "json, not ASCII alone": lambda text: json.dumps(text, ensure_ascii=False),
    "json twice": lambda text: json.dumps(json.dumps(text)),
    "json, as PHP": lambda text: json.dumps(text).replace("/", "\\/"),
    "json, as Go": lambda text: json.dumps(text).translate({60: "\\u003c", 62: "\\u003e", 38: "\\u0026"}),
    "repr": repr,
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("way", WRITERS)
def test_a_secret_is_found_however_it_is_written(way: str, secret: str, tmp_path: Path) -> None:
    """What is left are the quotes, what stood before it, and a letter of base64 at each end that has bits of both."""
    text = f"x {WRITERS[way](secret)} y"
    allowed = len("x  y") + len(WRITERS[way]("")) + 4
    told = redactor([("V", secret)])(text)
    assert told.count("•••V") == 1 and len(told) - 4 <= allowed, told
    log = tmp_path / "console.log"
    log.write_text(text, encoding="utf-8")
    assert LogMask([secret]).look(str(log)) == 1
    masked = log.read_bytes()
    assert len(masked) == len(text.encode()) and len(masked.replace(b"*", b"")) <= allowed, masked


@given(st.binary(max_size=9), st.text("abcXYZ019+/_-é", min_size=8, max_size=40), st.binary(max_size=9), st.booleans())
def test_no_byte_of_a_secret_in_base64_can_be_read(before: bytes, secret: str, behind: bytes, safe: bool) -> None:
    data = before + raw(secret) + behind
    text = (base64.urlsafe_b64encode if safe else base64.b64encode)(data)
    hidden = {place for begin, end, _ in Finder({raw(form): "" for form in forms(secret)}).find(text)
              for place in range(begin, end)}
    for byte in range(len(before), len(data) - len(behind)):
        assert hidden & {byte * 8 // 6, (byte * 8 + 7) // 6}, (text, hidden)


@given(
    st.lists(st.text("ab-", min_size=1, max_size=9), max_size=5), st.text("ab- ", max_size=60),
    st.sampled_from([1, 3, 20]), st.sampled_from([1, 4]), st.sampled_from([1, 3, 200]),
)
def test_all_that_are_there_are_found_and_no_more(words: list[str], text: str, run: int, typed: int, many: int) -> None:
    """As a search for each at each place finds them; whatever pieces are searched for."""
    data, known = text.encode(), {word.encode(): word for word in words}
    expected = {
        place for word in known for begin in range(len(data)) if data.startswith(word, begin)
        for place in range(begin, begin + len(word))
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms_module, "RUN", run)
        patch.setattr(forms_module, "TYPED", typed)
        patch.setattr(forms_module, "MANY", many)
        places = Finder(known).find(data)
    assert {place for begin, end, _ in places for place in range(begin, end)} == expected
    assert all(first[1] <= second[0] for first, second in pairwise(places))
    assert all(name in text[begin:end] for begin, end, name in places)


def test_a_form_without_letters_is_searched_for_as_a_whole() -> None:
    """Not by a piece of nothing, which is everywhere."""

    class Counted(bytes):
        searches = 0

        def find(self, *args: object) -> int:
            Counted.searches += 1
            return super().find(*args)  # type: ignore[arg-type]

    assert Finder({b"-+-+-+": "V"}).find(Counted(b"." * 1000)) == []
    assert Counted.searches == 1


def test_of_two_at_one_place_the_longest_names_it() -> None:
    finder = Finder({b"abcdef": "short", b"abcdefgh": "long", b"ghijkl": "overlaps"})
    assert finder.find(b"abcdef abcdefgh ") == [(0, 6, "short"), (7, 15, "long")]
    assert finder.find(b"abcdefghijkl") == [(0, 12, "long")]
    assert Finder({b"abcdef": "first", b"efghijklm": "longer"}).find(b"abcdefghijklm") == [(0, 13, "longer")]
    assert Finder({b"aaaa-": "V"}).find(b"aaaaa-") == [(1, 6, "V")]  # its piece begins before it, too
    assert Finder({}).find(b"anything") == [] and Finder({}).longest == 0


def test_half_a_character_and_bytes_that_are_no_text_have_forms_too() -> None:
    odd = b"p\xffss-word-0123".decode("utf-8", "surrogateescape")  # as os.environ tells it
    assert {"70ff73732d776f72642d30313233", "p%FFss-word-0123", odd} <= set(forms(odd))
    assert raw(odd) == b"p\xffss-word-0123"
    half = "p\ud800ss-word"
    assert redactor([("V", half)])(f"x {half} y") == "x •••V y"
    assert LogMask([half, odd]).look("/dev/null") == 0


def test_short_ones_are_hidden_as_they_are_but_not_where_chance_writes_them() -> None:
    assert forms("abc") == [] or min(map(len, forms("abc"))) >= forms_module.ENCODED
    redact = redactor([("V", "abcd")])
    assert redact("abcd 61626364 YWJjZA== user:abcd") == "•••V •••V •••V user:•••V"
    assert redact("WJjZ") == "WJjZ"  # four letters of base64 are in any text
