"""What PyTorch's message about a full GPU says: of real logs."""

from __future__ import annotations

import pytest

from lfdash.runs.console import lines_of
from lfdash.runs.out_of_memory import OutOfMemory, moment_of, read
from tests.support import ROOT

LOGS = ROOT / "tests" / "fixtures" / "memory"
GIB = 1 << 30


def log(name: str) -> OutOfMemory:
    found = read(lines_of((LOGS / f"out_of_memory_{name}.txt").read_text(encoding="utf-8")))
    assert found is not None
    return found


def test_a_batch_that_is_too_long_ends_at_its_logits() -> None:
    found = log("batch")
    assert found.moment == "logits" and found.others == () and found.gpu == 0
    sizes = [round(size / GIB, 2) for size in (found.wanted, found.total or 0, found.own or 0, found.allocated or 0)]
    assert sizes == [74.25, 139.8, 84.14, 78.7]
    assert found.foreign < GIB // 10


@pytest.mark.parametrize("name", ["load_gpu_held", "load_zero3_gpu_held"])
def test_a_card_that_others_hold_ends_a_run_while_it_loads(name: str) -> None:
    found = log(name)
    assert found.moment == "loading"
    ((pid, size),) = found.others
    assert pid > 0 and size > 100 * GIB and found.foreign >= size


def test_other_moments_and_messages_without_a_traceback() -> None:
    message = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 512.00 MiB."
    for line, moment in (
        ('  File "torch/optim/adamw.py", line 1, in step', "optimizer"),
        ('  File "torch/autograd/__init__.py", line 1, in backward', "backward"),
        ('  File "transformers/models/qwen2/modeling_qwen2.py", line 1, in forward', "forward"),
    ):
        found = read(["Traceback (most recent call last):", line, message])
        assert found is not None and (found.moment, found.wanted) == (moment, 512 << 20), line
    assert read([message]) == OutOfMemory(512 << 20)
    assert read(["all is well"]) is None
    assert moment_of(["no traceback here, but loss_utils"]) == ""


def test_what_a_container_cannot_see_is_counted_as_others() -> None:
    line = ("CUDA out of memory. Tried to allocate 1.00 GiB. GPU 1 has a total capacity of 80.00 GiB of which 2.00 GiB "
            "is free. Including non-PyTorch memory, this process has 8.00 GiB memory in use.")
    found = read([line])
    assert found is not None and found.foreign == 70 * GIB and found.gpu == 1
