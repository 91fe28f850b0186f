"""What the model sees is what LLaMA-Factory prints of its first example at the beginning of a real run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.sees import MOST, Seen, Side, see
from lfdash.outcomes import Refused
from tests.support.page import DEMO
from tests.support.sees import SYSTEM, arguments, make_data, printed, turns

pytestmark = pytest.mark.train_env

TEMPLATES = (
    "default", "llama3", "qwen", "qwen3", "chatml", "gemma", "mistral", "alpaca", "glm4", "deepseekcoder", "llama2",
    "vicuna",
)  # glm4 ends answers at the next turn (efficient_eos), qwen3 thinks, mistral and llama2 have no turn of the system's
PACKED = {"packing": True, "cutoff_len": 100}
CASES: dict[str, dict[str, Any]] = {
    **{f"sft {name}": {"dataset": "talk", "template": name} for name in TEMPLATES},
    **{f"tools {name}": {"dataset": "tools", "template": name} for name in ("default", "llama3", "qwen", "glm4")},
    **{f"long {name}": {"dataset": "long", "template": name, "cutoff_len": 64} for name in ("qwen", "glm4", "mistral")},
    "history": {"dataset": "long", "template": "qwen", "cutoff_len": 64, "mask_history": True},
    "history qwen3": {"dataset": "talk", "template": "qwen3", "mask_history": True},
    "prompt": {"dataset": "talk", "template": "qwen", "train_on_prompt": True},
    "no thinking": {"dataset": "talk", "template": "qwen3", "enable_thinking": False},
    "no template": {"dataset": "talk", "template": None},
    "packing": PACKED,
    "neat packing": {**PACKED, "neat_packing": True},
    "packing by two": {**PACKED, "preprocessing_num_workers": 2},
    "split": {"val_size": 0.2, "seed": 3},
    "interleaved": {"dataset": "talk,demo_sft", "mix_strategy": "interleave_over", "interleave_probs": "0.1,0.9"},
    "streaming": {"streaming": True, "preprocessing_num_workers": None, "max_samples": None, "dataset": "demo_sft",
                  "dataloader_num_workers": 1},
    "few": {"max_samples": 3, "system": None, "default_system": "Be short."},
    "pt": {"stage": "pt", "dataset": "demo_pt", "packing": False, "cutoff_len": 16},
    "pt packed": {"stage": "pt", "dataset": "demo_pt", "cutoff_len": 64},
    "pt llama3": {"stage": "pt", "dataset": "demo_pt", "template": "llama3"},
    "rm": {"stage": "rm", "dataset": "pairs", "template": "qwen"},
    "dpo": {"stage": "dpo", "dataset": "pairs", "template": "llama3", "cutoff_len": 64},
    "dpo glm4": {"stage": "dpo", "dataset": "pairs", "template": "glm4", "cutoff_len": 64},
    "kto": {"stage": "kto", "dataset": "demo_kto", "template": "qwen"},
    "kto glm4": {"stage": "kto", "dataset": "demo_kto", "template": "glm4"},
    "ppo": {"stage": "ppo", "dataset": "demo_sft", "template": "qwen", "reward_model": "saves/none"},
}


@pytest.fixture(scope="module")
def home(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("sees"), demo_workspace)


def seen(cli: Cli, home: Path, changes: dict[str, Any], rows: int = 3) -> Seen:
    """The answer, which is one."""
    found = see(cli, home, arguments(changes), rows)
    assert isinstance(found, Seen), found
    return found


def first(cli: Cli, home: Path, changes: dict[str, Any]) -> Side:
    """The first sequence."""
    return seen(cli, home, changes).samples[0].sides[0]


def codes(side: Side) -> dict[str, Any]:
    return dict(side.findings)


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_a_run_prints(preloaded: Cli, home: Path, tmp_path: Path, name: str) -> None:
    args = arguments(CASES[name])
    there = printed(preloaded, home, tmp_path / "run", args)
    sides = {side.name: side for side in seen(preloaded, home, CASES[name]).samples[0].sides}
    if args["stage"] in ("rm", "dpo"):
        names = {"chosen_": "chosen", "rejected_": "rejected"}
    else:
        names = {"": {"kto": "answer", "ppo": "prompt"}.get(args["stage"], "")}
    for prefix, side in names.items():
        assert sides[side].ids == there[f"{prefix}input_ids"]
        assert there[f"{prefix}inputs"].startswith(sides[side].text)
        assert sides[side].text.strip()
        if args["stage"] == "ppo":
            assert sides["unused"].ids == there["label_ids"] and set(sides["prompt"].labels) == {-100}
        elif args["stage"] == "pt":  # it prints none
            assert sides[side].labels == sides[side].ids
        else:
            assert sides[side].labels == there[f"{prefix}label_ids"]


def test_who_speaks(preloaded: Cli, home: Path) -> None:
    side = first(preloaded, home, {"dataset": "tools", "template": "qwen", "cutoff_len": 2000})
    said = {"system": "", "user": "", "tool": "", "assistant": "", "call": "", "template": ""}
    for token in side.tokens:
        said[token.speaker] += token.text
    assert SYSTEM in said["system"] and "opening" in said["system"] and "When?" not in said["system"]
    assert "When?" in said["user"] and "At seven" not in said["user"]
    assert '"hour": 7' in said["tool"] and side.findings == ()
    call = [token for token in side.tokens if token.speaker == "call"]
    assert "baker" in "".join(token.text for token in call) and {token.state for token in call} == {"trained"}
    assert any(token.special for token in side.tokens if token.text == "<|im_end|>")


@pytest.mark.parametrize("template", ["llama2", "mistral"])
def test_the_system_in_the_first_turn(preloaded: Cli, home: Path, template: str) -> None:
    side = first(preloaded, home, {"dataset": "talk", "template": template})
    assert SYSTEM in "".join(token.text for token in side.tokens if token.speaker == "system")
    assert "Is it open?" in "".join(token.text for token in side.tokens if token.speaker == "user")


def test_a_long_row_shows_what_was_cut_off(preloaded: Cli, home: Path) -> None:
    changes = {"dataset": "long", "template": "qwen", "cutoff_len": 2000}
    whole, cut = first(preloaded, home, changes), first(preloaded, home, {**changes, "cutoff_len": 64})
    assert whole.count("cut") == 0 < cut.count("cut") and len(cut.ids) == 64
    assert [token.id for token in cut.tokens] == whole.ids  # each at its place
    found = codes(cut)
    assert found["cut"]["count"] == cut.count("cut") == len(whole.ids) - 64 and found["cut"]["of"] == len(whole.ids)
    assert 0 < found["cut"]["answers"] < found["cut"]["count"] and "end_cut" in found and "no_end" not in found


def test_packing_says_which_rows_stand_in_a_sample(preloaded: Cli, home: Path) -> None:
    found = seen(preloaded, home, PACKED)
    sample = found.samples[0]
    assert found.packing and found.looked == found.rows == 800 and len(sample.rows) > 1
    side = sample.sides[0]
    assert len(side.begins) == len(sample.rows) and len(side.ids) == 100
    assert {token.speaker for token in side.tokens if token.text == "<pad>"} <= {"padding"}
    for said in sample.conversations:
        assert all(text in side.text for _, text in said)


@pytest.mark.parametrize("changes", [{}, {"packing": True}])
def test_rows_that_are_left_out_are_named(preloaded: Cli, home: Path, changes: dict[str, Any]) -> None:
    found = seen(preloaded, home, {"dataset": "odd", **changes})
    assert found.left_out == ((0, "invalid"),) and [sample.rows for sample in found.samples] == [(1,)]


def test_packed_texts_lose_their_end(preloaded: Cli, home: Path) -> None:
    found = seen(preloaded, home, {"stage": "pt", "dataset": "demo_pt", "cutoff_len": 64}, MOST)
    rows = seen(preloaded, home, {"stage": "pt", "dataset": "demo_pt", "packing": False, "cutoff_len": 2000}, MOST)
    assert found.tail == 62 and all(len(sample.sides[0].ids) == 64 for sample in found.samples)
    assert found.rows == rows.rows and len(rows.samples) == min(MOST, rows.rows or 0)


def test_kto_has_another_answer_beside_its_own(preloaded: Cli, home: Path) -> None:
    sample = seen(preloaded, home, {"stage": "kto", "dataset": "demo_kto", "template": "qwen"}).samples[0]
    own, other = sample.sides
    assert (own.name, other.name) == ("answer", "kl") and sample.desired in (True, False)
    assert own.ids != other.ids and own.count("trained") and other.count("trained")


def test_a_template_without_an_end_says_so(preloaded: Cli, home: Path) -> None:
    uncut = {"dataset": "talk", "cutoff_len": 2000}
    assert codes(first(preloaded, home, {**uncut, "template": "deepseekcoder"})) == {"no_end": {}}
    assert codes(first(preloaded, home, {**uncut, "template": "qwen"})) == {}


def test_a_sample_that_is_masked_as_a_whole_says_so(preloaded: Cli, home: Path) -> None:
    side = first(preloaded, home, {"dataset": "pairs", "stage": "rm", "template": "default", "cutoff_len": 1})
    assert "all_masked" in codes(side) and side.count("trained") == 0


LONG = {"stage": "sft"}, {"stage": "sft", **PACKED}, {"stage": "pt", "packing": False}, {
    "stage": "pt", "packing": True, "cutoff_len": 16,
}


@pytest.mark.parametrize("changes", LONG)
def test_a_row_for_whose_tokens_nobody_would_wait_is_told(
    preloaded: Cli, demo_workspace: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Three megabytes would take minutes; the other rows are shown as if it were not there."""
    make_data(tmp_path, demo_workspace)
    rows = [{"instruction": f"Say {number}.", "input": "", "output": f"It is {number}."} for number in range(4)]
    rows[1]["output"] = "over the lazy dog " * 180_000
    (tmp_path / "data" / "rows.json").write_text(json.dumps(rows))
    info = tmp_path / "data" / "dataset_info.json"
    pt = changes["stage"] == "pt"
    columns = {"prompt": "output"} if pt else {"prompt": "instruction", "response": "output"}
    info.write_text(json.dumps({"rows": {"file_name": "rows.json", "columns": columns}}))
    found = seen(preloaded, tmp_path, {"template": "qwen", "dataset": "rows", **changes}, 4)
    (row, characters), = found.large
    assert row == 1 and 3_240_000 <= characters < 3_250_000 and found.few == 0
    shown = sorted(row for sample in found.samples for row in sample.rows)
    text = "".join(side.text for sample in found.samples for side in sample.sides)
    assert shown == ([] if pt and changes["packing"] else [0, 2, 3])
    assert "It is 2." in text and "lazy dog" not in text


def test_many_long_rows_are_not_all_looked_at(preloaded: Cli, demo_workspace: Path, tmp_path: Path) -> None:
    make_data(tmp_path, demo_workspace)
    rows = [{"instruction": "Go on.", "output": "Yes. " * 70_000}] * 10
    (tmp_path / "data" / "rows.json").write_text(json.dumps(rows))
    columns = {"prompt": "instruction", "response": "output"}
    info = {"rows": {"file_name": "rows.json", "columns": columns}}
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(info))
    found = seen(preloaded, tmp_path, {"dataset": "rows", **PACKED}, 4)
    assert found.rows == 10 and found.looked == 4 and 1_400_000 <= found.few < 1_401_000
    assert {row for sample in found.samples for row in sample.rows} <= set(range(4))


def test_what_cannot_be_answered_says_why(preloaded: Cli, home: Path) -> None:
    found = see(preloaded, home, arguments({"dataset": "nope"}))
    assert found == Refused("asked_said", {"reason": "ValueError: Undefined dataset nope in dataset_info.json."})


LOOKS = {"template": "llava", "add_special_tokens": "<image>", "cutoff_len": 2000, "dataset": "pictures"}
SIDE, PATCH = 28, 14  # pixels


@pytest.fixture(scope="module")
def looking(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose model has a processor of images, as LLaVA has, and a dataset with two images in its row."""
    from PIL import Image

    root = tmp_path_factory.mktemp("looking")
    (root / "data").symlink_to(home / "data")
    model = root / DEMO["model_name_or_path"]
    model.mkdir(parents=True)
    for file in (home / DEMO["model_name_or_path"]).iterdir():
        (model / file.name).symlink_to(file.resolve())
    size = {"height": SIDE, "width": SIDE}
    image = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": SIDE}, "crop_size": size}
    (model / "preprocessor_config.json").write_text(json.dumps({**image, "processor_class": "LlavaProcessor"}))
    processor = {"processor_class": "LlavaProcessor", "patch_size": PATCH, "num_additional_image_tokens": 1,
                 "vision_feature_select_strategy": "default", "image_token": "<image>"}
    (model / "processor_config.json").write_text(json.dumps(processor))
    Image.new("RGB", (40, 30), "red").save(home / "data" / "red.png")
    rows = [{"conversations": turns([("human", "<image>Which <image>?"), ("gpt", "Red.")]), "images": ["red.png"] * 2}]
    (home / "data" / "pictures.json").write_text(json.dumps(rows))
    known = home / "data" / "dataset_info.json"
    columns = {"messages": "conversations", "images": "images"}
    entry = {"file_name": "pictures.json", "formatting": "sharegpt", "columns": columns}
    known.write_text(json.dumps({**json.loads(known.read_text()), "pictures": entry}))
    return root


def test_the_tokens_of_images_are_counted(preloaded: Cli, looking: Path) -> None:
    (sample,) = seen(preloaded, looking, LOOKS).samples
    assert sample.media == {"images": 2} and sample.sides[0].media == {"images": 2 * (SIDE // PATCH) ** 2}
    cut = seen(preloaded, looking, {**LOOKS, "cutoff_len": 16}).samples[0].sides[0]
    count = cut.media["images"]
    assert count is not None and count == sum(token.text == "<image>" for token in cut.tokens if token.state != "cut")


def test_a_placeholder_that_the_tokenizer_does_not_know_is_said(preloaded: Cli, looking: Path) -> None:
    (sample,) = seen(preloaded, looking, {**LOOKS, "add_special_tokens": None}).samples
    assert sample.sides[0].media == {"images": None}


def test_without_a_processor_it_says_what_a_training_would(preloaded: Cli, home: Path, looking: Path) -> None:
    found = see(preloaded, home, arguments({**LOOKS, "dataset": "pictures"}))
    assert isinstance(found, Refused) and "Processor was not found" in found.params["reason"]
