"""No value of the page is outside the workspace, against the real server: typed, uploaded, linked, forged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.security.browser import Tab, ask
from tests.security.conftest import Server, Start, make_workspace
from tests.support.runs import wait_for

TOLD = "root-only-0123456789"  # what the files outside hold


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is none of the dashboard's business."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "rows.json").write_text(json.dumps([{"instruction": TOLD, "output": "x"}]))
    for name in ("dataset_info.json", "x.yaml", "run.json", "trainer_log.jsonl"):
        (folder / name).write_text(json.dumps({TOLD: {"file_name": "rows.json"}}))
    return folder


@pytest.fixture(scope="module")
def linked(serve: Start, outside: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server on a workspace in which links lead out, made by something that ran there."""
    root = make_workspace(tmp_path_factory.mktemp("linked"))
    (root / "saves" / "m").mkdir(parents=True)
    (root / "saves" / "m" / "lora").symlink_to(outside)
    (root / "saves" / "link").symlink_to(outside)
    (root / "data" / "link").symlink_to(outside)
    (root / "data" / "linked.json").symlink_to(outside / "rows.json")
    (root / "data" / "unlisted.json").symlink_to(outside / "rows.json")
    (root / "configs").mkdir()
    (root / "configs" / "link.yaml").symlink_to(outside / "x.yaml")
    entries = {
        "dots": "../../outside/rows.json", "absolute": str(outside / "rows.json"), "link": "linked.json",
        "deep": "link/rows.json", "number": 5,
    }
    info = {name: {"file_name": file} for name, file in entries.items()}
    (root / "data" / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}, **info}))
    run = root / "saves" / "other" / "lora" / "linking"
    run.mkdir(parents=True)
    for name in ("training_args.yaml", "console.log", "running_log.txt", "generated_predictions.jsonl"):
        (run / name).symlink_to(outside / "rows.json")
    (run / "trainer_log.jsonl").write_text('{"current_steps": 1, "total_steps": 9, "loss": 1.0}\n')
    return serve(root=root)


ROW = b'[{"instruction": "a", "output": "b"}]'


def listing(folder: Path) -> set[str]:
    """What lies below a folder, without what the dashboard keeps for itself (a form for each browser)."""
    return {
        path.name for path in folder.rglob("*")
        if not path.name.startswith("draft-") and path.name not in KEPT and WRITTEN.isdisjoint(path.parts)
    }


def filled(server: Server, **values: object) -> Tab:
    tab = Tab(server.url).open()
    return tab.run(**{"page__model": "models/m", "train__dataset": ["rows"], **values})


KEPT = ("launch.lock", "settings.json", "summaries.json", "views.bin")
WRITTEN = {"alerts"}  # folders that the dashboard writes by itself
NAMES = (
    "..", "../x", "/etc/lfdash", "~/x", "saves/../../x", "saves/link/x", "a/b", ".hidden", "-rf", "x\\y",
    "${oc.env:HOME}/x",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_stays_in_the_workspace(linked: Server, outside: Path, name: str) -> None:
    before = listing(outside), listing(linked.workspace)
    tab = filled(linked, train__output_dir=name).run(start=True)
    assert tab.shows("fix_") or tab.shows("problems") or tab.shows(":material/error:")
    assert listing(outside) == before[0]
    assert listing(linked.workspace) == before[1]


def test_a_model_whose_folder_is_a_link_starts_nothing(linked: Server, outside: Path) -> None:
    """saves/m/lora is the link: neither the model's nor the run's name looks odd."""
    before = listing(outside)
    tab = filled(linked, train__output_dir="innocent").run(start=True)
    assert tab.shows("is outside the workspace")
    assert listing(outside) == before and not list(linked.workspace.rglob("innocent"))


@pytest.mark.parametrize("argument", ["cache_dir: /tmp/none", "logging_dir: saves/link/x", "tokenized_path: ../x"])
def test_an_argument_that_writes_stays_in_the_workspace(linked: Server, argument: str) -> None:
    tab = Tab(linked.url).open()
    tab.upload("config.upload", "job.yaml", f"model_name_or_path: models/m\ndataset: rows\n{argument}\n".encode())
    tab.run(start=True)
    assert tab.shows("is outside the workspace") and not list(linked.workspace.glob("saves/models/**/run.json"))


@pytest.mark.parametrize("folder", ["..", "/etc", "link", "data/link", "saves/link", "~", "data/../../x"])
def test_the_data_page_shows_no_folder_outside(linked: Server, folder: str) -> None:
    tab = Tab(linked.url).open("data").run(data__folder=folder)
    assert not tab.shows(TOLD)
    assert tab.shows("outside the workspace") or tab.shows("dataset\\\\_info.json") or tab.shows("dataset_info.json")


@pytest.mark.parametrize("name", ["dots", "absolute", "link", "deep", "number"])
def test_the_data_page_shows_no_file_outside(linked: Server, name: str) -> None:
    tab = Tab(linked.url).open("data").run(data__pick=name)
    assert not tab.shows(TOLD) and not tab.shows("Traceback")
    assert tab.shows("outside the workspace") or name == "number"


def test_the_data_page_offers_no_linked_file(linked: Server) -> None:
    tab = Tab(linked.url).open("data")
    (linked.workspace / "data" / "own.json").write_text("[]")
    tab.run(data__source=["In the data folder"])
    assert tab.shows("own.json") and not tab.shows("unlisted.json")


def test_links_in_a_runs_folder_are_not_shown(linked: Server) -> None:
    tab = Tab(linked.url).open()
    assert tab.shows("linking")
    for word, shown in (("Log", "No output yet"), ("Files", "training_args.yaml"), ("Configuration", "no")):
        tab.run(page__tab_train=[word])
        assert tab.shows(shown) and not tab.shows(TOLD), word
    evaluated = Tab(linked.url).open("evaluate")
    assert not evaluated.shows(TOLD)


@pytest.mark.parametrize("name", ["link", "../mine", "../x", "../../outside/x", "/etc/hostname"])
def test_a_forged_choice_opens_no_file(linked: Server, name: str) -> None:
    """The list offers only what is saved there; a forged message names something else."""
    (linked.workspace / "configs" / "mine.yaml").write_text("model_name_or_path: models/mine\n")
    tab = Tab(linked.url).open().run(config__pick="mine")
    opening = tab.ids["config.open"]
    assert tab.run(config__open=True).shows("models/mine")
    tab = Tab(linked.url).open().run(config__pick=name)
    tab.ids["config.open"] = opening
    assert not tab.run(config__open=True).shows(TOLD)


def test_a_folder_that_was_allowed_is_used(serve: Start, outside: Path, tmp_path: Path) -> None:
    server = serve("--root", str(tmp_path), env={"LFDASH_ROOTS": str(outside)})
    tab = filled(server, train__output_dir=f"{tmp_path}/runs/one").run(start=True)
    wait_for(lambda: (tmp_path / "runs/one/run.json").exists())
    assert not tab.shows("is outside the")
    assert Tab(server.url).open("data").run(data__folder=str(outside)).shows(TOLD)
    (tmp_path / "runs/one/go").touch()
    wait_for(lambda: (tmp_path / "runs/one/exit.json").exists())


def test_where_others_come_models_and_data_stay_inside_too(server: Server, behind: Server, outside: Path) -> None:
    (outside / "config.json").write_text('{"model_type": "llama"}\n')
    (outside / "model.safetensors").write_bytes(b"0")
    tab = filled(server, page__model=str(outside)).run(start=True)
    assert not tab.shows("is outside the workspace")
    wait_for(lambda: list(server.workspace.glob("saves/outside*/*/*/run.json")))
    (folder,) = (path.parent for path in server.workspace.glob("saves/outside*/*/*/run.json"))
    (folder / "go").touch()
    tab = Tab(behind.url, "https://box.example").open()
    tab.run(page__model=str(outside), train__dataset=["rows"]).run(start=True)
    assert tab.shows("is outside the workspace")
    assert not list(behind.workspace.rglob("run.json"))


# -- uploads -------------------------------------------------------------------------------------------


def test_an_upload_needs_the_pages_token_and_session(server: Server) -> None:
    tab = Tab(server.url).open()
    path = f"/_stcore/upload_file/{tab.session}/1"
    assert ask(server.url, path, "PUT", body=b"x").status == 403
    assert ask(server.url, path, "DELETE").status == 403
    tab.session = "somebody-elses"
    assert tab.upload("config.upload", "job.yaml", b"a: 1\n").status == 400


def test_an_upload_is_limited_in_size(server: Server) -> None:
    tab = Tab(server.url).open()
    assert tab.upload("config.upload", "job.yaml", b"#" * (21 * 1024 * 1024)).status == 413
    big = b"a: " + b"x" * 2_000_000
    assert tab.upload("config.upload", "job.yaml", big).status == 204
    assert tab.shows("which is too large for a configuration")


@pytest.mark.parametrize("name", ["job.exe", "job.pt", "job.yaml.bin", "training_args.bin", "job"])
def test_an_upload_of_another_type_is_not_read(server: Server, name: str) -> None:
    """The front-end offers the right types only; a forged message does not care."""
    tab = Tab(server.url).open()
    tab.upload("config.upload", name, b"model_name_or_path: models/uploaded\n")
    assert not tab.shows("models/uploaded")


@pytest.mark.parametrize(
    "name", ["../../evil.json", "/etc/evil.json", "..\\evil.json", "evil.json/../../x.json", "<img src=x>.json"]
)
def test_a_name_of_an_upload_leads_nowhere(server: Server, name: str) -> None:
    tab = Tab(server.url).open("data")
    before = listing(server.workspace.parent)
    tab.upload("data.upload.0", name, ROW)
    tab.run(data__name=name).run(data__add=True)
    tab.run(data__name="../evil").run(data__add=True)
    made = listing(server.workspace.parent) - before
    assert not made, made


def test_an_upload_with_a_good_name_lies_in_the_data_folder(server: Server) -> None:
    tab = Tab(server.url).open("data")
    tab.upload("data.upload.0", "../../mine.json", ROW)
    tab.run(data__name="mine").run(data__add=True)
    assert (server.workspace / "data/mine.json").read_bytes() == ROW
    assert "mine" in json.loads((server.workspace / "data/dataset_info.json").read_text())


def test_an_upload_is_not_written_through_a_link(linked: Server, outside: Path) -> None:
    (linked.workspace / "data" / "trap.json").symlink_to(outside / "trap.json")  # leads to a file that is not there
    tab = Tab(linked.url).open("data")
    tab.upload("data.upload.0", "trap.json", ROW)
    tab.run(data__name="trap").run(data__add=True)
    assert tab.shows("taken") or tab.shows("already")
    assert not (outside / "trap.json").exists()


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB, "[" * 100_000, "{" * 100_000, "a: " * 5_000, '{"a":' * 100_000, "a: &a [*a]\n", "<<: *x", "\0",
        "!!python/object/apply:os.system ['touch {file}']", "!!python/object/new:os.system [touch {file}]",
        "a: !!python/name:os.system", "a: !!binary aGk=", "? [a]\n: b", "- a\n- b", "9" * 300_000,
    ],
)
def test_a_hostile_configuration_is_told_quickly_and_runs_nothing(server: Server, tmp_path: Path, text: str) -> None:
    tab = Tab(server.url).open()
    text = text.replace("{file}", str(tmp_path / "touched"))
    answer = tab.upload("config.upload", "job.yaml", text.encode())
    assert answer.status == 204 and not tab.shows("Something went wrong")
    assert not (tmp_path / "touched").exists()
    assert tab.run().shows("lfdash")  # it still serves
    assert os.path.exists(f"/proc/{server.process.pid}")
