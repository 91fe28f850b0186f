"""Ascend NPUs, by tables as `npu-smi info` of several drivers lays them out; the figures are made up."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lfdash.machine import ascend
from lfdash.machine.sample import CannotRead, Device
from lfdash.machine.vendors import VENDORS

MIB = 1 << 20

ONE_CHIP = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.0                   Version: 24.1.0                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B3               | OK            | 301.8       53                0    / 0             |
| 0                         | 0000:C1:00.0  | 96          0    / 0          53984/ 65536         |
+===========================+===============+====================================================+
| 6     910B3               | Alarm         | 92.0        39                0    / 0             |
| 0                         | 0000:C2:00.0  | 0           0    / 0          3314 / 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 0       0                 | 1712733       | python                   | 48954                   |
| 0       0                 | 1712701       | python                   | 154                     |
+===========================+===============+====================================================+
| No running processes found in NPU 6                                                            |
+===========================+===============+====================================================+
"""
TWO_CHIPS = """\
| npu-smi 25.3.rc1                 Version: 25.3.rc1                                             |
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 2     Ascend910           | OK            | 166.9       38                0    / 0             |
| 0     4                   | 0000:9D:00.0  | 12          0    / 0          46536/ 65536         |
+------------------------------------------------------------------------------------------------+
| 2     Ascend910           | OK            | -           37                0    / 0             |
| 1     5                   | 0000:9F:00.0  | 0           0    / 0          3084 / 65536         |
+===========================+===============+====================================================+
| NPU     Chip              | Process id    | Process name       | Process memory(MB)    | Process id in container |
+===========================+===============+======================================================================+
| 2       1                 | 845053        | python             | 150                   | 101                     |
| 2       0                 | 824166        | python             | 150                   | NA                      |
"""
WITHOUT_HBM = """\
| npu-smi 23.0.0                   Version: 23.0.0                                               |
| NPU     Name              | Health        | Power(W)     Temp(C)           Hugepages-Usage(page)|
| Chip    Device            | Bus-Id        | AICore(%)    Memory-Usage(MB)                       |
| 3       310P3             | OK            | NA           42                0     / 0            |
| 0       1                 | 0000:06:00.0  | 7            1596 / 44280                           |
"""
NEWEST = """\
| NPU ID | Name             | Health        | Power(W)    Temp(C)           Hugepages-Usage(page) |
|        |                  | Bus-Id        | NPU Util(%) Memory-Usage(MB)  HBM-Usage(MB)         |
| 3      | Ascend950DT      | OK            | 120.5       45                0    / 0              |
|        |                  | NA            | 20          0    / 0          2048 / 8192           |
| NPU ID | Process id       | Process name  | Process memory(MB) | Process id in container        |
| 3      | 1002             | python        | 512                | NA                             |
"""


def test_one_chip_a_card() -> None:
    first, second = ascend.devices(ONE_CHIP)
    assert first == Device(
        "ascend", "0", "910B3", load=96.0, memory_used=53984 * MIB, memory_total=65536 * MIB, temperature=53.0,
        power=301.8, processes=(1712701, 1712733),
    )
    assert (first.label, second.index, second.processes, second.load) == ("NPU 0", "1", (), 0.0)


def test_two_chips_a_card_are_counted_as_the_machine_counts_them() -> None:
    first, second = ascend.devices(TWO_CHIPS)
    assert [(one.index, one.power, one.processes) for one in (first, second)] == [
        ("4", 166.9, (824166,)), ("5", None, (101,)),
    ]


def test_a_chip_without_memory_of_its_own() -> None:
    (found,) = ascend.devices(WITHOUT_HBM)
    assert (found.index, found.power, found.load, found.memory_used) == ("1", None, 7.0, 1596 * MIB)
    assert found.processes is None  # this table does not tell them


def test_the_newest_table_has_a_column_for_each() -> None:
    (found,) = ascend.devices(NEWEST)
    assert (found.name, found.power, found.load, found.memory_total) == ("Ascend950DT", 120.5, 20.0, 8192 * MIB)
    assert found.processes == (1002,)


@pytest.mark.parametrize("printed", ["", "random text\n", "| a | b |\n| 0 |\n", ONE_CHIP[:700]])
def test_anything_else_has_no_chips_or_whole_ones(printed: str) -> None:
    assert all(one.name == "910B3" for one in ascend.devices(printed))


def tool(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts an `npu-smi` into the path that does as `script` says."""
    file = folder / "npu-smi"
    file.write_text("#!/bin/sh\n" + script)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_tool_is_asked_where_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = next(vendor for vendor in VENDORS if vendor.name == "ascend")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not vendor.there()
    tool(tmp_path, f"[ $1 = info ] || exit 1\ncat <<'END'\n{ONE_CHIP}END\n", monkeypatch)
    assert vendor.there() and len(vendor.read()) == 2


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'dcmi module initialize failed. ret is -8005' >&2; exit 255", "ret is -8005"),
        ("exit 3", "3"),
        ("exec sleep 30", "does not answer"),
    ],
)
def test_a_tool_that_fails_or_hangs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    tool(tmp_path, script, monkeypatch)
    monkeypatch.setattr(ascend, "TIMEOUT_S", 0.3)
    with pytest.raises(CannotRead, match=said):
        ascend.read()
