"""alerts.jsonl in a run's folder: what was alerted of it, a line each, oldest first."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from lfdash.errors import RecordError
from lfdash.files import PLAIN, is_absent, open_descriptor, parse_mapping, read_up_to
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.alerts.rules import BY_NAME
from lfdash.runs.paths import RunPaths

LARGEST = 4 << 20  # bytes that are read of it
APPEND = PLAIN | os.O_RDWR | os.O_APPEND | os.O_CREAT


def read(path: Path) -> tuple[Alert, ...]:
    """The alerts in a file, oldest first, of its last LARGEST bytes; lines that are none are passed over. OSError when
    reading failed, so that it is not known which there are."""
    return tuple(parse(lines(path)))


def lines(path: Path) -> list[str]:
    """The lines of a file's last LARGEST bytes; a byte that is no text spoils its own line only. None where there is no
    such plain file. OSError as `read`."""
    try:
        descriptor, size = open_descriptor(path)
    except OSError as error:
        if is_absent(error):
            return []
        raise
    try:
        begin = max(0, size - LARGEST)
        os.lseek(descriptor, begin, os.SEEK_SET)
        content = read_up_to(descriptor, size - begin, LARGEST)
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(path)) from error
    finally:
        os.close(descriptor)
    found = content.decode("utf-8", "replace").split("\n")
    return found[1:] if begin else found  # the first one was cut


def parse(lines: Iterable[str]) -> Iterable[Alert]:
    """The alerts in some lines."""
    for line in lines:
        data = parse_mapping(line) if line.strip() else None
        if isinstance(data, dict):
            try:
                yield Alert.from_data(data)
            except RecordError:
                continue


def line_of(alert: Alert) -> str:
    """An alert as a line of a file."""
    return json.dumps(asdict(alert), ensure_ascii=False) + "\n"


def append(path: Path, alert: Alert) -> None:
    """Adds an alert, on the disk when this returns. OSError when the disk does not let it; then at most a part of the
    line is there, which nobody takes for an alert. Whoever adds holds the lock that all who add hold."""
    descriptor = os.open(path, APPEND, 0o666)
    try:
        size = size_of(descriptor, path)
        begun = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # a line that a full disk cut
        data = (("\n" if begun else "") + line_of(alert)).encode("utf-8", "replace")
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_of(descriptor: int, path: Path) -> int:
    """Bytes of an open file. OSError for what is no plain file."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return found.st_size


def alerts_of(paths: RunPaths) -> tuple[Alert, ...]:
    """What was alerted of a run, oldest first. OSError as `read`."""
    return read(paths.alerts)


def badges(paths: RunPaths) -> tuple[str, ...]:
    """What a list says of a run: the rules with a badge of which its newest alerted attempt has an alert, in the order
    of RULES. OSError as `read`."""
    found = alerts_of(paths)
    newest = max((alert.attempt for alert in found), default=0)
    told = {alert.rule for alert in found if alert.attempt == newest}
    return tuple(name for name, rule in BY_NAME.items() if rule.badge and name in told)
