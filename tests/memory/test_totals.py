"""Tokens, steps, checkpoints and disk of a whole training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.memory.totals import Totals, kept_checkpoints, knapsacks, shards, totals
from tests.support.memory import subject


def of(lengths: tuple[int, ...], rows: int | None = None, world: int = 1, **arguments: Any) -> Totals:
    found = totals(replace(subject(**arguments), lengths=lengths, world_size=world), rows)
    assert found is not None
    return found


def test_without_lengths_nothing_is_known() -> None:
    assert totals(subject()) is None


@pytest.mark.parametrize(
    ("arguments", "world", "steps"),
    [
        # As transformers does: 45 rows make 23 batches of two, these 8 steps an epoch.
        ({"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3, "num_train_epochs": 1.3}, 1, 11),
        ({"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3, "num_train_epochs": 1.0}, 1, 8),
        ({"per_device_train_batch_size": 2, "num_train_epochs": 2.0}, 4, 12),
        ({"per_device_train_batch_size": 64, "num_train_epochs": 3.0}, 8, 3), ({"max_steps": 7}, 1, 7), ({}, 1, 135),
    ],
)
def test_steps(arguments: dict[str, Any], world: int, steps: int) -> None:
    assert of((100,) * 45, world=world, **arguments).steps == steps


def test_tokens_are_cut_and_rows_held_out() -> None:
    found = of((100, 5000, 300), num_train_epochs=2.0)
    assert (found.tokens, found.seen, found.rows, found.exact) == (100 + 2048 + 300, 2 * 2448, 3, True)
    held_out = of((100,) * 50, val_size=0.11)
    assert (held_out.rows, held_out.exact) == (44, False)  # 5.5 rows are six
    assert of((100,) * 50, val_size=20).rows == 30
    assert of((100, 200), stage="dpo").tokens is None, "the shorter answers were not counted"


def test_a_sample_stands_for_all_rows() -> None:
    found = of((100, 200), rows=2000)
    assert (found.rows, found.tokens, found.exact) == (2000, 300_000, False)


@given(st.lists(st.integers(1, 64), max_size=60), st.integers(64, 200))
def test_knapsacks_hold_all_rows(lengths: list[int], capacity: int) -> None:
    count = knapsacks(lengths, capacity)
    assert -(-sum(lengths) // capacity) <= count <= len(lengths)


@pytest.mark.train_env
@given(st.lists(st.integers(1, 64), max_size=60), st.integers(64, 200))
def test_they_are_llamafactorys(lengths: list[int], capacity: int) -> None:
    """Its own function, read from its file: the package's imports take seconds."""
    theirs = knapsack_of_llamafactory()
    assert knapsacks(lengths, capacity) == len(theirs(list(lengths), capacity))


def knapsack_of_llamafactory() -> Any:
    import importlib.util
    from pathlib import Path

    package = importlib.util.find_spec("llamafactory")
    assert package is not None and package.submodule_search_locations
    path = Path(next(iter(package.submodule_search_locations))) / "data/processor/processor_utils.py"
    source = path.read_text(encoding="utf-8")
    names: dict[str, Any] = {"bisect": __import__("bisect")}
    begin, end = source.index("def search_for_fit"), source.index("def infer_seqlen")
    exec(source[begin:end], names)
    return names["greedy_knapsack"]


def test_packing_makes_fewer_sequences() -> None:
    found = of((100,) * 60 + (5000,), packing=True)
    assert (found.sequences, found.tokens) == (3, 6000)  # twenty fit into one; the long row is dropped
    texts = of((100,) * 60, stage="pt")
    assert (texts.sequences, texts.tokens) == (2, 4096)
    two = of((100,) * 60, packing=True, preprocessing_num_workers=7)
    assert two.sequences == 7, "each worker packs its own part"


def test_shards_are_of_almost_one_size() -> None:
    assert [len(part) for part in shards(range(10), 4)] == [3, 3, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ({"save_steps": 4}, (4, 8, 11)), ({"save_steps": 4, "save_total_limit": 2}, (8, 11)),
        ({"save_strategy": "no"}, ()), ({}, (11,)), ({"save_steps": 0.5}, (6, 11)),
        ({"save_strategy": "epoch", "num_train_epochs": 2.0}, (6, 11)),
    ],
)
def test_checkpoints(arguments: dict[str, Any], kept: tuple[int, ...]) -> None:
    """A last one is made in any case (DefaultFlowCallback)."""
    assert kept_checkpoints(subject(**arguments), 11) == kept


def test_disk() -> None:
    """A full training in fp32, as it was seen on the disk: 7,732,512 bytes and 15,489,163 for the states."""
    tiny = {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
            "intermediate_size": 512, "vocab_size": 803, "model_type": "llama", "head_dim": 48}
    full = replace(subject(tiny, finetuning_type="full", max_steps=3), lengths=(10,) * 9)
    found = totals(full)
    assert found is not None
    assert found.model_bytes == pytest.approx(7_732_512, rel=0.01)
    assert found.checkpoint_bytes == pytest.approx(7_732_512 + 15_489_163, rel=0.01)
    assert found.disk == found.model_bytes + found.checkpoint_bytes
    light = totals(full.changed(save_only_model=True))
    assert light is not None and light.checkpoint_bytes == light.model_bytes == found.model_bytes
    adapter = totals(full.changed(finetuning_type="lora"))
    assert adapter is not None and adapter.model_bytes < found.model_bytes / 10
