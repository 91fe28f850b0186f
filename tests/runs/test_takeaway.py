"""Files of a run, as they are taken away: without secrets, no link followed, nothing too large."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from lfdash.runs import takeaway
from lfdash.runs.paths import RunPaths
from lfdash.runs.takeaway import file_bytes, log_bytes, small_files
from tests.support.many import add_run

SECRET = "hf_abcdefghijklmnop"


def redact(text: str) -> str:
    return text.replace(SECRET, "…")


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    made = add_run(tmp_path, "one", checkpoints=(20,))
    made.console.write_text(f"token {SECRET}\nloss 1\n")
    (made.root / "adapter_model.safetensors").write_bytes(b"\x00" + SECRET.encode())
    (made.root / "plots").mkdir()
    (made.root / "plots" / "loss.png").write_bytes(b"\x89PNG")
    return made


def test_a_text_has_no_secret_and_other_files_are_as_they_are(paths: RunPaths) -> None:
    assert file_bytes(paths, "console.log", redact) == "token …\nloss 1\n".encode()
    assert log_bytes(paths, redact) == "token …\nloss 1\n".encode()
    assert file_bytes(paths, "adapter_model.safetensors", redact) == b"\x00" + SECRET.encode()
    assert file_bytes(paths, "plots/loss.png", redact) == b"\x89PNG"


@pytest.mark.parametrize("name", ["link.txt", "away/passwd", "../secret.txt", "pipe.txt", "gone.txt", "/etc/passwd"])
def test_nothing_outside_and_nothing_that_is_no_file(paths: RunPaths, name: str) -> None:
    (paths.root.parent / "secret.txt").write_text("outside")
    (paths.root / "link.txt").symlink_to(paths.root.parent / "secret.txt")
    (paths.root / "away").symlink_to("/etc")
    os.mkfifo(paths.root / "pipe.txt")
    with pytest.raises(OSError):
        file_bytes(paths, name, redact)


def test_a_file_that_is_too_large_is_refused(paths: RunPaths) -> None:
    with pytest.raises(OSError, match="too large"):
        file_bytes(paths, "console.log", redact, most=5)


def test_the_zip_has_all_that_is_small_and_says_what_it_has_not(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    (paths.root / "link.txt").symlink_to("/etc/passwd")
    (paths.root / "large.txt").write_text("x" * 50_000)
    monkeypatch.setattr(takeaway, "SMALL", 40_000)
    with zipfile.ZipFile(io.BytesIO(small_files(paths, redact))) as archive:
        names = set(archive.namelist())
        left_out = archive.read("left_out.txt").decode()
        texts = b"".join(archive.read(name) for name in names)
    assert {"console.log", "training_args.yaml", "trainer_log.jsonl", "plots/loss.png"} <= names
    assert {"link.txt", "large.txt", "adapter_model.safetensors"}.isdisjoint(names)
    assert not [name for name in names if name.startswith("checkpoint-")]
    for name in ("link.txt", "large.txt", "adapter_model.safetensors", "checkpoint-20/"):
        assert name in left_out, name
    assert SECRET.encode() not in texts


def test_the_zip_stops_before_the_memory_is_full(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeaway, "WHOLE", paths.trainer_log.stat().st_size)
    with zipfile.ZipFile(io.BytesIO(small_files(paths, redact))) as archive:
        assert sum(info.file_size for info in archive.infolist() if info.filename != "left_out.txt") <= takeaway.WHOLE
        assert "trainer_state.json" not in archive.namelist() or "trainer_log.jsonl" not in archive.namelist()
