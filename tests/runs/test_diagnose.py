"""The diagnosis against real failures and healthy runs (tests/fixtures/failures and console)."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from lfdash.jobs.fields import BY_ID
from lfdash.jobs.job import coerce
from lfdash.runs.console import last_lines
from lfdash.runs.diagnose import LONGEST, SIGNATURES, diagnose, signatures
from tests.support import FIXTURES, ROOT
from tests.support.failure_texts import START, Text, healthy, texts

CONSOLES = FIXTURES / "console"
LOCALES = sorted((ROOT / "lfdash" / "locales").glob("*.toml"))
LISTS = ("issues", "runs", "gpu", "cases")

RECORDED = {
    "bad_dataset": ("unknown_dataset", "nope"),
    "bad_model": ("hub_offline", ""),
    "bf16_cpu": ("bf16", ""),
    "no_package": ("package_missing", "jieba"),
    "string_learning_rate": ("number_as_text", ""),
    "torchrun_fail": ("unknown_dataset", "nope"),
    "unknown_key": ("unknown_argument", "['not_an_arg']"),
}

# lines of healthy runs that speak of failures, as users of other machines have them
HARMLESS = (
    "Installed CUDA version 12.4 does not match the version torch was compiled with 12.6 but since APIs are compatible",
    "Failed to load CPU gemm_4bit_forward from kernels-community: No module named 'kernels'. `pip install kernels`",
    "FlashAttention2 is not installed.",
    "[rank0]:[W1127 08:55:12.921262401 ProcessGroupNCCL.cpp:1250] Warning: process group has NOT been destroyed",
    "`use_cache=True` is incompatible with gradient checkpointing. Setting `use_cache=False`.",
    "[WARNING] async_io requires the dev libaio .so object and headers but these were not found.",
    "node1:34:34 [0] NCCL INFO NET/Plugin: Could not find: libnccl-net.so. Using internal network plugin.",
    "W0306 02:05:41.969000 1403 torch/elastic/api.py:858] Sending process 7 closing signal SIGTERM",
    "huggingface/tokenizers: The current process just got forked, after parallelism has already been used.",
    "Xet Storage is enabled for this repo, but the 'hf_xet' package is not installed. Falling back to regular HTTP",
    "'HTTPSConnectionPool(host='huggingface.co'): Read timed out.' thrown while requesting HEAD; Retrying in 1s",
    "Some weights of the model checkpoint were not used when initializing LlamaForCausalLM: ['score.weight']",
)


@pytest.mark.parametrize("text", [text for name in LISTS for text in texts(name)], ids=lambda text: text.source)
def test_the_cause_that_a_human_gives(text: Text) -> None:
    found = diagnose(text.lines, text.exit_code)
    assert (found.id if found else None) in (text.causes or (None,)), text.why


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_failures(name: str) -> None:
    lines = (CONSOLES / f"failed_{name}.txt").read_text(errors="replace").splitlines()
    found = diagnose(lines, 1)
    assert found is not None
    assert (found.id, found.params["what"]) == RECORDED[name]
    assert any(found.line in line for line in lines)


@pytest.mark.parametrize("path", healthy(), ids=lambda path: path.stem)
@pytest.mark.parametrize("code", [None, 0, 1])
def test_no_alarm_on_healthy_runs(path: Path, code: int | None) -> None:
    assert diagnose(last_lines(path), code) is None


@pytest.mark.parametrize("line", HARMLESS)
def test_no_alarm_on_a_line_of_healthy_runs(line: str) -> None:
    assert diagnose([*START.splitlines(), line], 1) is None
    killed = diagnose([*START.splitlines(), line], -9)
    assert killed is not None and killed.id == "host_memory"


@pytest.mark.parametrize(
    ("code", "cause", "line"),
    [
        (-9, "host_memory", "SIGKILL"),
        (137, "host_memory", "SIGKILL"),
        (-11, "segfault", "SIGSEGV"),
        (139, "segfault", "SIGSEGV"),
        (-7, "bus_error", "SIGBUS"),
        (-6, "aborted", "SIGABRT"),
        (-4, "illegal_instruction", "SIGILL"),
        (-15, "terminated", "SIGTERM"),
        (-1, "hangup", "SIGHUP"),
        (130, "interrupted", "SIGINT"),
    ],
)
def test_a_signal_without_an_exception(code: int, cause: str, line: str) -> None:
    found = diagnose(START.splitlines(), code)
    assert found is not None
    assert (found.id, found.line) == (cause, line)


@pytest.mark.parametrize("code", [0, 1, 2, 128, 255, None])
def test_an_exit_code_that_tells_nothing(code: int | None) -> None:
    assert diagnose(START.splitlines(), code) is None


RANKS = {
    "torchrun": "E1126 api.py:1002] failed (exitcode: -9) local_rank: 1 (pid: 7) of binary: python",
    "its summary": "  exitcode  : -9 (pid: 14061)  (SIGKILL)",
    "accelerate": "subprocess.CalledProcessError: Command '['torchrun', 'x.py']' died with <Signals.SIGKILL: 9>.",
    "deepspeed": "[ERROR] [launch.py:321:sigkill_handler] ['python', '-u', 'x.py'] exits with return code = -9",
    "a shell": "Killed",
    "slurm": "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0.",
    "the kernel": "Out of memory: Killed process 7 (python) total-vm:1kB",
}


@pytest.mark.parametrize("who", RANKS)
def test_a_rank_that_was_killed(who: str) -> None:
    found = diagnose([*START.splitlines(), RANKS[who]], 1)
    assert found is not None
    assert (found.id, found.line) == ("host_memory", RANKS[who].strip())


def test_the_end_of_one_rank_comes_before_what_launchers_do_to_the_others() -> None:
    lines = ["  exitcode  : -15 (pid: 1)  (SIGTERM)", "  exitcode  : -7 (pid: 2)  (SIGBUS)"]
    found = diagnose(lines, 1)
    assert found is not None
    assert found.id == "bus_error"


def test_the_first_rank_speaks_before_others_and_the_launcher() -> None:
    lines = [
        "[rank1]: Traceback (most recent call last):",
        '[rank1]:   File "a.py", line 1, in run',
        "[rank1]: ValueError: Cannot find valid samples",
        "[rank0]: Traceback (most recent call last):",
        '[rank0]:   File "a.py", line 1, in run',
        "[rank0]: ValueError: Template x does not exist.",
        "Traceback (most recent call last):",
        '  File "b.py", line 2, in main',
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:",
    ]
    found = diagnose(lines, 1)
    assert found is not None
    assert (found.id, found.line) == ("no_samples", "ValueError: Cannot find valid samples")


def test_of_one_process_only_the_last_exception_counts() -> None:
    known = ["Traceback (most recent call last):", "ValueError: Template x does not exist."]
    assert diagnose([*known, "it went on", "Traceback (most recent call last):", "LookupError: x"], 1) is None
    found = diagnose([*known, "Traceback (most recent call last):", "ValueError: Cannot find valid samples"], 1)
    assert found is not None
    assert found.id == "no_samples"


def test_only_the_beginning_of_a_line_is_looked_at() -> None:
    head = "Traceback (most recent call last):"
    assert diagnose([head, f"ValueError: {'x' * LONGEST} Template x does not exist."], 1) is None
    assert diagnose([head, f"ValueError: {'x' * 99} Template x does not exist."], 1) is not None


def test_a_rank_that_lost_another_one_gives_way_to_it() -> None:
    lines = [
        "[rank0]: Traceback (most recent call last):",
        "[rank0]: RuntimeError: [gloo/transport/tcp/pair.cc:545] Read error: Connection reset by peer",
    ]
    found = diagnose(lines, 1)
    assert found is not None
    assert found.id == "peer_lost"
    other = ["[rank1]: Traceback (most recent call last):", "[rank1]: ValueError: Template x does not exist."]
    found = diagnose([*lines, *other], 1)
    assert found is not None
    assert found.id == "template"


def test_a_network_error_that_is_this_process_own_is_no_lost_peer() -> None:
    text = "torch.distributed.DistNetworkError: The server socket has failed to listen on any local address. EADDRINUSE"
    found = diagnose(["Traceback (most recent call last):", text], 1)
    assert found is not None
    assert found.id == "port_taken"


def test_what_is_known_besides_counts_where_nothing_was_printed() -> None:
    found = diagnose([], None, "OSError: [Errno 28] No space left on device")
    assert found is not None
    assert found.id == "disk_full"
    printed = ["Traceback (most recent call last):", "LookupError: x"]
    assert diagnose(printed, 1, "OSError: No space left on device") is None


def test_an_exception_whose_traceback_was_cut_off() -> None:
    found = diagnose(['  File "a.py", line 1, in run', "ValueError: Template x does not exist.", "  0%|   | 0/5"], 1)
    assert found is not None
    assert (found.id, found.params["what"]) == ("template", "x")


def test_the_end_of_a_log_of_50_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    line = b"{'loss': '6.7', 'grad_norm': '1.5', 'learning_rate': '5e-05', 'epoch': '0.1'}\n"
    with path.open("wb") as file:
        file.write(b"Traceback (most recent call last):\nValueError: Template old does not exist.\n")
        for _ in range(50):
            file.write(line * (2**20 // len(line)))
        file.write(b"Traceback (most recent call last):\nValueError: Template new does not exist.\n")
    before = time.process_time()
    lines = last_lines(path)
    found = diagnose(lines, 1)
    assert found is not None
    assert found.params["what"] == "new"
    assert sum(map(len, lines)) < 2**20
    assert time.process_time() - before < 3


@pytest.mark.parametrize(("name", "least"), [("held_out", 0.9), ("held_out_2", 0.8)])
def test_what_share_is_told_rightly_and_nothing_wrongly(name: str, least: float) -> None:
    held_out = texts(name)
    assert share(held_out) >= least
    for text in held_out:
        found = diagnose(text.lines, text.exit_code)
        assert found is None or found.id in text.causes, text.source


def share(list_of_texts: Sequence[Text]) -> float:
    """How many of the causes are told rightly."""
    told = [(diagnose(text.lines, text.exit_code), text.causes) for text in list_of_texts]
    return sum(found is not None and found.id in causes for found, causes in told) / len(told)


def test_every_cause_has_a_text_and_every_text_a_cause() -> None:
    for path in LOCALES:
        known = tomllib.loads(path.read_text(encoding="utf-8"))["diagnosis"]
        assert set(known) == {signature.id for signature in signatures(SIGNATURES)}, path.name


def test_every_cure_is_a_value_that_its_field_takes() -> None:
    for signature in signatures(SIGNATURES):
        for field_id, value in signature.fix.items():
            assert coerce(BY_ID[field_id], value).status == "kept", signature.id


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("Using 4-bit quantization requires the latest version of bitsandbytes: `pip install -U bitsandbytes`",
         "bitsandbytes"),
        ("You need to install the latest version of `galore_torch` in order to use it. Run `pip install galore-torch`.",
         "galore_torch"),
        ("This requires an up to date version of peft: `pip install -U peft`", "peft"),
        ("It requires the following packages that were not found in your environment: einops. Run `pip install x`",
         "einops"),
        ("Serving requires at least vllm 0.5: `pip install vllm`", "vllm"),
        ("8-bit quantization requires Accelerate: `pip install 'accelerate>=0.26.0'`", "Accelerate"),
    ],
)
def test_a_missing_package_is_named_not_a_word_before_it(line: str, package: str) -> None:
    found = diagnose([f"ImportError: {line}"], 1)
    assert found is not None and (found.id, found.params["what"]) == ("package_missing", package)


@pytest.mark.parametrize(
    ("word", "cause"),
    [
        ("TIMEOUT (TimeLimit)", "slurm_time"), ("OUT_OF_MEMORY (OutOfMemory)", "slurm_memory"),
        ("NODE_FAIL", "slurm_node"), ("PREEMPTED", "slurm_preempted"), ("FAILED (NonZeroExitCode): x", "slurm_ended"),
    ],
)
def test_what_slurm_says_of_a_run_that_wrote_no_end(word: str, cause: str) -> None:
    """Where the run itself says nothing."""
    found = diagnose(["{'loss': '1.0'}"], None, f"Slurm: {word}")
    assert found is not None and found.id == cause
    own = ["Traceback (most recent call last):", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"]
    found = diagnose(own, None, f"Slurm: {word}")
    assert found is not None and found.id == "gpu_memory"


DIED = "Job supervisor actor died: The actor died unexpectedly before finishing this task. The actor"


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("FAILED (Task was killed due to the node running low on memory)", "ray_memory"),
        (f"FAILED ({DIED} died because its node has died. Node Id: 1 health check failed)", "ray_node"),
        ("FAILED (Job supervisor actor failed to start within 900.0 seconds)", "ray_no_place"),
        ("FAILED (Job supervisor actor could not be scheduled: x)", "ray_no_place"),
        (f"FAILED ({DIED} is dead because its worker process has died)", "ray_supervisor"),
        ("FAILED (Unexpected error occurred: failed to get job supervisor)", "ray_supervisor"),
        ("FAILED (Job entrypoint command failed with exit code 137)", "ray_ended"), ("STOPPED", "ray_ended"),
    ],
)
def test_what_ray_says_of_a_run_that_wrote_no_end(said: str, cause: str) -> None:
    """Where the run itself says nothing."""
    found = diagnose(["{'loss': '1.0'}"], None, f"Ray: {said}")
    assert found is not None and found.id == cause
    own = ["Traceback (most recent call last):", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"]
    found = diagnose(own, None, f"Ray: {said}")
    assert found is not None and found.id == "gpu_memory"


@pytest.mark.parametrize("words", ["", "Slurm: FAILED (NonZeroExitCode): ", "Ray: FAILED (exit code 1): "])
def test_a_setup_that_fails_is_told_with_its_line(words: str) -> None:
    found = diagnose([], None, f"{words}lfdash: setup line failed (exit code 127): conda activate lf (ours)")
    assert found is not None and (found.id, found.params["what"]) == ("setup_line", "conda activate lf (ours)")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("Ray: there were no 3 nodes with CPU 8, GPU 4 each within 900 s; the cluster has 2 nodes", "ray_no_place"),
        ("Ray: a node's part is lost: NodeDiedError: x", "ray_node"),
        ("Ray: a node's part is lost: WorkerCrashedError: x", "ray_part"),
        ("Ray: /usr/bin/python3 has no ray; several nodes need a python3 in PATH that has the cluster's", "ray_no_ray"),
    ],
)
def test_what_is_printed_where_the_nodes_of_ray_fail(line: str, cause: str) -> None:
    found = diagnose([line], 1)
    assert found is not None and found.id == cause
