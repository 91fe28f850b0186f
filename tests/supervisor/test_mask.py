"""Secrets are found by the names of their variables, and overwritten in logs without the writer noticing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.supervisor import mask
from lfdash.supervisor.mask import LogMask, names, redactor, values

TOKEN = "hf_abcdefGHIJKL0123456789"


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "WANDB_API_KEY", "MY_SECRET", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "some_api_key", "TOKEN"]
)
def test_a_variable_is_known_by_its_name(name: str) -> None:
    assert names({name: TOKEN}) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENIZERS_PARALLELISM", "false-false"), ("PWD", "/home/somebody"), ("HF_TOKEN_PATH", "/home/x/token"),
        ("KEYBOARD", "qwertyuiop"), ("HOME", "/home/somebody"), ("SOME_KEY", "short"), ("SSH_KEY_FILE", "/home/x/id"),
        ("URL", "https://host:8080/path@x"), ("MONKEY", "bananabanana"),
    ],
)
def test_other_variables_are_left_alone(name: str, value: str) -> None:
    assert names({name: value}) == []


def test_of_an_address_the_password_is_the_secret() -> None:
    env = {"HTTPS_PROXY": "http://ana:pa55word@proxy:3128"}
    assert names(env) == ["HTTPS_PROXY"]
    assert list(values(env, names(env))) == [("HTTPS_PROXY", "pa55word")]
    told = redactor(values(env, names(env)))("cannot reach http://ana:pa55word@proxy:3128")
    assert told == "cannot reach http://ana:•••HTTPS_PROXY@proxy:3128"


def test_a_declared_variable_counts_whatever_its_name() -> None:
    assert names({}, ["HF_TOKEN"]) == ["HF_TOKEN"]
    assert list(values({"X": "abcd", "Y": "abc"}, ["X", "Y", "Z"])) == [("X", "abcd")]


def test_a_secret_is_hidden_as_it_is_and_as_it_may_be_written() -> None:
    redact = redactor([("A", 'p"ss wörd/1'), ("B", "line-one-x\nline-two-x"), ("C", "abcdef"), ("D", "abcdefgh")])
    assert redact('p"ss wörd/1') == "•••A"
    assert redact('{"a": "p\\"ss w\\u00f6rd/1"}') == '{"a": "•••A"}'
    assert redact("?key=p%22ss%20w%C3%B6rd%2F1&") == "?key=•••A&"
    assert redact("has line-two-x alone") == "has •••B alone"
    assert redact("abcdefgh abcdef") == "•••D •••C"  # the longer one first
    assert redactor([])("anything") == "anything"


def test_what_a_file_gains_is_overwritten_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text(f"one {TOKEN}\n")
    inode = path.stat().st_ino
    log = LogMask([TOKEN])
    assert log.look(str(path)) == 1
    with path.open("a") as file:
        file.write(f"two\n{TOKEN}{TOKEN} three\n")
    assert (log.look(str(path)), log.look(str(path))) == (2, 0)
    stars = "*" * len(TOKEN)
    assert path.read_text() == f"one {stars}\ntwo\n{stars}{stars} three\n"
    assert path.stat().st_ino == inode


def test_a_secret_that_comes_in_pieces_is_found(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    log = LogMask([TOKEN])
    for piece in (f"xx{TOKEN[:1]}", TOKEN[1:9], TOKEN[9:-1], f"{TOKEN[-1:]}yy"):
        with path.open("a") as file:
            file.write(piece)
        log.look(str(path))
    assert path.read_text() == f"xx{'*' * len(TOKEN)}yy"


def test_a_secret_across_two_reads_of_a_large_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask, "CHUNK", 64)
    path = tmp_path / "console.log"
    for lead in range(40, 70):
        path.write_text("." * lead + TOKEN + "." * 100)
        assert LogMask([TOKEN]).look(str(path)) == 1
        assert path.read_text() == "." * lead + "*" * len(TOKEN) + "." * 100


def test_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "console.log"
    path.write_bytes(b"." * 5_000_000)
    log = LogMask([TOKEN])
    log.look(str(path))
    read: list[int] = []
    real = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        data = real(descriptor, size, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", pread)
    log.look(str(path))
    assert read == []
    with path.open("a") as file:
        file.write("new")
    log.look(str(path))
    assert read == [3 + len(TOKEN) - 1]


def test_a_file_that_was_cut_or_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "running_log.txt"
    path.write_text("." * 100)
    log = LogMask([TOKEN])
    log.look(str(path))
    path.write_text(TOKEN)  # cut, the same inode
    assert log.look(str(path)) == 1
    other = tmp_path / "other"
    other.write_text("." * 200 + TOKEN)
    other.replace(path)
    assert log.look(str(path)) == 1
    path.write_text(TOKEN + "." * 400)  # cut, and grown beyond what was read, between two looks
    assert log.look(str(path)) == 0
    assert log.last_look(str(path)) == 1
    assert TOKEN not in path.read_text()


def test_a_link_a_pipe_and_a_missing_file_are_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "token"
    home.write_text(TOKEN)
    link, pipe = tmp_path / "console.log", tmp_path / "pipe"
    link.symlink_to(home)
    os.mkfifo(pipe)
    log = LogMask([TOKEN])
    assert [log.look(str(path)) for path in (link, pipe, tmp_path / "none", tmp_path)] == [0, 0, 0, 0]
    assert home.read_text() == TOKEN
    assert log.last_look(str(tmp_path / "none")) == 0


WRITER = """
import os, random, sys
rng = random.Random(int(sys.argv[3]))
token = sys.argv[2].encode()
text = b"".join(rng.choice([b"step %d\\n" % n, b"auth " + token + b"\\n", token]) for n in range(4000))
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
while text:
    size = rng.randint(1, 90)
    os.write(file, text[:size])
    text = text[size:]
"""


def test_a_writer_that_never_stops_loses_no_byte(tmp_path: Path) -> None:
    """Appends in pieces from another process while the file is looked at all the time."""
    seed = random.randrange(1 << 30)
    path = tmp_path / "console.log"
    path.touch()
    log = LogMask([TOKEN])
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), TOKEN, str(seed)])
    looks = 0
    while writer.poll() is None:
        log.look(str(path))
        looks += 1
    log.look(str(path))
    rng = random.Random(seed)
    lines = (rng.choice([f"step {n}\n", f"auth {TOKEN}\n", TOKEN]) for n in range(4000))
    assert path.read_text() == "".join(lines).replace(TOKEN, "*" * len(TOKEN)), f"seed {seed}"
    assert looks > 5


def test_without_secrets_nothing_is_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "open", None)
    assert LogMask([]).look(str(tmp_path / "console.log")) == 0
