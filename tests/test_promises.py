"""What the tables promise, tried on a copy of the project: a field is a row and two texts, a stage a row, its texts and
a preset, a launcher a module and a row, a chart a row and its text, a language a file.

Nothing else is changed there, what must still pass passes, and the new thing shows. For a kind of job this is done in
jobs/test_kinds.py.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from lfdash.jobs.fields import BY_ID
from lfdash.locales import DEFAULT_LANGUAGE, catalogue
from tests.support import ROOT
from tests.support.copy import Copy

README = (ROOT / "README.md").read_text(encoding="utf-8")
WITHOUT_MAPPINGS = ("-k", "not mapping")  # thousands of them, which know nothing of a new row
LOCALES = ("tests/locales", "tests/ui/shared/test_text.py")


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "project")


def example(language: str) -> str:
    """The README's example of a new field."""
    section = README.partition("## How to add a field")[2].partition("\n## ")[0]
    (text,) = re.findall(rf"```{language}\n(.*?)\n```", section, re.DOTALL)
    return str(text)


def test_a_field_is_a_row_and_two_texts(copy: Copy) -> None:
    """Those of the README."""
    row, texts = example("python"), example("toml")
    ((field_id, (label, _)),) = tomllib.loads(texts).items()
    assert "\n" not in row and "\n" not in texts and field_id not in BY_ID
    copy.put("lfdash/jobs/fields.py", r"^    # samples$", f"    {row},\n")
    copy.say("fields", texts)
    passed = copy.test(
        "tests/jobs/test_fields.py", "tests/jobs/test_job.py", "tests/jobs/test_yaml_format.py", *LOCALES,
        "tests/jobs/test_args.py", *WITHOUT_MAPPINGS,
    )
    assert f"test_every_field_has_label_and_help[{field_id}] PASSED" in passed
    shown = copy.shows("field", field_id, "0.1", "optimization")
    assert shown == {"label": shown["label"], "before": False, "yaml": 0.1} and shown["label"].startswith(label)


def upgrade(snapshot: Path, stage: str) -> None:
    """What `make upstream` writes down of a LLaMA-Factory that has another stage."""
    known = json.loads(snapshot.read_text(encoding="utf-8"))
    (argument,) = [argument for argument in known["arguments"] if argument["name"] == "stage"]
    argument["choices"].append(stage)
    snapshot.write_text(json.dumps(known), encoding="utf-8")


PRESET = (ROOT / "configs" / "presets" / "dpo.yaml").read_text(encoding="utf-8")


def test_a_stage_is_a_row_its_texts_and_a_preset(copy: Copy) -> None:
    """One that LlamaBoard lacks, whose data are ranked pairs, with the settings of preference training."""
    copy.put("lfdash/jobs/stages.py", r"^\)\nBY_CODE", '    Stage("odpo", ranked=True, preference=True),\n')
    copy.say("choices", '"train.training_stage.odpo" = "Offset DPO"')
    _, advice, rest = PRESET.split("\n", 2)
    assert "\nstage: dpo\n" in rest
    copy.add("configs/presets/odpo.yaml", f"# Offset\n{advice}\n{rest.replace('stage: dpo', 'stage: odpo')}")
    copy.say("presets", f'odpo = ["Offset", "{advice.removeprefix("# ")}"]')
    copy.golden()
    assert (copy.root / "tests/golden/presets/odpo.json").exists()
    upgrade(copy.root / "configs" / "upstream.json", "odpo")
    passed = copy.test(
        "tests/jobs/test_stages.py", "tests/jobs/test_presets.py", "tests/jobs/test_args.py",
        "tests/llamafactory/test_catalogue.py", *LOCALES, *WITHOUT_MAPPINGS,
    )
    for test in ("test_a_stage_has_a_word_and_a_preset[odpo]", "test_golden_arguments_of_presets[odpo]"):
        assert f"{test} PASSED" in passed
    assert copy.shows("stage", "odpo") == {
        "word": "Offset DPO", "opened": True, "yaml": "odpo", "preset": "Offset", "args": "odpo",
        "lost there": ["model_name_or_path", "output_dir", "preprocessing_num_workers"],  # it keeps none in its files
        "llamaboard": {"stage": "odpo", "pref_beta": 0.1, "pref_loss": "sigmoid"}, "problems": ["dataset_unranked"],
    }


LAUNCHER = '''"""Starts runs on this machine, and says so in their environment."""

from dataclasses import replace

from lfdash.launchers.local import LocalLauncher
from lfdash.runs.plan import LaunchPlan


class EchoLauncher(LocalLauncher):
    name = "echo"

    def plan(self, plan: LaunchPlan) -> LaunchPlan:
        return replace(plan, env={**plan.env, "LFDASH_ECHO": "1"})
'''


def test_a_launcher_is_a_module_and_a_row(copy: Copy) -> None:
    copy.add("lfdash/launchers/echo.py", LAUNCHER)
    copy.put("lfdash/launchers/table.py", r"^\}\nDEFAULT", '    "echo": "lfdash.launchers.echo:EchoLauncher",\n')
    passed = copy.test("tests/launchers", "-k", "echo or test_table")
    assert len(re.findall(r"\[echo[\]-].* PASSED", passed)) >= 6
    assert copy.shows("launcher", "echo") == {
        "listed": True, "record": "echo", "added": ["LFDASH_ECHO"], "state": "SUCCEEDED", "elsewhere": "RUNNING",
        "stopped": "STOPPED",
    }


def test_a_chart_is_a_row_and_its_text(copy: Copy) -> None:
    copy.put("lfdash/ui/shared/charts.py", r"^    Chart\(\"learning_rate\"", '    Chart("vram_allocated"),\n')
    copy.say("ui", 'curve_vram_allocated = "GPU memory"')
    copy.golden()
    assert '"title": "GPU memory"' in (copy.root / "tests/golden/charts/vram_allocated.json").read_text()
    passed = copy.test("tests/ui/shared/test_charts.py", "tests/ui/curves/test_specs.py", *LOCALES)
    assert "test_golden_specification[vram_allocated] PASSED" in passed
    shown = copy.shows("chart", "vram_allocated")
    assert "GPU memory" in shown["curves"] and "GPU memory" not in shown["before"]


def test_a_language_is_a_file(copy: Copy) -> None:
    """With a few texts; English stands in for the others until somebody has translated them."""
    copy.add("lfdash/locales/fr.toml", '[language]\nname = "Français"\n\n[ui]\nstart = "Lancer"\n')
    passed = copy.test(*LOCALES, "tests/ui/shared/test_keyed.py")
    assert "test_it_is_translated[fr] PASSED" in passed
    shown = copy.shows("language", "fr")
    english = catalogue(DEFAULT_LANGUAGE)
    assert "Français" in shown["offered"]
    assert (shown["start"], shown["queue"]) == ("Lancer", english["ui"]["queue"])
    listed = copy.run("tools/texts.py")
    wanted = {section: texts for section, texts in english.items() if section not in ("language", "synonyms")}
    lacking = sum(map(len, wanted.values())) - 1
    assert listed.returncode == 1 and f"fr.toml (Français): {lacking} missing\n" in listed.stdout
