"""The line in the head of every page."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.engine.machine_words import Cell
from lfdash.engine.services import Services
from lfdash.machine.sample import Device, Sample
from lfdash.ui.shared import layout, machine_line
from lfdash.ui.shared.machine_line import line_html, moved
from tests.support import app as pages


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        found._started = True  # its threads would look at moments of their own
        yield found


def line(path: str) -> str:
    """The line of a page."""
    app = pages.start()
    if path != "app.py":
        app = pages.good(app.switch_page(path).run())
    (found,) = [str(item.value) for item in app.get("html") if str(item.value).startswith('<div class="lf-machine')]
    return found


@pytest.mark.parametrize("path", [path for path, _ in layout.PAGES])
def test_it_is_on_every_page(services: Services, path: str) -> None:
    services.machine._sample = Sample(
        time.time(), (Device("nvidia", "0", "<b>", load=97.0, seen=time.time()),), cpu=41.0
    )
    found = line(path)
    assert "97 %" in found and "41 %" in found and "&lt;b&gt;" in found and "<b><" not in found


def test_before_the_first_sample_it_has_its_place_and_nothing_is_zero(services: Services) -> None:
    assert re.findall(r"<em>(.*?)</em>", line("app.py")) == ["–", "–", "unknown"]


def test_each_figure_has_a_name_that_says_it_in_full() -> None:
    gpu = Cell("GPU 0", "97 %", "71/80 GiB", (97.0, None), "GPU 0: load 97 %", "run")
    found = line_html([gpu, Cell("CPU", "–", "", (None,), "")], 1)
    assert 'role="group" aria-label="Machine"' in found
    assert 'class="lf-cell lf-device lf-run" role="img" title="GPU 0: load 97 %"' in found
    assert re.findall(r"background-size:(\d+)%", found) == ["97", "0", "0"]


@pytest.mark.parametrize(("devices", "size", "names"), [
    (2, "lf-few", ["GPU 0", "GPU 1"]), (4, "lf-many", ["GPU 0", "GPU 1", "GPU 2", "GPU 3"]),
    (5, "lf-crowd", ["GPU 0", "1", "2", "3", "4"]),
])
def test_many_devices_have_less_room_each(devices: int, size: str, names: list[str]) -> None:
    found = line_html([Cell(f"GPU {number}", "1 %", bars=(1.0,)) for number in range(devices)], devices)
    assert f'class="lf-machine {size}"' in found and re.findall("<b>(.*?)</b>", found) == names


def cells(cpu: float, name: str = "GPU 0", memory: str = "71/80 GiB", look: str = "run") -> list[Cell]:
    return [
        Cell(name, "97 %", memory, (97.0, 88.7), f"{name}: load 97 %, {memory}", look),
        Cell("CPU", f"{cpu:.0f} %", "", (cpu,), f"CPU: {cpu:.0f} % busy"),
    ]


@pytest.mark.parametrize(("now", "much"), [
    (cells(5), False), (cells(7), True), (cells(0), True), (cells(4, memory="73/80 GiB"), False),
    (cells(4, memory="76/80 GiB"), True), (cells(4, look="old"), True), (cells(4, name="GPU 1"), True),
    (cells(4, memory="unknown"), True), (cells(4)[:1], True),
], ids=str)
def test_a_figure_that_trembles_is_no_news(now: list[Cell], much: bool) -> None:
    assert moved(cells(4), now) is much


def test_what_almost_says_the_same_is_drawn_now_and_then(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    news = []
    monkeypatch.setattr(machine_line.looks, "keep", lambda _fragment, tells, _seconds: news.append(tells))
    services.machine._sample = Sample(time.time(), cpu=4.0)
    line("app.py")
    (tells, *_) = [one for one in news if one.__module__ == machine_line.__name__]
    now = time.monotonic()
    monkeypatch.setattr(machine_line.time, "monotonic", lambda: now)
    services.machine._sample = Sample(time.time(), cpu=5.0)
    assert not tells()
    now += machine_line.CALM_S
    assert tells()
    services.machine._sample = Sample(time.time(), cpu=4.0)
    assert not tells()  # it says the same
    now -= machine_line.CALM_S
    services.machine._sample = Sample(time.time(), cpu=40.0)
    assert tells()
