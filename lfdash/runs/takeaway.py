"""The files of a run, to be taken away from its page: what is text without the secrets that are known here."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import PurePosixPath

from lfdash.files import open_descriptor, open_folder
from lfdash.runs.log_reader import tail_bytes
from lfdash.runs.paths import RunPaths

Redact = Callable[[str], str]

MOST = 200 << 20  # bytes of one file that go through the server's memory; more is copied on the machine
LOG_END = 50 << 20  # bytes of a log
SMALL = 20 << 20  # bytes of a file that goes into the ZIP
WHOLE = 200 << 20  # bytes of all that go into it
WEIGHTS = frozenset({".safetensors", ".bin", ".pt", ".pth", ".gguf", ".ckpt", ".distcp"})
TEXTS = frozenset({".json", ".jsonl", ".yaml", ".yml", ".txt", ".log", ".md", ".csv", ".jinja", ".sh", ".toml", ""})


def is_text(name: str) -> bool:
    """Whether a file is text, by its name: secrets are taken out of it."""
    return PurePosixPath(name).suffix.lower() in TEXTS


def file_bytes(paths: RunPaths, name: str, redact: Redact, most: int = MOST) -> bytes:
    """A file of the run's folder. name: relative to it, / between. most: bytes.

    OSError for one that is not plain, lies behind a link, or is larger.
    """
    place, root = PurePosixPath(name), paths.root.resolve()
    if place.is_absolute() or ".." in place.parts:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), name)
    with open_folder(root, root / place.parent) as folder:
        descriptor, size = open_descriptor(place.name, within=folder)
        with os.fdopen(descriptor, "rb") as file:
            if size > most:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
            content = file.read(most)
    return redacted(content, redact) if is_text(name) else content


def log_bytes(paths: RunPaths, redact: Redact) -> bytes:
    """What the run printed; its last 50 MB."""
    return redacted(tail_bytes(paths.printed, LOG_END), redact)


def redacted(content: bytes, redact: Redact) -> bytes:
    """A text's bytes without secrets."""
    return redact(content.decode("utf-8", "replace")).encode("utf-8", "replace")


def small_files(paths: RunPaths, redact: Redact) -> bytes:
    """A ZIP of the run's files but for weights, checkpoints, and what is larger than 20 MB; `left_out.txt` in it names
    those."""
    stream, left_out, total = io.BytesIO(), [], 0
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size, _changed in paths.listing():
            place = PurePosixPath(name)
            if place.parts[0].startswith("checkpoint-") or place.suffix.lower() in WEIGHTS or total + size > WHOLE:
                left_out.append(f"{name} ({size} bytes)")
                continue
            try:
                archive.writestr(name, file_bytes(paths, name, redact, SMALL))
                total += size
            except OSError as error:
                left_out.append(f"{name} ({size} bytes): {error.strerror}")
        if left_out:
            archive.writestr("left_out.txt", redact("\n".join(left_out)) + "\n")
    return stream.getvalue()
