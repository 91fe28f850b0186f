"""From a dataset to prompts, and from answers to rows of a dataset."""

from __future__ import annotations

import base64
import binascii
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from lfdash.data.attributes import attributes
from lfdash.data.converting import ANSWERING, Converter
from lfdash.data.dataset_info import add_entry, is_name, read_dataset_info
from lfdash.data.rows import Rows
from lfdash.engine.chat.asking import Prompt
from lfdash.engine.chat.conversation import Conversation, Turn
from lfdash.engine.chat.messages import MEDIA, Medium, Said, Sampling, parted, row_of
from lfdash.engine.services import Services
from lfdash.files import open_plain, write_bytes_atomic
from lfdash.outcomes import Problem, Refused

MOST_ROWS = 200  # that are asked at once
LOOKED_AT = 20_000  # rows, at most, among which those with a text prompt are taken
# the entry that data/README.md of LLaMA-Factory asks for; every row has all of these columns
ENTRY: Mapping[str, Any] = {
    "formatting": "sharegpt",
    "columns": {"messages": "conversations", "system": "system", "tools": "tools",
                **{f"{kind}s": f"{kind}s" for kind in MEDIA}},
}


@dataclass(frozen=True)
class Asked:
    """Prompts of a dataset. left_out: rows that have no single prompt of text (conversations, pictures)."""

    prompts: tuple[Prompt, ...]
    left_out: int = 0


def prompts_of(services: Services, directory: str, name: str, count: int, sampling: Sampling) -> Asked | Refused:
    """The first `count` rows of a dataset whose prompt is one text, each with the answer that is expected.

    directory: of the datasets. Refused: chat_no_file (not a file of this machine, or not to be read), chat_rows (its
    rows cannot be read).
    """
    known = services.datasets(directory)
    entry = known.entries.get(name)
    file = entry.get("file_name") if entry else None
    path = services.roots.readable(services.workspace.root / directory / str(file)) if file else None
    if entry is None or path is None or not path.is_file():
        return Refused("chat_no_file", {"name": name})
    converter = Converter(attributes(entry), "sft")
    found: list[Prompt] = []
    left_out = 0
    try:
        with open_plain(path, follow=True) as opened:
            rows = Rows(opened, path)
            for row in islice(rows, LOOKED_AT):
                prompt = prompt_of(converter, row, sampling)
                if prompt is None:
                    left_out += 1
                    continue
                found.append(prompt)
                if len(found) >= min(count, MOST_ROWS):
                    break
            problem = rows.problem
    except OSError as error:
        return Refused("chat_rows", {"name": name, "reason": error.strerror or str(error)})
    if not found:
        reason = problem.code if problem else "–"
        return Refused("chat_rows", {"name": name, "reason": reason})
    return Asked(tuple(found), left_out)


def prompt_of(converter: Converter, row: Mapping[str, Any], sampling: Sampling) -> Prompt | None:
    """A row as a prompt of its own; None for one that has more than one, none, or media."""
    if converter.reason(row) is not None or any(row.get(f"{kind}s") for kind in MEDIA):
        return None
    made = converter.convert(row)
    if len(made.prompt) != 1 or not isinstance(made.prompt[0].content, str) or not made.answers:
        return None
    if made.answers[0].role not in ANSWERING or made.system or made.tools:
        return None
    return Prompt(made.prompt[0].content, sampling=sampling, expected=str(made.answers[0].content), alone=True)


def row_with(conversation: Conversation, turn: int, column: str) -> list[Said]:
    """What a row holds: the conversation of one chat up to an answer, that included."""
    answer = conversation.turns[turn].answer_of(column)
    assert answer is not None
    said = conversation.said_to(column, turn)
    return [*said, Said("assistant", parted(answer.text)[1], tool_calls=answer.tool_calls)]


def add_row(services: Services, name: str, conversation: Conversation, turn: int, column: str) -> Refused | int:
    """Appends an answer, with what was said before, to a dataset of the workspace's data folder, and lists it in
    dataset_info.json where it is new; how many bytes its file has then.

    Refused: chat_dataset_name, chat_dataset_other (a dataset of another form has the name), chat_medium, and what
    dataset_info.json says.
    """
    if not is_name(name):
        return Refused("chat_dataset_name", {"name": name})
    folder = services.workspace.data
    known = read_dataset_info(folder)
    entry = known.entries.get(name)
    file = f"{name}.jsonl"
    if entry is not None and {k: entry.get(k) for k in (*ENTRY, "file_name")} != {**ENTRY, "file_name": file}:
        return Refused("chat_dataset_other", {"name": name})
    said = row_with(conversation, turn, column)
    row: dict[str, Any] = {"system": "", "tools": "", **row_of(said, conversation.system, conversation.tools)}
    for kind in MEDIA:
        row[f"{kind}s"] = []
    try:
        for medium in [medium for one in said for medium in one.media]:
            whole = services.chats.asking.store.fetch(medium)
            written = write_medium(folder, name, whole) if whole else None
            if written is None:
                return Refused("chat_medium")
            row[f"{medium.kind}s"].append(written)
        size = append_line(folder / file, json.dumps(row, ensure_ascii=False), new=entry is None)
    except FileExistsError:
        return Refused("chat_dataset_other", {"name": name})
    except OSError as error:
        return Refused("chat_unsaved", {"reason": error.strerror or str(error)})
    problem: Problem | None = add_entry(folder, name, file, ENTRY) if entry is None else None
    if problem is not None:
        with suppress(OSError):
            os.unlink(folder / file)  # made just now; without an entry its name would be taken for good
        return Refused("chat_entry", {"name": name, "reason": problem.code})
    return size


def append_line(path: Path, line: str, *, new: bool) -> int:
    """Adds a line to a file, as a whole or not at all; its size then. new: the file must not be there yet. What stands
    there without an end of line gets one. OSError when the disk does not take all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    how = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT | (os.O_EXCL if new else 0)
    descriptor = os.open(path, how, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # of two dashboards one after the other
        size = os.fstat(descriptor).st_size
        before = b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""
        data = before + f"{line}\n".encode()
        try:
            if os.pwrite(descriptor, data, size) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            if new:
                os.unlink(path)
            raise
        return size + len(data)
    finally:
        os.close(descriptor)


def write_medium(folder: Path, name: str, medium: Medium) -> str | None:
    """Writes a medium beside a dataset; its name relative to the data folder. None when its data cannot be read."""
    head, _, data = medium.url.partition(",")
    subtype = head.removeprefix(f"data:{medium.kind}/").removesuffix(";base64")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not subtype.isalnum() or not content:
        return None
    place = folder / f"{name}_media" / f"{hashlib.sha256(content).hexdigest()[:24]}.{subtype}"
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        write_bytes_atomic(place, content)
    return place.relative_to(folder).as_posix()


def exported(conversation: Conversation, columns: Sequence[str]) -> str:
    """A conversation as rows in the sharegpt format, a line for each chat that answered; media as their names.

    Where the API told numbers of tokens, a row has them in `usage`, one item an answer. LLaMA-Factory takes no notice
    of a column that dataset_info.json does not name.
    """
    lines = []
    for column in columns:
        said: list[Said] = []
        usage: list[dict[str, int] | None] = []
        for number, turn in enumerate(conversation.turns):
            answer = turn.answer_of(column)
            if answer is None or answer.going or not (answer.text or answer.tool_calls):
                continue
            if turn.alone:
                row = row_of(row_with(conversation, number, column), conversation.system)
                lines.append(json.dumps(counted(row, [answer.usage]), ensure_ascii=False))
                continue
            said += [asked(turn), Said("assistant", parted(answer.text)[1], tool_calls=answer.tool_calls)]
            usage.append(answer.usage)
        if said:
            row = row_of(said, conversation.system, conversation.tools)
            lines.append(json.dumps(counted(row, usage), ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines)


def counted(row: dict[str, Any], usage: Sequence[dict[str, int] | None]) -> dict[str, Any]:
    """A row with the numbers of tokens of its answers, where there are any."""
    return {**row, "usage": list(usage)} if any(usage) else row


def asked(turn: Turn) -> Said:
    """A turn's prompt."""
    return Said(turn.role, turn.prompt, tuple(replace(medium, url="") for medium in turn.media))
