"""The GPU of an Apple computer, by a text as ioreg prints it."""

from __future__ import annotations

import pytest

from lfdash.machine import apple
from lfdash.machine.sample import CannotRead, Device

GB = 1 << 30
PRINTED = """\
+-o AGXAcceleratorG15X  <class AGXAcceleratorG15X, id 0x100000771, registered, matched, active, busy 0>
    {
      "IOClass" = "AGXAcceleratorG15X"
      "model" = "Apple M3 Pro"
      "gpu-core-count" = 14
      "PerformanceStatistics" = {"In use system memory (driver)"=0,"Alloc system memory"=25908838400,\
"Tiler Utilization %"=7,"Renderer Utilization %"=31,"Device Utilization %"=42,"In use system memory"=3221225472}
    }

"""


def test_its_load_and_what_it_has_of_the_main_memory() -> None:
    assert tuple(apple.devices(PRINTED, 18 * GB)) == (
        Device("apple", "0", "Apple M3 Pro", load=42.0, memory_used=3 * GB, memory_total=18 * GB),
    )


def test_an_entry_without_figures_is_unknown_and_another_text_has_none() -> None:
    assert tuple(apple.devices('+-o A\n "PerformanceStatistics" = {}\n', GB)) == (Device("apple", "0"),)
    assert tuple(apple.devices("nothing", GB)) == ()


def test_a_machine_without_ioreg_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apple, "COMMAND", ("/nowhere/ioreg",))
    with pytest.raises(CannotRead, match="ioreg"):
        apple.read()
