"""One unit for one number: memory is told in GiB, as nvidia-smi and PyTorch count it, wherever it is told."""

from __future__ import annotations

import pytest

from lfdash import locales

OF_MEMORY = ("ready_keep_help", "ready_memory", "curve_memory", "of_gib", "gib")


@pytest.mark.parametrize("code", locales.available())
def test_no_text_on_memory_tells_gb(code: str) -> None:
    found = locales.catalogue(code).items()
    named = {(section, key): text for section, texts in found if isinstance(texts, dict) for key, text in texts.items()
             if section == "memory" or key in OF_MEMORY}
    assert len(named) > 100
    assert {name: text for name, text in named.items() if any(unit in str(text) for unit in ("GB", "ГБ"))} == {}
