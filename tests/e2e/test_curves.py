"""The curves in Chromium: zoom, wheel, what is shown at a place, what is saved, the link, the looks."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from lfdash.ui.curves.deltas import Sent
from tests.e2e.conftest import Server, start_server
from tests.support.growing import GrowingRun
from tests.support.runs import wait_for
from tests.ui.curves.test_deltas import arrays

pytestmark = pytest.mark.e2e
RESET = ".lf-button-reset"
MAIN = ".st-key-curves_main .lf-plot"


class Curves:
    """A page with the curves of a run."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    def open(self, run: GrowingRun, query: str = "") -> Curves:
        self.page.goto(f"{self.url}/?run={run.run_id}{query}")
        expect(self.page.locator(".lf-name")).to_have_text(run.name, timeout=60_000)
        expect(self.page.locator(f"{MAIN} canvas")).to_be_visible(timeout=60_000)
        return self

    @property
    def plot(self) -> Locator:
        return self.page.locator(MAIN)

    def point(self, share: float, plot: Locator | None = None) -> None:
        """Moves the pointer over a chart. share: of its axis, 0 to 1."""
        box = (plot or self.plot).bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + 56 + share * (box["width"] - 70), box["y"] + 60)

    def step(self, share: float) -> int:
        """The step at a place of the axis."""
        self.point(share)
        words = self.page.locator(f"{MAIN} .lf-tip b").inner_text()
        return int(re.sub(r"\D", "", words))

    def drag(self, begin: float, end: float) -> None:
        """Zooms in."""
        self.point(begin)
        self.page.mouse.down()
        self.point((begin + end) / 2)
        self.point(end)
        self.page.mouse.up()

    def tab(self, words: str) -> None:
        self.page.get_by_role("radio", name=words, exact=True).or_(
            self.page.get_by_role("button", name=words, exact=True)
        ).first.click()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, GrowingRun]]:
    workspace = tmp_path_factory.mktemp("curves") / "workspace"
    workspace.mkdir()
    made = {
        "half": GrowingRun(workspace, "half").go_on(300).checkpoint(100),
        "other": GrowingRun(workspace, "other").go_on(200),
        "grows": GrowingRun(workspace, "grows").go_on(100),
        "first": GrowingRun(workspace, "first").go_on(1),
        "long": GrowingRun(workspace, "long", 30_000).go_on(30_000),
    }
    return workspace, made


@pytest.fixture(scope="module")
def server(runs: tuple[Path, dict[str, GrowingRun]]) -> Iterator[Server]:
    running = start_server(runs[0])
    yield running
    running.end()


@pytest.fixture
def curves(browser: Browser, server: Server) -> Iterator[Curves]:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield Curves(page, server.url)
    context.close()
    assert errors == []


@pytest.fixture
def made(runs: tuple[Path, dict[str, GrowingRun]]) -> dict[str, GrowingRun]:
    return runs[1]


def test_a_zoom_survives_ten_ticks_and_goes_with_its_run(curves: Curves, made: dict[str, GrowingRun]) -> None:
    page, run = curves.open(made["grows"]).page, made["grows"]
    expect(page.locator(RESET)).to_be_disabled()
    curves.drag(0.05, 0.2)
    expect(page.locator(RESET)).to_be_enabled()
    shown = [curves.step(0), curves.step(1)]
    assert 15 <= shown[0] <= 30 and 70 <= shown[1] <= 90
    for _ in range(10):
        run.go_on(1)
        expect(page.locator(".st-key-strip .lf-fact b").first).to_have_text(f"{run.steps} / 400", timeout=30_000)
    assert [curves.step(0), curves.step(1)] == shown
    page.locator(RESET).click()
    expect(page.locator(RESET)).to_be_disabled()
    page.mouse.move(0, 0)
    assert curves.step(0.3) <= run.steps and curves.step(0) <= 2


def test_a_zoom_stays_behind_when_another_run_is_shown(curves: Curves, made: dict[str, GrowingRun]) -> None:
    page = curves.open(made["half"]).page
    curves.drag(0.5, 0.6)
    expect(page.locator(RESET)).to_be_enabled()
    page.wait_for_url(re.compile("zoom="))
    page.locator(".st-key-page-run_pick input").click()
    page.get_by_role("option").filter(has_text="other").click()
    expect(page.locator(".lf-name")).to_have_text("other")
    expect(page.locator(RESET)).to_be_disabled()
    assert curves.step(0) == 1
    assert "zoom" not in page.url


def test_the_wheel_scrolls_and_ctrl_with_the_wheel_zooms(curves: Curves, made: dict[str, GrowingRun]) -> None:
    page = curves.open(made["half"]).page
    page.set_viewport_size({"width": 1280, "height": 500})
    place = "document.querySelector('[data-testid=stMain]').scrollTop"
    curves.point(0.5)
    page.mouse.wheel(0, 120)
    page.wait_for_function(f"() => {place} > 50")
    expect(page.locator(RESET)).to_be_disabled()
    curves.point(0.5)
    middle, scrolled = curves.step(0.5), page.evaluate(place)
    page.keyboard.down("Control")
    for _ in range(3):
        page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    expect(page.locator(RESET)).to_be_enabled()
    assert abs(curves.step(0.5) - middle) <= 4 and curves.step(0) > 50 and curves.step(1) < 350
    assert page.evaluate(place) == scrolled
    curves.plot.dblclick()
    expect(page.locator(RESET)).to_be_disabled()


def test_all_values_at_a_place_in_all_charts(curves: Curves, made: dict[str, GrowingRun]) -> None:
    page = curves.open(made["half"]).page
    curves.tab("Curves")
    small = page.locator(".st-key-curves_small .lf-plot")
    expect(small.first.locator("canvas")).to_be_visible()
    curves.point(0.5)
    tips = page.locator(".lf-tip:visible")
    expect(tips).to_have_count(1 + small.count())
    rows = tips.first.locator(".lf-tip-row").all_inner_texts()
    assert [row.split("\n")[0] for row in rows] == ["loss", "smoothed", "evaluation"]
    assert all(re.search(r"\d\.\d", row) for row in rows)
    assert len({words.split("\n")[0] for words in tips.all_inner_texts()}) == 1
    curves.drag(0.2, 0.4)
    page.mouse.move(5, 5)
    curves.point(0.0, small.first)
    assert curves.step(0) > 50, "small charts share the zoom"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_rule_of_axe_is_broken(curves: Curves, made: dict[str, GrowingRun], theme: str) -> None:
    curves.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page = curves.open(made["half"]).page
    curves.tab("Curves")
    expect(page.locator(".st-key-curves_small canvas").first).to_be_visible()
    found = Axe().run(page)
    assert [f"{item['id']}: {item['nodes'][0]['html'][:200]}" for item in found.response["violations"]] == []


def test_a_click_on_the_legend_hides_a_line(curves: Curves, made: dict[str, GrowingRun]) -> None:
    page = curves.open(made["half"]).page
    entry = page.get_by_role("button", name="evaluation", exact=True)
    expect(entry).to_have_attribute("aria-pressed", "true")
    entry.click()
    expect(entry).to_have_attribute("aria-pressed", "false")
    curves.point(0.5)
    expect(page.locator(f"{MAIN} .lf-tip-row")).to_have_count(2)
    page.wait_for_url(re.compile("hide=evaluation"))
    entry.click()
    curves.point(0.4)
    expect(page.locator(f"{MAIN} .lf-tip-row")).to_have_count(3)


def test_a_zoom_loads_full_detail(curves: Curves, made: dict[str, GrowingRun]) -> None:
    page = curves.open(made["long"]).page
    curves.drag(0.5, 0.52)
    page.wait_for_url(re.compile("zoom="))
    low, high = map(int, page.url.rpartition("zoom=")[2].split("~"))
    page.wait_for_timeout(1000)
    steps = {curves.step(share / 100) for share in range(5, 95)}
    assert len(steps) >= min(70, (high - low) * 0.7), "each step can be pointed at"


def test_a_link_shows_the_same(curves: Curves, made: dict[str, GrowingRun], browser: Browser) -> None:
    page = curves.open(made["half"]).page
    page.get_by_label("X axis").select_option("seconds")
    expect(page.locator(f"{MAIN}")).to_have_attribute("aria-label", re.compile("training time"))
    page.get_by_label("X axis").select_option("epoch")
    expect(page.locator(f"{MAIN}")).to_have_attribute("aria-label", re.compile("epoch"))
    page.get_by_role("button", name="Log scale", exact=True).click()
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator(".lf-field-smooth output")).to_have_text("off")
    expect(page.get_by_role("button", name="smoothed")).to_have_count(0)
    curves.drag(0.2, 0.6)
    page.wait_for_url(re.compile("zoom="))
    page.get_by_role("button", name="Link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert all(part in link for part in ("x=epoch", "log=1", "smooth=0", "zoom=", f"run={made['half'].run_id}"))
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    other = Curves(context.new_page(), "")
    other.page.goto(link)
    expect(other.page.locator(f"{MAIN} canvas")).to_be_visible(timeout=60_000)
    expect(other.page.get_by_role("button", name="Log scale", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(other.page.get_by_label("X axis")).to_have_value("epoch")
    expect(other.page.locator(RESET)).to_be_enabled()
    for share in (0.0, 1.0):
        curves.point(share)
        other.point(share)
        words = [one.page.locator(f"{MAIN} .lf-tip").inner_text() for one in (curves, other)]
        assert words[0] == words[1]
    context.close()


def saved(curves: Curves, entry: str, name: str) -> bytes:
    """What a click in the menu of the large chart downloads, under this name."""
    curves.page.locator(".lf-large .lf-chart-tools summary").click()
    with curves.page.expect_download() as waiting:
        curves.page.get_by_role("button", name=entry).first.click()
    assert waiting.value.suggested_filename == name
    return Path(waiting.value.path()).read_bytes()


def test_what_is_saved_opens(curves: Curves, made: dict[str, GrowingRun]) -> None:
    curves.open(made["half"])
    assert saved(curves, "Picture (PNG)", "half-loss.png").startswith(b"\x89PNG")
    drawing = saved(curves, "Drawing (SVG)", "half-loss.svg").decode()
    assert drawing.startswith("<svg") and all(word in drawing for word in ("smoothed", "evaluation", ">loss<"))
    assert ">half · loss<" in drawing, "which run it is"
    symbols = re.findall(r'role-legend-symbol"[^>]*><path [^>]*stroke="([^"]+)" stroke-width="([^"]+)"', drawing)
    assert symbols[0][0] == symbols[1][0] and symbols[0][1] != symbols[1][1], "one colour, another width"
    spec = json.loads(saved(curves, "Vega-Lite specification", "half-loss.vl.json"))
    assert spec["title"] == "half · loss" and len(spec["datasets"]["loss/loss"]) == 300
    assert vl_convert.vegalite_to_png(spec).startswith(b"\x89PNG")
    table = saved(curves, "All values (CSV)", "half.csv").decode().splitlines()
    assert len(table) == 1 + 300 and table[0].startswith("step")


PLACED = """async ([url, point, text, drawn, taken]) => {
  const {around, best} = await import(url);
  return best(around(point, text), {drawn, taken, width: 400, height: 200});
}"""


def test_words_at_a_point_hide_no_line_and_no_other_words(curves: Curves, made: dict[str, GrowingRun]) -> None:
    page = curves.open(made["half"]).page
    url = "/_stcore/bidi-components/lfdash.curves/labels.js"

    def placed(point: list[int], drawn: list[list[list[int]]], *taken: dict[str, Any]) -> dict[str, Any]:
        return dict(page.evaluate(PLACED, [url, point, "best smoothed 1", drawn, list(taken)]))

    alone = placed([100, 100], [])
    assert (alone["side"], alone["dy"]) == ("left", -10)
    assert placed([398, 100], [])["side"] == "right", "the chart ends there"
    assert placed([398, 195], [])["dy"] < 0 < placed([100, 4], [])["dy"]
    falls = [[0, 0], [300, 92], [400, 100]]  # above the words' usual place
    assert placed([398, 100], [falls])["dy"] > 0
    other = placed([100, 100], [], alone)
    assert other["side"] == "right" or abs(other["dy"] - alone["dy"]) >= 12


def test_by_keys(curves: Curves, made: dict[str, GrowingRun]) -> None:
    page = curves.open(made["half"]).page
    curves.plot.focus()
    label = curves.plot.get_attribute("aria-label") or ""
    assert re.search(r"smoothed: last \d\.\d+ at step 300", label) and re.search(r"best evaluation \d\.\d+", label)
    page.keyboard.press("+")
    expect(page.locator(RESET)).to_be_enabled()
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"{MAIN} .lf-voice")).to_have_text(re.compile(r"step \d+, loss \d"))
    page.keyboard.press("0")
    expect(page.locator(RESET)).to_be_disabled()


def test_the_first_step_is_a_point_on_an_axis_to_the_planned_end(curves: Curves, made: dict[str, GrowingRun]) -> None:
    page = curves.open(made["first"].touch()).page
    page.wait_for_selector('.st-key-strip .lf-state[data-state="RUNNING"]')
    spec = json.loads(saved(curves, "Vega-Lite specification", "first-loss.vl.json"))
    (dot,) = spec["datasets"]["dots"][:1]
    assert dot["x"] == 1
    ends = {param["name"]: param["value"] for param in spec["params"]}
    assert (ends["x_lo"], ends["x_hi"]) == (1, 400)
    expect(page.locator(RESET)).to_be_disabled()




CONTRAST = """() => {
  const light = (colour) => { const c = document.createElement('canvas').getContext('2d'); c.fillStyle = colour;
    c.fillRect(0, 0, 1, 1); const [r, g, b] = c.getImageData(0, 0, 1, 1).data; return 0.2126*r + 0.7152*g + 0.0722*b; };
  const back = light(getComputedStyle(document.querySelector('.lf-curves')).getPropertyValue('--st-background-color'));
  const swatch = document.querySelector('.lf-legend-entry:nth-child(2) .lf-swatch');
  if (!swatch || !document.querySelector('.st-key-curves_main .lf-canvas canvas')) return [0, 0, 0];
  const line = light(getComputedStyle(swatch).borderTopColor);
  return [back, line, 0.45 * line + 0.55 * back];
}"""  # luminances of the ground, of the smoothed line and of the raw one


def stands_out(page: Page) -> bool:
    """Whether the smoothed line differs from the ground more than the raw one, which can be seen, too."""
    back, smoothed, raw = page.evaluate(CONTRAST)
    return bool(abs(smoothed - back) > 1.5 * abs(raw - back) > 20)


@pytest.mark.parametrize("first", ["light", "dark"])
def test_the_smoothed_line_stands_out_also_after_the_theme_changed(
    curves: Curves, made: dict[str, GrowingRun], first: str
) -> None:
    page = curves.page
    page.emulate_media(color_scheme=first)  # type: ignore[arg-type]
    curves.open(made["half"])
    for theme in (first, {"light": "dark", "dark": "light"}[first]):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.wait_for_selector(f".lf-curves[data-theme={theme}]")
        wait_for(lambda: stands_out(page))  # the page takes the new colours one after the other


@pytest.mark.parametrize(("width", "folds"), [(1280, False), (800, True)])
def test_the_bar_is_one_row_and_folds_where_there_is_no_room(
    curves: Curves, made: dict[str, GrowingRun], width: int, folds: bool
) -> None:
    page = curves.page
    page.set_viewport_size({"width": width, "height": 720})
    curves.open(made["half"])
    more = page.locator(".lf-button-more")
    expect(more).to_be_visible(visible=folds)
    expect(page.get_by_label("X axis")).to_be_visible(visible=not folds)
    if folds:
        more.click()
        expect(page.get_by_label("X axis")).to_be_visible()
    else:
        script = "all => all.filter((one) => one.offsetParent).map((one) => one.getBoundingClientRect().top)"
        tops = page.eval_on_selector_all(".lf-curves-bar .lf-button", script)
        assert max(tops) - min(tops) < 8
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


TAKE = """async ([url, messages]) => {
  const {empty, take} = await import(url), state = empty(), found = [];
  for (const message of messages) {
    const changed = take(state, message);
    found.push(changed === null ? null : structuredClone(state));
  }
  return found;
}"""


def test_the_browser_s_half_of_the_deltas(curves: Curves, made: dict[str, GrowingRun]) -> None:
    page = curves.open(made["half"]).page
    draw = random.Random(5)
    sent, messages, wanted = Sent(), [], []
    for turn in range(60):
        names = draw.sample("abc", 2)
        lines = {name: [(n, draw.choice([1.5, 2.5])) for n in range(draw.randrange(6))] for name in names}
        parts = {name: draw.randrange(3) for name in draw.sample("pq", draw.randrange(3))}
        messages.append(sent.message(turn // 20, parts, {name: arrays(points) for name, points in lines.items()}))
        shown = {name: {"x": [x for x, _ in points], "y": [y for _, y in points]} for name, points in lines.items()}
        wanted.append({"seq": sent.seq, "parts": parts, "lines": shown})
    url = "/_stcore/bidi-components/lfdash.curves/deltas.js"
    assert page.evaluate(TAKE, [url, messages]) == wanted
    late = page.evaluate(TAKE, [url, [messages[0], messages[5], messages[5]]])
    assert late[1:] == [None, None], "it asks for all"
