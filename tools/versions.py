"""Tries lfdash with other versions of LLaMA-Factory, for real; called by `make versions`.

    python tools/versions.py [--cache .versions] [--only 0.9.3]...

Each version gets an environment below the cache folder, made by pip beside the one that this program runs in, which
lends its torch and whatever else that version takes, too: a .pth file appends its packages behind the version's own.
There the tests of tests/versions run, each a row of the table in docs/versions.md. What each version says of its
arguments becomes configs/arguments_by_version.json. Both are written once the cache has all versions, which can
be tried one by one; the exit status is 1 when a row failed or a version could not be tried.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

from lfdash.jobs.versions import table
from lfdash.llamafactory.probe import OFFLINE, SCRIPT

ROOT = Path(__file__).resolve().parent.parent
TABLE, PAPER = ROOT / "configs" / "arguments_by_version.json", ROOT / "docs" / "versions.md"
WANTED = ("0.9.2", "0.9.3", "0.9.4", "0.9.5")  # and the newest on the package index
LENT = ("torch", "torchvision", "torchaudio")  # never installed again
CHOSEN = ("transformers", "peft", "trl", "accelerate", "datasets", "tokenizers", "huggingface-hub", "numpy", "gradio")
# What a version needs beside what it asks for: its own limits let in something that breaks it.
BESIDE: Mapping[str, tuple[str, ...]] = {
    "0.9.2": ("pyarrow<21",),  # it takes NumPy 1 only; later ones of pyarrow want NumPy 2 and do not say so
    "0.9.3": ("pyarrow<21",),
}
STAMP, SAID, ROWS = "complete.json", "said.json", "rows.json"
QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
OWN_ARGUMENTS = """
import dataclasses, json, sys
from transformers import Seq2SeqTrainingArguments
json.dump([item.name for item in dataclasses.fields(Seq2SeqTrainingArguments)], sys.stdout)
"""
ELEMENTS = """
import json, sys
document, sys.stdout = sys.stdout, sys.stderr
import gradio
from llamafactory.webui.components import create_eval_tab, create_export_tab, create_top, create_train_tab
from llamafactory.webui.engine import Engine
engine = Engine()
with gradio.Blocks():
    engine.manager.add_elems("top", create_top())
    for name, tab in (("train", create_train_tab), ("eval", create_eval_tab), ("export", create_export_tab)):
        engine.manager.add_elems(name, tab(engine))
json.dump(sorted(engine.manager.get_id_by_elem(elem) for elem in engine.manager.get_elem_list()), document)
"""


class VersionError(Exception):
    """A version that cannot be tried: its text says why."""


@dataclass(frozen=True)
class Environment:
    """The environment of one version. folder: absolute."""

    version: str
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def cli(self) -> Path:
        """What LFDASH_CLI names."""
        return self.folder / "bin" / "llamafactory-cli"


# -- environments ------------------------------------------------------------------------------------------------


def offered() -> tuple[str, ...]:
    """The versions that the package index has for this Python, newest first. VersionError when it does not say."""
    command = [sys.executable, "-m", "pip", "index", "versions", "llamafactory"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **QUIET})
    line = re.search(r"^Available versions: (.+)$", done.stdout, re.MULTILINE)
    if line is None:
        raise VersionError(f"the package index does not say which versions it has: {last_line(done.stderr)}")
    return tuple(part.strip() for part in line[1].split(","))


def last_line(text: str) -> str:
    """What a program said last."""
    return (text.strip().splitlines() or ["nothing was said"])[-1]


def lender() -> dict[str, Any]:
    """What is lent: the folders of this environment's packages, and the versions of what is never installed again."""
    folders = list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
    installed = {dist.metadata["Name"].lower(): dist.version for dist in distributions(path=folders)}
    missing = [name for name in LENT if name not in installed]
    if missing:
        raise VersionError(f"{', '.join(missing)} is not installed beside {sys.executable}: run `make setup-dev`")
    return {"folders": folders, "lent": {name: installed[name] for name in LENT}}


def environment(cache: Path, version: str) -> Environment:
    """The environment of a version: the one that is there if it is whole, else a new one.

    VersionError when pip fails.
    """
    made = Environment(version, cache / version)
    wanted = {**lender(), "beside": list(BESIDE.get(version, ())), "python": sys.version}
    stamp = made.folder / STAMP
    try:
        if json.loads(stamp.read_text())["made_with"] == wanted and made.cli.exists():
            return made
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or one that was not made to its end
    shutil.rmtree(made.folder, ignore_errors=True)
    say(f"{version}: making {made.folder}")
    make(made, wanted)
    packages = {name: installed_version(made, name) for name in CHOSEN}
    stamp.write_text(json.dumps({"made_with": wanted, "packages": packages}, indent=1))
    return made


def make(made: Environment, wanted: Mapping[str, Any]) -> None:
    """Makes it; the version itself first, so that the lender's own is not taken for it."""
    run([sys.executable, "-m", "venv", str(made.folder)])
    paths = {"base": str(made.folder), "platbase": str(made.folder)}
    own = Path(sysconfig.get_path("purelib", scheme="venv", vars=paths))
    (own / "zz_lent.pth").write_text("\n".join(wanted["folders"]) + "\n")
    limits = made.folder / "limits.txt"
    limits.write_text("".join(f"{name}=={version}\n" for name, version in wanted["lent"].items()))
    pip = [str(made.python), "-m", "pip", "install", "--quiet"]
    asked = f"llamafactory=={made.version}"
    run([*pip, "--no-deps", "--ignore-installed", asked])
    run([*pip, "-c", str(limits), asked, *BESIDE.get(made.version, ())])


def run(command: Sequence[str]) -> None:
    """Runs a program to its end. VersionError with its last words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **QUIET})
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise VersionError(errors[0] if errors else last_line(done.stderr or done.stdout))


def installed_version(made: Environment, name: str) -> str:
    """The version of a package that the environment imports; "–" when it has none."""
    code = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    done = subprocess.run([str(made.python), "-c", code, name], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "–"


# -- trying ------------------------------------------------------------------------------------------------------


def asked(made: Environment) -> dict[str, Any]:
    """What the version says of itself. VersionError when it does not answer."""
    env = {**os.environ, **OFFLINE}
    answers = []
    for words in ([str(SCRIPT)], ["-c", OWN_ARGUMENTS], ["-c", ELEMENTS]):
        with TemporaryDirectory() as folder:  # LlamaBoard writes where it is started
            done = subprocess.run([str(made.python), *words], cwd=folder, capture_output=True, text=True, env=env)
        if done.returncode:
            raise VersionError(f"it does not say what it offers: {last_line(done.stderr)}")
        answers.append(json.loads(done.stdout))
    keys = ("llamafactory", "transformers", "templates")
    arguments = [{key: item.get(key) for key in ("name", "choices")} for item in answers[0]["arguments"]]
    own = {key: answers[0][key] for key in keys}
    return {**own, "arguments": arguments, "of_transformers": answers[1], "board": answers[2]}


def try_out(made: Environment, pytest_words: Sequence[str]) -> list[dict[str, str]]:
    """Runs the tests of tests/versions with the environment; a row for each."""
    report = made.folder / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-m", "versions", "tests/versions", f"--junitxml={report}", "-q"]
    env = {**os.environ, "LFDASH_VERSIONS_CLI": str(made.cli)}
    subprocess.run([*command, *pytest_words], cwd=ROOT, env=env)
    if not report.exists():
        raise VersionError("the tests did not run to their end")
    return rows_of(ElementTree.parse(report).getroot())


def rows_of(report: ElementTree.Element) -> list[dict[str, str]]:
    """The rows of a report of pytest: what was tried, how it ended (a key of WORDS), what was seen."""
    rows = []
    for case in report.iter("testcase"):
        said = {item.get("name", ""): item.get("value", "") for item in case.iter("property")}
        bad = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        if "row" not in said and bad is None:
            continue
        said.setdefault("row", case.get("name", ""))  # it broke off before the row had its name
        result = said.get("result", "ok") if bad is None else "skipped" if bad.tag == "skipped" else "failed"
        seen = said.get("seen", "") if bad is None else (bad.get("message") or "").strip().splitlines()[:1]
        rows.append({"row": said["row"], "result": result, "seen": seen if isinstance(seen, str) else "".join(seen)})
    return rows


def merged(before: list[dict[str, str]], now: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows of now in place of the same ones of before."""
    newer = {row["row"]: row for row in now}
    kept = [newer.pop(row["row"], row) for row in before if not row["row"].startswith("test_")]
    return [*kept, *newer.values()]


# -- what is written ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tried:
    """What is known of a version. packages: name -> version; day: when it was tried last."""

    version: str
    packages: Mapping[str, str]
    rows: list[dict[str, str]]
    day: str


def kept(cache: Path, version: str) -> Tried | None:
    """What lies in the cache of a version; None when it was never tried."""
    folder = cache / version
    try:
        rows, stamp = (json.loads((folder / name).read_text()) for name in (ROWS, STAMP))
        return Tried(version, stamp["packages"], rows["rows"], rows["day"])
    except (OSError, ValueError, KeyError):
        return None


WORDS = {"ok": "works", "told": "no, told before Start", "failed": "**fails**", "skipped": "not tried"}
HEAD = """# LLaMA-Factory's versions

The dashboard runs the `llamafactory-cli` that `LFDASH_CLI` names, of whatever version. `make versions` tries the
versions below with the real thing, on the CPU, with the demo's model, each in an environment of its own, and writes
this page. "Told before Start": that version cannot do it, and the form and `lfdash check` say so, with the versions
that can. Which version has which argument is in
[configs/arguments_by_version.json](../configs/arguments_by_version.json).
"""


def paper(tried: Sequence[Tried], skipped: Mapping[str, str]) -> str:
    """The text of docs/versions.md. skipped: version -> why it was not tried."""
    names = list(dict.fromkeys(row["row"] for one in tried for row in one.rows))
    lines = [HEAD, "## What works", "", line(["", *(one.version for one in tried)]), rule(len(tried))]
    for name in names:
        by_row = [next((row["result"] for row in one.rows if row["row"] == name), "skipped") for one in tried]
        lines.append(line([name, *(WORDS[result] for result in by_row)]))
    lines += ["", "## With which packages", "", line(["", *(one.version for one in tried)]), rule(len(tried))]
    lines.append(line(["tried on", *(one.day for one in tried)]))
    lines += [line([name, *(one.packages.get(name, "–") for one in tried)]) for name in (*CHOSEN, *LENT)]
    lines += ["", *(f"- {version} was not tried: {reason}" for version, reason in skipped.items())]
    for version, more in BESIDE.items():
        lines.append(f"- {version} needs {', '.join(f'`{one}`' for one in more)}, which its own limits do not say.")
    lines += ["", "## What was seen"]
    for one in tried:
        lines += ["", f"### {one.version}", ""]
        lines += [f"- {row['row']}: {WORDS[row['result']]}. {row['seen']}".rstrip() for row in one.rows]
    return "\n".join(lines) + "\n"


def line(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def rule(columns: int) -> str:
    """The line below the head of a Markdown table."""
    return "|---" * (columns + 1) + "|"


def as_text(data: Mapping[str, Any]) -> str:
    """The table's JSON, one group of names a line."""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def say(text: str) -> None:
    """Prints at once, also into a pipe."""
    print(text, flush=True)


def by_number(version: str) -> tuple[int, ...]:
    """Versions in their order."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def tried_now(cache: Path, version: str, pytest_words: Sequence[str]) -> bool:
    """Tries one version and keeps what was seen; whether all is well."""
    made = environment(cache, version)
    packages = json.loads((made.folder / STAMP).read_text())["packages"]
    say(f"{version}: " + ", ".join(f"{name} {number}" for name, number in packages.items()))
    if not (made.folder / SAID).exists():
        (made.folder / SAID).write_text(json.dumps(asked(made)))
    before = kept(cache, version)
    rows = merged(before.rows if before else [], try_out(made, pytest_words))
    (made.folder / ROWS).write_text(json.dumps({"day": datetime.now(UTC).date().isoformat(), "rows": rows}, indent=1))
    for row in rows:
        say(f"{version}: {row['row']}: {row['result']} {row['seen']}")
    return bool(rows) and all(row["result"] in ("ok", "told") for row in rows)


def write(cache: Path, versions: Sequence[str], skipped: Mapping[str, str]) -> None:
    """Writes the page and the table of arguments from what lies in the cache, once it has all versions."""
    lent = lender()["lent"]
    known = [one for one in (kept(cache, version) for version in versions) if one is not None]
    text = paper([Tried(one.version, {**one.packages, **lent}, one.rows, one.day) for one in known], skipped)
    say(f"\n{text}")
    missing = set(versions) - {one.version for one in known}
    if missing:
        say(f"{PAPER.name} and {TABLE.name} are left as they are: {', '.join(sorted(missing))} was not tried yet")
        return
    PAPER.write_text(text, encoding="utf-8")
    said = [json.loads((cache / version / SAID).read_text()) for version in versions]
    TABLE.write_text(as_text(table(said)), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Tries lfdash with other versions of LLaMA-Factory.")
    where = "where environments are kept (.versions)"
    parser.add_argument("--cache", type=Path, default=ROOT / ".versions", help=where)
    parser.add_argument("--only", action="append", default=[], metavar="VERSION", help="try this version only")
    options, pytest_words = parser.parse_known_args(argv)
    cache = options.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    skipped: dict[str, str] = {}
    try:
        there = offered()
        say(f"the package index has {', '.join(there)}")
    except VersionError as error:
        say(f"{error}")
        there = WANTED
    wanted = sorted({*WANTED, there[0]}, key=by_number)
    well = True
    for version in options.only or wanted:
        try:
            if version not in there:
                raise VersionError("the package index does not have it")
            well = tried_now(cache, version, pytest_words) and well
        except VersionError as error:
            skipped[version], well = str(error), False
            say(f"{version} is not tried: {error}")
    wanted = [version for version in wanted if version in there]
    write(cache, wanted, skipped)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
