"""tools/texts.py: what each language lacks, and when that is a failure."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from lfdash.locales import available, catalogue
from tests.support import ROOT


@pytest.fixture
def texts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lfdash_texts", ROOT / "tools/texts.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_missing_text_is_listed_and_fails(
    texts: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    last = available()[-1]
    own = {section: dict(rows) for section, rows in catalogue(last).items()}
    del own["ui"]["step"], own["states"]
    monkeypatch.setattr(texts, "catalogue", lambda code: own if code == last else catalogue("en"))
    assert {"ui.step", "states.RUNNING"} <= set(texts.missing(last))
    assert texts.main() == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "en.toml (English): no missing" and "  ui.step" in said
    assert f"{len(texts.missing(last))} missing" in next(line for line in said if line.startswith(f"{last}.toml"))


def test_nothing_missing_is_no_failure(texts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "catalogue", lambda _code: catalogue("en"))
    assert texts.main() == 0
