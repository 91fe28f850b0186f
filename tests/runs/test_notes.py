"""Notes and tags: kept beside the run, read whatever lies there, never at the cost of a file that is not ours."""

from __future__ import annotations

import errno
import json
import os
import threading
from functools import partial
from pathlib import Path
from unittest import mock

import pytest

from lfdash.files import Unreadable, only_writer
from lfdash.outcomes import Refused
from lfdash.runs import notes
from lfdash.runs.notes import NONE, Notes, clean_note, clean_tags, read, save
from lfdash.runs.paths import RunPaths


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    (tmp_path / "r1").mkdir()
    return RunPaths(tmp_path / "r1")


def code(answer: Refused | None) -> str:
    return answer.code if answer else ""


def test_what_is_saved_is_read_and_what_is_empty_leaves_no_file(paths: RunPaths) -> None:
    assert read(paths.notes) == NONE
    wanted = Notes("first\nзаметка 備考", ("baseline", "lr 5e-5"))
    assert save(paths, wanted) is None
    assert read(paths.notes) == wanted
    assert [path.name for path in paths.root.iterdir()] == ["notes.json"]
    assert save(paths, NONE) is None
    assert list(paths.root.iterdir()) == []


def test_tags_are_trimmed_split_at_commas_and_kept_once_whatever_their_case() -> None:
    assert clean_tags([" a ", "b,c", "A", "", " , ", "two  words\n", "\x00\u202e"]) == ("a", "b", "c", "two words")


def test_a_note_keeps_its_lines_and_loses_what_cannot_be_seen() -> None:
    assert clean_note("one\r\ntwo\tx\x00\u202e\ud800 \n\n") == "one\ntwo\tx"


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", '"x"', '{"note": "x"}', '{"note": 1, "tags": []}', '{"note": "x", "tags": 3}',
        '{"note": "x", "tags": [1]}', '{"note": "x", "tags": [], "author": "somebody"}', "[" * 100_000, "\xff",
        '{"note": "' + "x" * 300_000 + '", "tags": []}',
    ],
)
def test_a_file_that_is_not_ours_reads_as_empty_and_is_not_overwritten(paths: RunPaths, content: str) -> None:
    paths.notes.write_text(content, encoding="latin-1")
    assert read(paths.notes) == NONE
    assert code(save(paths, Notes("mine"))) == "notes_foreign"
    assert code(save(paths, NONE)) == "notes_foreign"
    assert paths.notes.read_text(encoding="latin-1") == content


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ESTALE, errno.ENOMEM])
def test_what_cannot_be_read_is_not_taken_for_no_notes(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    save(paths, Notes("mine"))

    def broken(*_args: object, **_more: object) -> Unreadable:
        return Unreadable(os.strerror(number), number)

    monkeypatch.setattr(notes, "read_json_file", broken)
    with pytest.raises(OSError, match=os.strerror(number)):
        read(paths.notes)
    assert code(save(paths, Notes("other"), before=Notes("mine"))) == "failed"
    monkeypatch.undo()
    assert read(paths.notes) == Notes("mine")


def test_notes_that_nobody_may_read_do_not_hide_their_run(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "read_json_file", lambda *_args, **_more: Unreadable("Permission denied", errno.EACCES))
    assert read(paths.notes) == NONE and code(save(paths, Notes("x"))) == "readonly"


def test_a_pipe_a_folder_and_a_link_are_no_notes(paths: RunPaths) -> None:
    os.mkfifo(paths.notes)  # a reader that opens it would wait for ever
    assert read(paths.notes) == NONE and code(save(paths, Notes("x"))) == "notes_foreign"
    paths.notes.unlink()
    paths.notes.mkdir()
    assert read(paths.notes) == NONE and code(save(paths, Notes("x"))) == "notes_foreign"
    paths.notes.rmdir()
    target = paths.root.parent / "outside.json"
    target.write_text('{"note": "secret", "tags": []}')
    paths.notes.symlink_to(target)
    assert read(paths.notes) == NONE and code(save(paths, Notes("x"))) == "notes_foreign"
    assert "secret" in target.read_text()


def test_too_much_is_refused_and_the_old_ones_stay(paths: RunPaths) -> None:
    save(paths, Notes("old"))
    assert save(paths, Notes("x" * 20_001)) == Refused("notes_long", {"max": 20_000})
    assert save(paths, Notes("", tuple(f"t{n}" for n in range(21)))) == Refused("tags_many", {"max": 20})
    assert code(save(paths, Notes("", ("x" * 41,)))) == "tag_long"
    assert read(paths.notes) == Notes("old")
    largest = Notes("😀" * 20_000, tuple(f"{n:02}" + "😀" * 38 for n in range(20)))
    assert save(paths, largest) is None
    assert read(paths.notes) == largest


def test_who_writes_what_somebody_else_changed_meanwhile_is_told(paths: RunPaths) -> None:
    save(paths, Notes("mine"))
    assert save(paths, Notes("theirs"), before=Notes("mine")) is None
    assert code(save(paths, Notes("mine again"), before=Notes("mine"))) == "notes_changed"
    assert read(paths.notes) == Notes("theirs")


def test_of_several_that_write_at_once_each_is_kept_or_told(paths: RunPaths) -> None:
    """Each adds its own marks to what it has just read, as often as it is told that somebody else was faster."""

    def add(who: str) -> None:
        for count in range(20):
            while True:
                before = read(paths.notes)
                refused = save(paths, Notes(f"{before.note}\n{who}{count}"), before)
                if refused is None:
                    break
                assert refused.code == "notes_changed"

    writers = [threading.Thread(target=add, args=(who,)) for who in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(read(paths.notes).note.split()) == sorted(f"{who}{count}" for who in "abc" for count in range(20))


def test_who_waits_for_another_that_hangs_is_told(paths: RunPaths) -> None:
    with only_writer(paths.root), mock.patch.object(notes, "only_writer", partial(only_writer, seconds=0.05)):
        assert code(save(paths, Notes("mine"))) == "notes_changed"
    assert save(paths, Notes("mine")) is None


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert code(save(RunPaths(tmp_path / "none"), Notes("x"))) == "no_folder"


@pytest.mark.parametrize(
    ("number", "refused"), [(errno.EROFS, "readonly"), (errno.EACCES, "readonly"), (errno.ENOSPC, "disk_kept"),
                            (errno.EIO, "failed")]
)
def test_a_disk_that_does_not_let_it(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch, number: int, refused: str
) -> None:
    save(paths, Notes("old"))

    def broken(_path: str, _text: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(notes, "write_text_atomic", broken)
    assert code(save(paths, Notes("new"))) == refused
    assert read(paths.notes) == Notes("old")


def test_a_process_that_dies_while_it_writes_leaves_the_old_notes(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(paths, Notes("old"))

    class Died(BaseException):
        pass

    def die(*_args: object) -> None:
        raise Died

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(Died):
        save(paths, Notes("new"))
    monkeypatch.undo()
    assert read(paths.notes) == Notes("old")
    assert json.loads(paths.notes.read_text()) == {"version": 1, "note": "old", "tags": []}
    assert save(paths, Notes("new")) is None and read(paths.notes) == Notes("new")
