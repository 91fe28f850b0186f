"""Tracebacks in a console log: chains, ranks, launchers, and what is no failure."""

from __future__ import annotations

from lfdash.runs.tracebacks import Raised, bare, failures

HEAD = "Traceback (most recent call last):"
FRAME = '  File "a.py", line 1, in run'


def lines(*texts: str) -> list[str]:
    """Lines of texts that may hold several."""
    return [line for text in texts for line in text.split("\n")]


def kinds(printed: list[str]) -> list[tuple[str | None, list[str]]]:
    """(process, exceptions' lines) of all failures."""
    return [(failure.process, [raised.line for raised in failure.raised]) for failure in failures(printed)]


def test_the_newest_exception_of_a_chain_comes_first() -> None:
    link = "During handling of the above exception, another exception occurred:"
    cause = "The above exception was the direct cause of the following exception:"
    first, second = (HEAD, FRAME, "KeyError: 'a'"), (HEAD, FRAME, "ValueError: b")
    printed = lines(*first, "", link, "", *second, "", cause, "", HEAD, FRAME, "E: c")
    assert kinds(printed) == [(None, ["E: c", "ValueError: b", "KeyError: 'a'"])]


def test_tracebacks_without_a_link_are_failures_of_their_own() -> None:
    assert kinds(lines(HEAD, FRAME, "A: 1", HEAD, FRAME, "B: 2")) == [(None, ["A: 1"]), (None, ["B: 2"])]


def test_ranks_write_at_the_same_time() -> None:
    printed = [
        f"[rank1]: {HEAD}", f"[rank0]: {HEAD}", f"[rank1]: {FRAME}", f"[rank0]: {FRAME}",
        "[rank1]: ValueError: a", "[rank0]: ValueError: b", "[rank1]: more",
    ]
    assert kinds(printed) == [("1", ["ValueError: a"]), ("0", ["ValueError: b"])]
    assert failures(printed)[0].raised[0].message == ("more",)


def test_other_ways_to_name_a_process() -> None:
    for prefix, process in (("[default3]:", "3"), ("10.0.0.7: ", "10.0.0.7"), ("12: ", "12")):
        printed = [f"{prefix}{text}" for text in (HEAD, FRAME, "ValueError: a")]
        assert kinds(printed) == [(process, ["ValueError: a"])]


def test_launchers_only_pass_it_on() -> None:
    child = "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: "
    command = "subprocess.CalledProcessError: Command '['torchrun', '--nnodes', '1']' returned non-zero exit status 1."
    assert kinds(lines(HEAD, FRAME, child, "=" * 20, "x.py FAILED", HEAD, FRAME, command)) == []
    compiler = "subprocess.CalledProcessError: Command '['which', 'c++']' returned non-zero exit status 1."
    assert kinds(lines(HEAD, FRAME, compiler)) == [(None, [compiler])]


def test_what_was_ignored_while_the_interpreter_ended() -> None:
    ignored = "Exception ignored in: <function A.__del__ at 0x7f>"
    printed = lines(HEAD, FRAME, "ValueError: a", ignored, HEAD, FRAME, "AttributeError: b")
    assert kinds(printed) == [(None, ["ValueError: a"])]
    assert failures(printed)[0].raised[0].message == ()


def test_a_worker_that_reports_an_exception_in_a_message() -> None:
    printed = lines(HEAD, FRAME, "KeyError: Caught KeyError in worker 0.", f"Original {HEAD}", FRAME, "KeyError: 'x'")
    assert kinds(printed) == [(None, ["KeyError: 'x'", "KeyError: Caught KeyError in worker 0."])]


def test_a_message_ends_where_other_lines_begin() -> None:
    others = ("[INFO|2026] a", "[WARNING|2026] a", "{'loss': 1}", "  1%|  | 1/2", "W1126 10:00", "=====", "2026-01-01")
    for other in others:
        printed = lines(HEAD, FRAME, "OSError: gated", "", "Visit x.", other, "y")
        assert failures(printed)[0].raised == (Raised("OSError: gated", ("Visit x.",), (FRAME,)),)


def test_a_progress_bar_before_the_head_and_the_frame_that_rich_draws() -> None:
    assert kinds([f"  0%|   | 0/5 [00:00<?, ?it/s]{HEAD}", FRAME, "A: 1"]) == [(None, ["A: 1"])]
    assert kinds([f"  0%|   | 0/5[rank1]: {HEAD}", f"[rank1]: {FRAME}", "[rank1]: A: 1"]) == [("1", ["A: 1"])]
    rich = ["╭──── Traceback (most recent call last) ────╮", "│ x.py:1 in f │", "╰─────╯", "RuntimeError: a"]
    assert kinds(rich) == [(None, ["RuntimeError: a"])]


def test_the_frames_of_an_exception() -> None:
    failure = failures(lines(HEAD, FRAME, "    run()", "ValueError: a"))[0]
    assert failure.raised[0].frames == (FRAME, "    run()")
    assert failure.place == 3
    second = failures(lines(HEAD, FRAME, "A: 1", HEAD, "  File b", "B: 2"))[1]
    assert second.raised[0].frames == ("  File b",)


def test_no_traceback_no_failure() -> None:
    assert failures(["ValueError: a", "wandb: x", FRAME]) == []


def test_exceptions_without_heads() -> None:
    printed = [FRAME, "torch.OutOfMemoryError: a", "b", "[INFO|x] c", "ValueError", "Warning: d", "llamafactory: e"]
    memory, value = Raised("torch.OutOfMemoryError: a", ("b",)), Raised("ValueError", ("Warning: d", "llamafactory: e"))
    assert bare(printed) == [memory, value]
    assert bare(["ValueError: a", *["x"] * 99]) == []
