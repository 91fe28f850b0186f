"""A small file that may be lost: whatever is wrong with it costs the memo, never the page."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from lfdash import files
from lfdash.workspace.memo import Memo


@pytest.fixture
def memo(tmp_path: Path) -> Memo:
    return Memo(tmp_path / "memo.json")


def test_what_was_saved_is_loaded_and_replaced_as_a_whole(memo: Memo) -> None:
    assert memo.load() == {}, "not there yet"
    memo.save({"a": 1, "名": ["x"]})
    assert Memo(memo.path).load() == {"a": 1, "名": ["x"]}
    memo.save({"b": None})
    assert memo.load() == {"b": None}


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1} x', b"[1]", b"3", b"null", b"\xff\xfe", b"\x00" * 20])
def test_a_broken_memo_is_empty_and_can_be_saved_again(memo: Memo, content: bytes) -> None:
    memo.path.write_bytes(content)
    assert memo.load() == {}
    memo.save({"a": 1})
    assert memo.load() == {"a": 1}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_keeps_the_old_memo(
    memo: Memo, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    memo.save({"a": 1})

    def failing(_name: str) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(files, "hit", failing)  # the new content is written, and not yet in its place
        memo.save({"a": 2})
    assert memo.load() == {"a": 1}
    assert [path.name for path in memo.path.parent.iterdir()] == [memo.path.name]


def test_where_its_folder_is_missing_nothing_is_kept(tmp_path: Path) -> None:
    memo = Memo(tmp_path / "gone" / "memo.json")
    memo.save({"a": 1})
    assert memo.load() == {} and list(tmp_path.iterdir()) == []


def test_two_threads_never_leave_half_a_memo(memo: Memo) -> None:
    """Two tabs of one dashboard: whoever reads meanwhile sees one of their memos, whole."""
    whole = [{"who": who, "text": who * 20_000} for who in "ab"]
    memo.save(whole[0])

    def save_often(content: dict[str, str]) -> None:
        for _ in range(100):
            memo.save(content)

    threads = [threading.Thread(target=save_often, args=(content,)) for content in whole]
    for thread in threads:
        thread.start()
    seen = [memo.load()]
    while any(thread.is_alive() for thread in threads):
        seen.append(memo.load())
    for thread in threads:
        thread.join()
    assert all(found in whole for found in seen) and memo.load() in whole
    assert [path.name for path in memo.path.parent.iterdir()] == [memo.path.name]


@pytest.mark.timeout(10)
def test_what_is_no_small_file_is_empty_and_replaced(memo: Memo) -> None:
    os.mkfifo(memo.path)
    assert memo.load() == {}
    memo.save({"a": 1})
    assert memo.load() == {"a": 1}
    memo.path.write_text("[" * 200_000)
    assert memo.load() == {}


def test_nothing_is_kept_where_the_workspace_is_gone(tmp_path: Path) -> None:
    memo = Memo(tmp_path / "memo.json", lambda: False)
    memo.save({"a": 1})
    assert list(tmp_path.iterdir()) == []
