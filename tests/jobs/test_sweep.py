"""Sweeps before anything is run: values, ranges, the grid, names, the file, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.job import JobConfig, new_job
from lfdash.jobs.sweep import KEY, OPTIONS, SETTINGS, Sweep, document, evaluates, parted, read_sweep, with_values
from lfdash.jobs.sweep_values import Dimension, name_of, plain, read_dimension, row_named
from lfdash.jobs.yaml_format import load
from lfdash.locales import available, problem_in

TWO: dict[str, Any] = {"learning_rate": "1e-5, 1e-4, 1e-3", "lora_rank": [8, 16]}


def job(**values: Any) -> JobConfig:
    own = {f"train.{name}": value for name, value in values.items()}
    return JobConfig("train", {**new_job().values, "top.model_path": "models/m", **own})


def read(settings: Any, base: JobConfig | None = None, **options: Any) -> Sweep:
    found = read_sweep({SETTINGS: settings, **options}, base or job())
    assert isinstance(found, Sweep), found
    return found


def refused(settings: Any, base: JobConfig | None = None, **options: Any) -> list[tuple[str | None, str]]:
    found = read_sweep({SETTINGS: settings, **options}, base or job())
    assert isinstance(found, tuple), found
    for code in available():
        assert all("{" not in problem_in(code, one) for one in found)
    return [(one.field, one.code) for one in found]


def dimension(name: str, raw: Any) -> Dimension:
    row = row_named(name)
    assert row is not None
    found = read_dimension(row, raw)
    assert isinstance(found, Dimension), found
    return found


@pytest.mark.parametrize(
    ("name", "raw", "values"),
    [
        ("learning_rate", "1e-5, 5e-5,1e-4", (1e-5, 5e-5, 1e-4)),
        ("learning_rate", ["1e-5", 0.001], (1e-5, 0.001)),
        ("learning_rate", "1e-5..1e-3 log 3", (1e-5, 1e-4, 1e-3)),
        ("lora_dropout", "0..0.2 linear 3", (0.0, 0.1, 0.2)),
        ("lora_dropout", "0..0.2 3", (0.0, 0.1, 0.2)),
        ("lora_rank", "8..64 log 4", (8, 16, 32, 64)),
        ("lora_rank", "1..3 linear 9", (1, 2, 3)),
        ("packing", "true, false", (True, False)),
        ("packing", [True, False], (True, False)),
        ("lr_scheduler_type", "cosine, linear", ("cosine", "linear")),
        ("per_device_train_batch_size", "1, 2", (1, 2)),
        ("batch_size", "1, 2", (1, 2)),
        ("compute_type", "fp32, bf16", ("fp32", "bf16")),
    ],
)
def test_values_of_a_setting(name: str, raw: Any, values: tuple[Any, ...]) -> None:
    found = dimension(name, raw)
    assert found.values == pytest.approx(values) if isinstance(values[0], float) else found.values == values
    assert [type(one) for one in found.values] == [type(one) for one in values]
    assert dimension(name, found.written()) == found


def test_a_range_without_a_number_of_values_is_drawn_from() -> None:
    found = dimension("learning_rate", "1e-5..1e-3 log")
    assert found.continuous and (found.low, found.high, found.log) == (1e-5, 1e-3, True)
    assert dimension("learning_rate", found.written()) == found


@pytest.mark.parametrize(
    ("name", "raw", "code"),
    [
        ("learning_rate", "1e-5", "sweep_one"),
        ("learning_rate", "", "sweep_one"),
        ("learning_rate", "1e-5, 1e-5", "sweep_twice"),
        ("learning_rate", "1e-5, x", "not_number"),
        ("learning_rate", "1e-5, 2", "out_of_range"),
        ("learning_rate", "0..1 log 5", "sweep_range_log"),
        ("learning_rate", "1e-5..2 log 5", "out_of_range"),
        ("learning_rate", "1e-3..1e-5 log 5", "sweep_range_order"),
        ("learning_rate", "1e-5..1e-3 lag 5", "sweep_range_shape"),
        ("learning_rate", "1e-5..1e-3 log 1", "sweep_range_steps"),
        ("lora_rank", "8, 8.5", "not_integer"),
        ("lora_rank", ",".join(map(str, range(1, 102))), "sweep_many_values"),
        ("packing", "1..2 2", "sweep_range_kind"),
        ("lr_scheduler_type", "cosine, sine", "not_a_choice"),
        ("dataset", "a, b", "sweep_not_swept"),
        ("output_dir", "a, b", "sweep_not_swept"),
        ("hf_token", "a, b", "sweep_not_swept"),
        ("gpu_count", "1, 2", "sweep_not_swept"),
    ],
)
def test_what_a_setting_does_not_take(name: str, raw: Any, code: str) -> None:
    row = row_named(name)
    assert row is not None
    assert refused({name: raw}) == [(row.id, code)]


def test_the_grid_its_count_and_its_names() -> None:
    sweep = read(TWO)
    grid = sweep.grid()
    assert sweep.count == len(grid) == 6
    assert [name_of(one.items()) for one in grid] == [
        "lr1e-5_r8", "lr1e-5_r16", "lr1e-4_r8", "lr1e-4_r16", "lr1e-3_r8", "lr1e-3_r16",
    ]
    assert (sweep.parallel, sweep.metric, sweep.direction) == (6, "loss", "minimize")


def test_names_tell_words_and_are_never_taken_twice() -> None:
    words = [("train.packing", True), ("train.lr_scheduler_type", "cosine_with_restarts")]
    values = [*words, ("train.lora_dropout", 0.05)]
    assert name_of(values) == "packing-on_sched-cosine_with_restarts_drop0.05"
    assert name_of(values[:1], {"packing-on", "packing-on_2"}.__contains__) == "packing-on_3"
    assert "/" not in name_of([("top.template", "../x"), ("train.learning_rate", 3.14159e-5)])
    assert name_of([("train.learning_rate", 3.14159e-5)]) == "lr3.14e-5"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-5, "1e-5"), (0.00031622, "3.1622e-4"), (0.05, "0.05"), (16.0, "16"), (0.0, "0"), (1e9, "1e9")],
)
def test_numbers_as_people_write_them(value: float, text: str) -> None:
    assert plain(value) == text and float(text) == pytest.approx(value)


def test_the_job_of_a_trial() -> None:
    sweep = read({"learning_rate": "1e-5, 1e-4"}, seed="varied")
    one = with_values(sweep, job(seed=7), sweep.grid()[1], 3, "lr1e-4")
    args = build_args(one)
    assert (args["learning_rate"], args["seed"], one.run_name) == (1e-4, 10, "lr1e-4")
    assert build_args(with_values(sweep, job(), {}, 3, "a"))["seed"] == 45
    same = with_values(read({"learning_rate": "1e-5, 1e-4"}), job(), {}, 3, "a")
    assert "seed" not in build_args(same)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strategy": "tpe", "trials": 7, "metric": "rewards/accuracies", "parallel": 2, "stop_early": "median"},
        {"strategy": "random", "seed": "varied", "name": "mine", "stop_early": "halving", "after_percent": 0},
    ],
)
def test_the_file_gives_back_the_job_and_the_sweep(options: dict[str, Any]) -> None:
    base = job()
    sweep = read({"learning_rate": "1e-5..1e-3 log 5", "packing": [True, False]}, base, **options)
    args, mapping = parted(load(document(base, sweep, "a comment")).args)
    assert KEY not in args and read_sweep(mapping, job_from_args(args)) == sweep
    assert build_args(job_from_args(args)) == {k: v for k, v in build_args(base).items() if k != "output_dir"}


def test_what_is_filled_in() -> None:
    assert read(TWO, strategy="tpe").count == 20
    assert read(TWO, strategy="tpe").parallel == 1 == read(TWO, stop_early="median").parallel
    assert read(TWO, metric="rewards/accuracies").direction == "maximize"
    evaluating = JobConfig("train", job().values, {"eval_strategy": "steps", "val_size": 0.1})
    assert evaluates(evaluating) and read(TWO, evaluating).metric == "eval_loss"


def test_what_is_wrong_with_a_sweep() -> None:
    assert refused({}) == refused(None) == [(KEY, "sweep_no_setting")]
    assert refused({"no_such": [1, 2]}) == [(KEY, "sweep_unknown")]
    assert refused({"batch_size": [1, 2], "per_device_train_batch_size": [3, 4]}) == [
        ("train.batch_size", "sweep_setting_twice")
    ]
    assert refused(TWO, strategie="grid") == [(KEY, "sweep_key")]
    assert refused(TWO, strategy="all") == [("sweep.strategy", "not_a_choice")]
    assert refused(TWO, trials=4) == [("sweep.trials", "sweep_grid_trials")]
    assert refused({"learning_rate": "1e-5..1e-3"}) == [("train.learning_rate", "sweep_grid_range")]
    many = {"lora_rank": "1..100 100", "lora_alpha": "1..100 100"}
    assert refused(many) == [(KEY, "sweep_many")] and read(many, strategy="random").count == 20
    assert refused({"seed": [1, 2]}, seed="varied") == [("train.seed", "sweep_seed")]
    assert refused(TWO, metric="eval_loss") == [("sweep.metric", "sweep_no_eval")]
    assert refused(TWO, metric="a b") == [("sweep.metric", "sweep_metric")]
    assert refused({"galore_rank": [4, 8]}) == [("train.galore_rank", "sweep_not_applied")]
    further = JobConfig("train", {**job().values, "top.checkpoint_path": ["old"]})
    assert refused({"lora_rank": [4, 8]}, further) == [("train.lora_rank", "sweep_old_adapter")]
    assert read({"learning_rate": [0.1, 0.2]}, further)
    assert read({"lora_rank": [4, 8]}, JobConfig("train", {**further.values, "train.create_new_adapter": True}))


def test_every_option_is_an_attribute() -> None:
    sweep = read(TWO)
    assert all(hasattr(sweep, row.name) for row in OPTIONS)
