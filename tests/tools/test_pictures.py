"""tools/pictures.py: the pictures that it takes are those that are there, small, and of the size that it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from tests.support import ROOT

PICTURES = sorted((ROOT / "docs/pictures").iterdir())


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lfdash_pictures", ROOT / "tools/pictures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_takes_all_pictures_that_are_there(pictures: ModuleType) -> None:
    taken = {f"{view.__name__.removeprefix('picture_')}.png" for view in pictures.VIEWS}
    assert taken == {path.name for path in PICTURES}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_small(pictures: ModuleType, path: Path) -> None:
    assert path.stat().st_size <= pictures.LARGEST
    with Image.open(path) as image:
        assert image.size == (pictures.WIDTH, pictures.HEIGHT)
