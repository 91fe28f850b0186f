"""What bash makes of a script's words and variables, without running it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from lfdash.errors import ConfigError
from lfdash.jobs.command_format import started
from lfdash.jobs.shell_format import EMPTY, UNSET, Variables, bare, lines_of, shown, without_files

SCRIPTS = (
    "show a 'b c' \"d $HOME_OF\" e\\ f", "A='x y'\nshow $A \"$A\" z$A", "A=\nshow $A \"$A\" --b$A",
    "A=1\nA+=2\nB=${A}3\nshow $B ${A}x", "show ${A:-d} ${A-e f} \"${A:-g h}\"", "A=\nshow ${A:-d} ${A-e}",
    "A=(x 'y z')\nA+=(w)\nshow \"${A[@]}\" end", "show a \\\n  b # c \\\nshow2", "show a \\\n # b \\\n c",
    "# show x \\\nshow y", "A=1\nif true; then A=1; fi\nshow $A", "show ${A:-${B:-c}}", "show \"a\\\"b\" 'c\\d' e#f",
    "show \"$(echo \"a b\")\" | cat", "A=\"x\ny\"\nshow $A \"$A\"", "show a;B=1;show2 $B", "show {\"a\": 1}",
)


def words_of(script: str) -> list[str]:
    """The words of the command `show`, by our reading."""
    variables = Variables()
    for line in lines_of(script):
        words = variables.without_keywords(line)
        if words and bare(words[0]) == "show":
            return [piece for word in words[1:] for piece in variables.expanded(word) if piece != EMPTY]
        started(words, variables)
    raise AssertionError("no such command")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("script", SCRIPTS)
def test_as_bash_does(script: str) -> None:
    shell = "show() { printf '%s\\0' \"$@\" >&2; exit; }\nshow2() { :; }\n"
    run = ["bash", "-c", shell + script]
    said = subprocess.run(run, capture_output=True, text=True, env={"HOME_OF": "~"}, check=False)
    wanted = said.stderr.split("\0")[:-1]
    found = [word.replace(f"{UNSET}HOME_OF\ufffb", "~") for word in words_of(script)]
    if any(UNSET in word for word in found):
        assert "$(" in script, "only another command's output is not known"
        found, wanted = [shown(word) for word in found], ["$(…)"]
    assert found == wanted


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("show $1 x$2 ${A##*/}", ["$1", "x$2", "${A##*/}"]), ("A=b\nshow ${A##*/}", ["${A##*/}"]),
        ("A=1\nif x; then A=2; else A=3; fi\nshow $A", ["$A"]), ("case $1 in a) A=1;; *) A=2;; esac\nshow $A", ["$A"]),
        ("A=1\nwhile x; do\nA=$A$A\ndone\nshow $A", ["$A"]), ("f() {\n A=1\n}\nshow $A", ["$A"]),
        ("A=1\nif x; then\nif y; then A=2; fi\nfi\nshow $A", ["$A"]), ("A=1; if x; then B=2; fi; show $A", ["1"]),
        ("if x; then A=2\nelif y; then show ${A:-none}\nfi", ["none"]),
    ],
)
def test_what_only_a_run_tells_is_marked(script: str, words: list[str]) -> None:
    assert [shown(word) for word in words_of(script)] == words


def test_a_quotation_mark_that_is_left_open() -> None:
    with pytest.raises(ConfigError) as caught:
        list(lines_of("a\nb 'c"))
    assert (caught.value.code, caught.value.line) == ("command_quote", 2)


def test_variables_that_grow_without_end() -> None:
    with pytest.raises(ConfigError) as caught:
        words_of("A=xx\n" + "A=$A$A\n" * 60 + "show")
    assert caught.value.code == "large"


def test_a_large_script_is_read_at_once() -> None:
    for text in ("$(" * 20_000, '"$(' * 20_000, "${" * 20_000, "a=( " * 20_000, "if " * 20_000, '""' * 20_000):
        try:
            assert list(lines_of(text))
        except ConfigError as error:
            assert error.code == "command_quote"


def test_here_documents_are_taken_out() -> None:
    script = "cat <<EOF > d/a\nx\nEOF\ncat > 'b' <<-'E' | tee\n\tE F\n \n\tE \nc <<EOF >e\nEOF\nd <<A <<B\nA\nf <<C\nC"
    files: dict[str, str] = {}
    assert without_files(script, files) == "cat  > d/a\ncat > 'b'  | tee\nc  >e\nd  <<B\nf "
    assert files == {"d/a": "x", "b": "\tE F\n ", "e": ""}
    for left_open in ("cat <<A\nb\nAA", "cat <<A", "cat <<A\n"):
        assert without_files(left_open, files) == left_open


class Text(str):
    """A text that counts how many characters are looked through for another."""

    looks = 0

    def find(self, part: str, start: int = 0) -> int:  # type: ignore[override]
        place = super().find(part, start)
        Text.looks += (place if place >= 0 else len(self)) - start
        return place


def test_lines_with_here_documents_are_looked_at_once() -> None:
    names = [f"<<A{number} " for number in range(500)]
    for text in (Text("cat " + "\ncat ".join(names)), Text("".join(names) + "\n"), Text("cat <<A\n" * 500)):
        Text.looks = 0
        assert without_files(text, {}) == text and Text.looks <= len(text)
