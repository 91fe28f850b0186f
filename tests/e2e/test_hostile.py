"""What logs, datasets, predictions and names hold is shown as text: in Chromium nothing of it runs, loads or becomes
an element."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.base import Launched
from lfdash.launchers.fake import FakeLauncher
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import RunRecord
from tests.e2e.conftest import Server
from tests.security.conftest import make_workspace, stand_in, start_server
from tests.support.runs import wait_for

pytestmark = pytest.mark.e2e
TAG = "<img src=x onerror=window.hit=1>"
NAME = f"{TAG} :material=home: $x^2$ [l](javascript:window.hit=2)"  # fits a file's name
TEXT = (
    f"{TAG}<script>window.hit=3</script><svg onload=window.hit=4> [link](http://evil.example/a) "
    "![image](http://evil.example/b.png) :material/home: :smile: :red[red] $x^2$ $$y$$ www.evil.example **bold** `code`"
)
FOUND = """() => ({
    hit: window.hit || null,
    images: [...document.images].filter(i => !/^(data|blob):/.test(i.src) && !i.src.startsWith(location.origin)).length,
    broken: document.querySelectorAll('img[src="x"], svg[onload], iframe').length,
    scripts: [...document.scripts].filter(s => /window.hit/.test(s.textContent)).length,
    links: [...document.querySelectorAll('a')].filter(a => /evil|javascript:/.test(a.href)).map(a => a.href),
    formulas: document.querySelectorAll('.katex').length,
})"""
NOTHING = {"hit": None, "images": 0, "broken": 0, "scripts": 0, "links": [], "formulas": 0}


def add_run(root: Path, kind: str, name: str, run_id: str) -> Path:
    """A recorded run that failed, with hostile text wherever a run has text."""
    fake = FakeLauncher()
    registry = ProcessRegistry(root, fake)
    args = f"model_name_or_path: {json.dumps(TEXT)}\n"
    plan = LaunchPlan(
        run_id=run_id, attempt=1, argv=("llamafactory-cli", "train", "x.yaml"), env={}, unset=(), secrets=(),
        cwd=str(root), output_dir=f"saves/m/lora/{name}", files={"training_args.yaml": args},
    )
    record = RunRecord.new(plan, kind=kind, name=name, model=TEXT, stage="sft", method="lora")
    outcome = registry.launch(plan, record)
    assert isinstance(outcome, Launched), outcome
    fake.begin(outcome.handle)
    folder = outcome.handle.paths.root
    (folder / "console.log").write_text(f"{TEXT}\nTraceback (most recent call last):\n  x\nValueError: {TEXT}\n")
    (folder / f"{TAG}.txt").write_text("a file with an odd name")
    rows = [{"prompt": TEXT, "label": TEXT, "predict": TEXT}]
    (folder / "generated_predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "all_results.json").write_text(json.dumps({TEXT: 1.0}))
    fake.end(outcome.handle, 1)
    registry.refresh()
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, asked: Path) -> Iterator[Server]:
    """A server on a workspace whose every name and text is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    root = make_workspace(folder)
    shutil.copytree(asked, root / ".lfdash")
    (root / "data" / "odd.json").write_text(json.dumps([{TEXT: TEXT, "output": TEXT, "deep": [{TEXT: TEXT}]}]))
    info = {TEXT: {"file_name": "odd.json", "columns": {"prompt": TEXT}}, "hub": {"hf_hub_url": TEXT}}
    (root / "data" / "dataset_info.json").write_text(json.dumps(info))
    (root / "data" / f"{TAG}.json").write_text(json.dumps([{TAG: TEXT}]))
    (root / "configs").mkdir()
    saved = {"model_name_or_path": TEXT, "template": TEXT, TEXT: TEXT, "learning_rate": TEXT, "hub_token": "x"}
    (root / "configs" / f"{NAME.replace('/', '')}.yaml").write_text(json.dumps(saved))
    add_run(root, "train", NAME.replace("/", ""), "id-train")
    add_run(root, "train", f"{NAME.replace('/', '')} two", "id-two")
    add_run(root, "eval", f"{NAME.replace('/', '')} eval", "id-eval")
    found = start_server(root, env={"LFDASH_CLI": stand_in(folder)})
    yield Server(found.process, found.url, root)
    found.process.terminate()
    found.process.wait(20)


class Watch:
    """A page, and what it did that it should not."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.bad: list[str] = []
        page.on("dialog", lambda dialog: (self.bad.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self.asked(request.url))
        page.on("pageerror", lambda error: self.bad.append(f"error {error}"))
        page.on("console", lambda message: self.told(message.text))

    def asked(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:", self.url.replace("http:", "ws:"))) or url.endswith("/x"):
            self.bad.append(url)

    def told(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.bad.append(text)

    def go(self, path: str) -> Page:
        self.page.goto(self.url + path)
        self.rest()
        return self.page

    def rest(self) -> None:
        """Until the script has run and everything it drew is there."""
        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=60_000)
        expect(self.page.locator("[data-testid=stSkeleton]")).to_have_count(0, timeout=30_000)

    def look(self) -> None:
        """Nothing of what is shown has become more than text."""
        self.rest()
        assert self.page.evaluate(FOUND) == NOTHING
        assert self.bad == []


@pytest.fixture
def watch(browser: Browser, hostile: Server) -> Iterator[Watch]:
    context = browser.new_context(viewport={"width": 1440, "height": 1400}, locale="en-US")
    yield Watch(context.new_page(), hostile.url)
    context.close()


def choose(page: Page, key: str, word: str) -> None:
    """Chooses a segment by its word."""
    page.locator(f"[class*='st-key-{key}']").get_by_role("radio", name=word, exact=True).or_(
        page.locator(f"[class*='st-key-{key}'] button", has_text=word)
    ).first.click()


def test_a_run_with_hostile_names_and_logs(watch: Watch) -> None:
    page = watch.go("/?run=id-train")
    expect(page.locator(".lf-name")).to_contain_text(TAG)
    expect(page.locator("[data-testid=stAlert]").first).to_contain_text(":material/home: :smile: :red[red] $x^2$")
    watch.look()
    expect(page.locator(".st-key-console .line").first).to_contain_text("<script>window.hit=3</script>")
    for word in ("Files", "Configuration"):
        choose(page, "page-tab_train", word)
        watch.look()
    expect(page.locator("[data-testid=stCode]").first).to_contain_text(TAG)
    page.locator("[class*='st-key-page-run_pick'] input").first.click()
    watch.look()


def test_hostile_predictions_and_scores(watch: Watch) -> None:
    page = watch.go("/evaluate?run=id-eval")
    watch.look()
    choose(page, "page-tab_eval", "Predictions")
    page.wait_for_selector("[data-testid=stDataFrame] canvas")
    watch.look()
    page.locator(".st-key-eval-find input:visible").fill(TAG)
    page.locator(".st-key-eval-find input:visible").press("Enter")
    watch.look()


def test_no_table_writes_formulas_into_a_file(watch: Watch) -> None:
    """Streamlit's own download of a table does; it is not there, the other buttons are. Ours is guarded."""
    for path, tab in (("/runs", ""), ("/evaluate?run=id-eval", ""), ("/evaluate?run=id-eval", "Predictions"),
                      ("/data", ""), ("/arguments", ""), ("/?run=id-train", "Files")):
        page = watch.go(path)
        if tab:
            choose(page, "page-tab_eval" if "eval" in path else "page-tab_train", tab)
        page.wait_for_selector("[data-testid=stDataFrame] canvas")
        watch.rest()
        for table in page.locator("[data-testid=stDataFrame]").all():
            table.hover()
            expect(table.get_by_role("button", name="Search")).to_be_visible()
            expect(table.get_by_role("button", name="Fullscreen")).to_be_visible()
            assert table.get_by_role("button", name="CSV").count() == 0  # none that is seen, or reached by key
        table.get_by_role("button", name="Fullscreen").click()
        expect(page.get_by_role("button", name="Close fullscreen")).to_be_visible()
        assert page.locator("[data-testid=stElementToolbar]").get_by_role("button", name="CSV").count() == 0


def test_a_hostile_dataset(watch: Watch) -> None:
    page = watch.go("/data")
    page.wait_for_selector("[data-testid=stDataFrame] canvas")
    watch.look()
    page.locator(".st-key-data-folder input").fill(TEXT)
    page.locator(".st-key-data-folder input").press("Enter")
    expect(page.locator("[data-testid=stAlert]").first).to_contain_text("<script>window.hit=3</script>")
    watch.look()


def test_a_hostile_file_is_added(watch: Watch, tmp_path: Path) -> None:
    page = watch.go("/data")
    page.get_by_text("Add a dataset").first.click()
    file = tmp_path / f"{TAG}.json"
    file.write_text(json.dumps([{TAG: TEXT, "instruction": TEXT}]))
    page.locator("[class*=st-key-data-upload] input[type=file]").set_input_files(file)
    page.wait_for_selector(".st-key-data-add button")
    watch.look()
    choose(page, "data-source", "In the data folder")
    watch.look()


def test_a_hostile_configuration(watch: Watch) -> None:
    page = watch.go("/")
    page.locator(".st-key-open_menu button").click()
    page.locator(".st-key-config-pick input:visible").click()
    page.get_by_role("option").nth(1).click()
    page.locator(".st-key-config-open button").click()
    watch.rest()
    page.keyboard.press("Escape")
    watch.look()
    page.click(".st-key-start button")
    expect(page.locator(".st-key-problems")).to_be_visible()
    expect(page.locator(".st-key-problems")).to_contain_text(":material/home:")
    watch.look()
    page.locator(".st-key-problems button").first.hover()
    watch.look()
    page.click(".st-key-preview button")
    expect(page.locator("[data-testid=stDialog]")).to_contain_text(TAG)
    watch.look()


def test_a_hostile_value_in_every_text_field(watch: Watch) -> None:
    page = watch.go("/")
    for key in ("train-output_dir", "top-model_path"):
        page.locator(f".st-key-{key} input").fill(TEXT)
        page.locator(f".st-key-{key} input").press("Enter")
        watch.rest()
    page.click(".st-key-start button")
    expect(page.locator(".st-key-problems")).to_contain_text("<script>")
    watch.look()
    page.locator(".st-key-page-filter input").fill(TEXT)
    watch.look()


def test_even_an_element_would_ask_no_other_machine(watch: Watch) -> None:
    """The second line: the page's policy lets nothing load from elsewhere."""
    page = watch.go("/")
    told = page.evaluate("""async () => {
        const seen = [];
        document.addEventListener('securitypolicyviolation', e => seen.push(e.effectiveDirective));
        new Image().src = 'http://evil.example/b.png';
        document.head.append(Object.assign(document.createElement('script'), {src: 'http://evil.example/c.js'}));
        document.head.append(Object.assign(document.createElement('link'), {rel: 'stylesheet', href: 'http://evil.x/'}));
        document.body.append(Object.assign(document.createElement('iframe'), {src: 'http://evil.example/d'}));
        await fetch('http://evil.example/e').catch(() => null);
        try { new WebSocket('ws://evil.example/f') } catch { }
        await new Promise(done => setTimeout(done, 500));
        return seen;
    }""")
    assert set(told) == {"img-src", "script-src-elem", "style-src-elem", "frame-src", "connect-src"}
    assert told.count("connect-src") == 2


@pytest.fixture
def stranger() -> Iterator[str]:
    """The address of another local server: somebody else's page on another port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>other</title>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_page_of_another_port_neither_frames_nor_drives_it(browser: Browser, hostile: Server, stranger: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    for name in ("127.0.0.1", "localhost"):
        page.goto(stranger.replace("127.0.0.1", name))
        told = page.evaluate(
            """async url => {
            const socket = new WebSocket(url.replace('http', 'ws') + '/_stcore/stream', ['streamlit']);
            const opened = await new Promise(done => {
                socket.onopen = () => done(true);
                socket.onerror = () => done(false);
            });
            const read = await fetch(url + '/_stcore/host-config').then(() => true, () => false);
            const frame = document.createElement('iframe');
            const loaded = new Promise(done => frame.onload = done);
            document.body.append(Object.assign(frame, {src: url}));
            await loaded;
            return {opened, read};
        }""",
            hostile.url,
        )
        assert told == {"opened": False, "read": False}
        # asking the page lets the browser's news come in
        wait_for(lambda: page.evaluate("true") and page.frames[1].url == "chrome-error://chromewebdata/")
    context.close()
