"""The closed form beside a dry run of LLaMA-Factory's own code, on models that nobody has published."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import replace

import pytest

from lfdash.memory.estimate import estimate
from lfdash.memory.simulated import from_points, layers_of, payload
from lfdash.memory.subject import Subject
from tests.support import PROGRAMS
from tests.support.generated_jobs import drawn
from tests.support.memory import subject

pytestmark = pytest.mark.train_env
ALLOWED = 0.05  # share by which the two may differ
FEW, MANY = range(12), range(12, 72)
MOST_S = 1200  # 60 jobs took 460 s on two cores at a load of 10


def differences(jobs: dict[int, Subject]) -> dict[int, float]:
    """Seed -> how far the closed form's peak is from the dry run's, as a share."""
    asked = json.dumps([payload(job) for job in jobs.values()])
    program = [sys.executable, str(PROGRAMS / "dry_runs.py")]
    done = subprocess.run(program, input=asked, capture_output=True, text=True, timeout=MOST_S)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {}
    for (seed, job), points in zip(jobs.items(), json.loads(done.stdout), strict=True):
        assert isinstance(points, list), f"{seed}: {points}"
        closed = estimate(job)
        found[seed] = closed.allocated / from_points(job, closed, points).allocated - 1
    return found


def test_they_agree_on_a_dozen() -> None:
    found = differences({seed: drawn(seed) for seed in FEW})
    assert {seed: error for seed, error in found.items() if abs(error) > ALLOWED} == {}


@pytest.mark.slow
def test_they_agree_on_sixty_more() -> None:
    found = differences({seed: drawn(seed) for seed in MANY})
    sizes = sorted(map(abs, found.values()))
    print(f"off by {statistics.median(sizes):.2%} in the median, {sizes[-1]:.2%} at most")
    assert len(found) == 60 and {seed: error for seed, error in found.items() if abs(error) > ALLOWED} == {}


TYPES = [("bfloat16", "fp16"), ("float32", "bf16"), ("float16", "bf16"), ("float16", "fp16"), ("float32", "fp16")]


def test_they_agree_where_weights_are_stored_in_another_type() -> None:
    """LLaMA-Factory loads a model as its config.json says, whatever it trains in."""
    jobs = {}
    for number, (stored, computed) in enumerate(TYPES):
        other = {"bf16": None, computed: True}
        jobs[number] = subject({"num_hidden_layers": 6, "torch_dtype": stored}, **other)
    for number in (0, 1):
        jobs[number + 10] = jobs[number].changed(enable_liger_kernel=True)
        jobs[number + 20] = jobs[number].changed(finetuning_type="freeze", lora_rank=None)
    found = differences(jobs)
    assert {number: error for number, error in found.items() if abs(error) > ALLOWED} == {}
    plain = estimate(subject({"num_hidden_layers": 6, "torch_dtype": "bfloat16"})).allocated
    assert estimate(jobs[0]).allocated > 1.05 * plain and estimate(jobs[1]).allocated > 1.4 * plain
    assert estimate(jobs[3]).allocated == plain


def test_a_reference_model_of_its_own_is_there_in_both() -> None:
    """Of another adapter than LoRA, and of a model that is named."""
    plain = {"num_hidden_layers": 8, "hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 8,
             "num_key_value_heads": 2, "vocab_size": 32000}
    job = subject(plain, stage="dpo", cutoff_len=256)
    jobs = {0: job.changed(finetuning_type="oft"), 1: job.changed(ref_model="a/b"), 2: job}
    assert {seed: error for seed, error in differences(jobs).items() if abs(error) > ALLOWED} == {}


def test_liger_is_put_into_what_llamafactory_puts_it_into() -> None:
    for kind, answer in (("qwen2", True), ("ministral", False)):
        asked = payload(subject({"model_type": kind}, enable_liger_kernel=True))
        assert asked["arguments"]["enable_liger_kernel"] is answer


def test_many_layers_follow_on_a_line() -> None:
    """Two points stand for a model of which all layers are run, too."""
    deep = drawn(1)
    deep = replace(deep, architecture=replace(deep.architecture, layers=14))
    whole = {**payload(deep), "layers": [14]}
    asked = json.dumps([payload(deep), whole])
    done = subprocess.run([sys.executable, str(PROGRAMS / "dry_runs.py")], input=asked, capture_output=True, text=True)
    line, run = (from_points(deep, estimate(deep), points).allocated for points in json.loads(done.stdout))
    assert layers_of(deep) == [4, 8] and line == pytest.approx(run, rel=0.002)


@pytest.mark.parametrize(
    ("arguments", "layers"), [({}, [4, 8]), ({"finetuning_type": "freeze", "freeze_trainable_layers": -6}, [7, 14])]
)
def test_layers_that_are_run(arguments: dict[str, object], layers: list[int]) -> None:
    assert layers_of(subject(**arguments)) == layers
    assert layers_of(subject({"num_hidden_layers": 8})) == [8]
