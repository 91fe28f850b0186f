"""lfdash as a package: what the wheel holds, and that it works where nothing else of the project is.

One page in Chromium: tests/e2e/test_install.py.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.install import KINDS, Install, build, install, project_files

INSIDE = "lfdash/_project/"
AROUND = ("app.py", "pages", "configs", ".streamlit")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module", params=sorted(KINDS))
def installed(
    request: pytest.FixtureRequest, built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Install:
    return install(built[request.param], tmp_path_factory.mktemp(request.param))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project as a developer has it: with what lies about and is nobody else's business."""
    root = tmp_path / "checkout"
    for name in project_files():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    for name in (
        ".streamlit/secrets.toml", "workspace/models/big.bin", ".venv/bin/python", "build/lib/lfdash/errors.py",
        "lfdash/__pycache__/errors.cpython-311.pyc", "pages/__pycache__/runs.cpython-311.pyc", "notes.txt",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def contents(wheel: Path) -> list[str]:
    """The files of a wheel that are not about the wheel."""
    return sorted(name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name)


def test_the_wheel_holds_every_file_of_the_package_and_of_the_page(built: dict[str, Path]) -> None:
    expected = project_files("lfdash") + [INSIDE + name for name in project_files(*AROUND)]
    assert len(expected) > 150 and INSIDE + "configs/upstream.json" in expected
    assert contents(built["wheel"]) == sorted(expected)


def test_the_wheel_names_its_licence(built: dict[str, Path]) -> None:
    wheel = zipfile.ZipFile(built["wheel"])
    about = next(name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
    assert wheel.read(f"{about}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    metadata = wheel.read(f"{about}/METADATA").decode()
    assert "\nLicense-Expression: Apache-2.0\n" in metadata and "\nLicense-File: LICENSE\n" in metadata


def test_nothing_that_lies_about_in_a_checkout_is_packed(
    built: dict[str, Path], checkout: Path, tmp_path: Path
) -> None:
    again = build(checkout, tmp_path / "dist")
    assert contents(again["wheel"]) == contents(built["wheel"])
    with tarfile.open(again["sdist"]) as sdist:
        packed = {name.partition("/")[2] for name in sdist.getnames()}
    assert packed - {"PKG-INFO"} <= set(project_files()) and "LICENSE" in packed
    assert not {name for name in packed if name.startswith(("tests", "bench", "docs"))}


def test_an_editable_install_runs_from_the_checkout(checkout: Path, tmp_path: Path) -> None:
    editable = install(checkout, tmp_path, "-e")
    code = "from lfdash.engine.services import find_project; print(find_project().root)"
    assert editable.run("python", "-c", code).stdout.strip() == str(checkout)
    assert not list(editable.venv.glob("lib*/python*/site-packages/lfdash/*")), "copies that go stale"
    assert not (checkout / INSIDE).exists()


def test_what_is_imported_is_what_was_installed(installed: Install, built: dict[str, Path]) -> None:
    code = "import lfdash; from lfdash.engine.services import find_project as f; print(lfdash.__file__, f().root)"
    package, root = map(Path, installed.run("python", "-c", code).stdout.split())
    assert package.is_relative_to(installed.venv) and root == package.parent / "_project"
    site = package.parents[1]
    files = [path for path in package.parent.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sorted(str(path.relative_to(site)) for path in files) == contents(built["wheel"])


def test_the_command_is_there(installed: Install) -> None:
    done = installed.run("lfdash", "--help")
    assert done.returncode == 0 and "usage: lfdash" in done.stdout.lower()


def test_it_serves_and_lists_from_an_empty_folder(installed: Install) -> None:
    server = installed.serve("lfdash", "serve")
    try:
        with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=20) as answer:
            assert answer.status == 200
        assert (server.workspace / "deepspeed" / "ds_z3_config.json").is_file()  # laid there from configs/
    finally:
        server.end()
    listed = installed.run("lfdash", "ls", "--json")
    assert (listed.returncode, json.loads(listed.stdout)) == (0, [])
    assert [path.name for path in installed.folder.iterdir()] == ["workspace"]


def test_a_sign_in_is_read_from_the_folder_where_it_is_started(installed: Install) -> None:
    secrets = installed.folder / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir()
    secrets.write_text('[auth]\nclient_id = "lfdash"\n')
    try:
        done = installed.run("python", "-m", "lfdash")
    finally:
        shutil.rmtree(secrets.parent)
    assert done.returncode == 1 and "[auth]" in done.stdout and "Traceback" not in done.stdout


def test_the_demo_without_torch_makes_the_data_and_says_what_is_missing(installed: Install, tmp_path: Path) -> None:
    code = "import runpy, sys; sys.modules['torch'] = None; runpy.run_module('lfdash.demo', run_name='__main__')"
    done = installed.run("python", "-c", code, str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "demo: the model needs torch: install lfdash with its extra [train]\n")
    assert (tmp_path / "data" / "dataset_info.json").is_file()
