"""Secrets are found by the names of their variables, and overwritten in logs without the writer noticing."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.supervisor import mask
from lfdash.supervisor.forms import forms
from lfdash.supervisor.mask import LogMask, names, redactor, values

README = Path(__file__).parents[2] / "README.md"
TOKEN = "hf_abcdefGHIJKL0123456789"


SECRET_NAMES = (
    "HF_TOKEN", "WANDB_API_KEY", "MY_SECRET", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "some_api_key", "TOKEN",
    "PGPASSWORD", "SUDO_PASSWORD", "MYSQL_PWD", "DB_PWD", "SSHPASS", "X_PASS", "PASSPHRASE", "GPG_PASSPHRASE",
    "BORG_PASSPHRASE", "REDISCLI_PASSWD", "ACCESSTOKEN", "accessToken", "AUTHTOKEN", "my_token", "TOKEN2", "TOKENS",
    "API_TOKENS", "HUGGINGFACEHUB_API_TOKEN", "APIKEY", "MYAPIKEY", "apiKey", "OPENAI_KEY", "OPENAI_API_KEYS",
    "KAGGLE_KEY", "Access-Key", "PRIVATE_KEY_PEM", "SECRET_KEY_BASE", "STORAGEKEY", "GITHUB_PAT", "PAT", "JWT",
    "USER_JWT", "BEARER", "AUTHORIZATION", "HTTP_AUTHORIZATION", "HTTP_PROXY_AUTH", "COOKIE", "SESSION_COOKIE",
    "SECRETS", "CLIENTSECRET", "CREDS", "AWS_CREDENTIALS", "AZURE_STORAGE_CONNECTION_STRING", "DB_CONN_STR",
    "DOCKER_AUTH_CONFIG", "SLACK_WEBHOOK_URL",
)


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_variable_is_known_by_its_name(name: str) -> None:
    assert names({name: TOKEN}) == [name]
    assert list(values({name: TOKEN}, [name])) == [(name, TOKEN)]


def test_the_rule_is_the_one_that_readme_tells() -> None:
    (told,) = (line for line in README.read_text(encoding="utf-8").split("- **") if line.startswith("Secrets**"))
    endings = re.findall("`…([A-Z_]+)`", told)
    assert {"TOKEN", "_KEY", "SECRET", "PASSWORD", "_PWD"} <= set(endings)
    assert [end for end in endings if names({f"MY{end}": TOKEN}) != [f"MY{end}"]] == []
    words = re.findall("`([A-Z]+)`", told)
    assert "JWT" in words and [word for word in words if names({word: TOKEN}) != [word]] == []


# harmless, with values that are long enough
PLAIN = {
    "TOKENIZERS_PARALLELISM": "false-false", "TOKENIZER_PATH": "/models/tokenizer", "MAX_TOKENS": "100000000",
    "VLLM_MAX_NUM_BATCHED_TOKENS": "16,384,000", "PAD_TOKEN": "<|endoftext|>", "SPECIAL_TOKENS": "<|im_start|>",
    "KEYBOARD": "qwertyuiop", "XKB_KEYBOARD_LAYOUT": "us,de,ru,jp", "MONKEY": "bananabanana", "TURKEYS": "0123456789",
    "PWD": "/home/somebody", "OLDPWD": "/home/somebody", "BUILD_PWD": "/build/somewhere", "INIT_CWD": "/home/somebody",
    "HOME": "/home/somebody", "PATH": "/usr/local/bin:/usr/bin", "PYTHONPATH": "/home/x/lib", "COMPASS": "north-north",
    "HF_TOKEN_PATH": "/home/x/token", "SSH_KEY_FILE": "/home/x/id", "PASSWORD_STORE_DIR": "/home/x/.pass",
    "SECRET_NAME": "training-secrets", "AWS_SECRETS_DIR": "/run/secrets", "TOKEN_URL": "https://host/oauth/token",
    "GOOGLE_APPLICATION_CREDENTIALS": "/home/x/key.json", "TOKEN_TYPE": "Bearer-token",
    "SSH_AUTH_SOCK": "/tmp/ssh-x/agent.1", "SSH_ASKPASS": "/usr/lib/ssh/ask", "GIT_ASKPASS": "/usr/lib/git/ask",
    "XAUTHORITY": "/home/x/.Xauthority", "REQUIRE_AUTH": "disabled", "BYPASS": "localhost-only",
    "AUTHOR": "Somebody Else",
    "PATTERN": "checkpoint-*.pt", "XDG_SESSION_ID": "0123456789", "GNOME_KEYRING_CONTROL": "/run/user/1/keyring",
    "SOME_KEY": "short", "URL": "https://host:8080/path@x", "IMAGE": "python:3.11@sha256:0123456789abcdef",
    "GIT_URL": "git@github.com:somebody/something.git", "MIRROR": "https://somebody@host/path", "EDITOR": "code --wait",
    "OPTIONS": "--max-tokens=100000 --sign=no", "LS_COLORS": "rs=0:di=01;34:ln=01;36:*.tar=01;31",
}


@pytest.mark.parametrize(("name", "value"), PLAIN.items())
def test_other_variables_are_left_alone(name: str, value: str) -> None:
    assert names({name: value}) == []


# secrets within a value, whatever the name: what is hidden
WITHIN = {
    "DATABASE_URL": ("postgresql://ana:pa55word@db:5432/app", ["pa55word"]),
    "REDIS": ("redis://:pa55word@cache/0", ["pa55word"]),
    "MONGO": ("mongodb://ana:pa55word@a:1,b:2/x", ["pa55word"]),
    "ODD": ("http://ana:p@ss-word@host/a@b", ["p@ss-word"]),
    "ENCODED": ("http://ana:p%40ss%2Fword@host", ["p%40ss%2Fword", "p@ss/word"]),
    "TWO": ("http://a:first-one@h1,http://b:second-one@h2", ["first-one", "second-one"]),
    "GIT_MIRROR": ("https://ghp_0123456789abcdefABCD@github.com/x", ["ghp_0123456789abcdefABCD"]),
    "PIP_INDEX": ("https://ghp_0123456789abcdef:x-oauth-basic@host", ["x-oauth-basic", "ghp_0123456789abcdef"]),
    "HTTP_PROXY": ("ana:pa55word@proxy:3128", ["pa55word"]),
    "LIBPQ": ("host=db user=ana password=hunter2 sslmode=on", ["hunter2"]),
    "JDBC": ("jdbc:mysql://db/app?user=ana&password=hunter2&x=1", ["hunter2"]),
    "AZURE": ("Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey=abc+/0123456=", ["abc+/0123456="]),
    "BLOB": ("https://x.blob/c?sv=1&sig=abcdef0123456789%3D", ["abcdef0123456789%3D", "abcdef0123456789="]),
    "DOCKER": ('{"auths": {"r": {"auth": "YW5hOnBhNTV3b3Jk"}}}', ["YW5hOnBhNTV3b3Jk"]),
    "HEADER": ("Bearer abcdef0123456789", ["abcdef0123456789"]),
}


@pytest.mark.parametrize(("name", "value", "hidden"), [(name, *row) for name, row in WITHIN.items()])
def test_of_a_value_the_secret_in_it_is_hidden(name: str, value: str, hidden: list[str]) -> None:
    assert names({name: value}) == [name]
    assert [text for _, text in values({name: value}, [name])] == hidden


def test_a_value_that_is_secret_as_a_whole_is_hidden_in_parts_too() -> None:
    env = {"DB_CONNECTION_STRING": "Server=db;Password=hunter2"}
    assert [text for _, text in values(env, names(env))] == ["Server=db;Password=hunter2", "hunter2"]


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
    assert read == [3 + max(map(len, forms(TOKEN))) - 1]


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
