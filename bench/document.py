"""docs/benchmarks.md, whose sections the benchmarks write anew."""

from __future__ import annotations

from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


def write(marks: tuple[str, str], text: str) -> None:
    """Puts a section between its marks, in the place of the one before. ValueError where there are no such marks."""
    whole = DOCUMENT.read_text(encoding="utf-8")
    begin, end = whole.index(marks[0]) + len(marks[0]), whole.index(marks[1])
    DOCUMENT.write_text(f"{whole[:begin]}\n{text.rstrip()}\n{whole[end:]}", encoding="utf-8")
