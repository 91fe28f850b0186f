"""What is sent to a chat, what is typed for it, and what is kept of what was said. Pure."""

from __future__ import annotations

import json

import pytest

from lfdash.engine.chat.client import Failed, Piece, Whole, detail, streamed, whole
from lfdash.engine.chat.connection import Connection
from lfdash.engine.chat.conversation import Answer, Conversation, Turn, settled, title_of
from lfdash.engine.chat.messages import (
    Medium,
    Question,
    Said,
    Sampling,
    medium_type,
    parted,
    read_tools,
    request_body,
    row_of,
    sampling_problems,
)
from lfdash.engine.chat.snippets import curl, python
from lfdash.outcomes import Problem

PICTURE = Medium("image", "a.png", "data:image/png;base64,AAAA")


def test_a_request_has_only_what_is_given() -> None:
    body = request_body(Question((Said("user", "Hi"),)), "m")
    assert body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


def test_a_request_says_the_penalty_as_the_api_takes_it() -> None:
    drawn = Sampling(temperature=0, top_p=0.5, max_tokens=7, repetition_penalty=1.2)
    body = request_body(Question((Said("user", "Hi"),), system="Be kind.", sampling=drawn), "m")
    assert body["messages"][0] == {"role": "system", "content": "Be kind."}
    assert (body["presence_penalty"], body["max_tokens"], body["do_sample"]) == (1.2, 7, False)


def test_tools_and_counted_answers_are_not_streamed() -> None:
    tools = read_tools('[{"name": "f", "description": "d", "parameters": {"type": "object"}}]')
    assert isinstance(tools, tuple)
    body = request_body(Question((Said("user", "Hi"),), tools=tools), "m")
    assert body["stream"] is False and body["tools"][0]["function"]["name"] == "f"
    assert request_body(Question((Said("user", "Hi"),), counted=True), "m")["stream"] is False


def test_media_stand_before_the_text() -> None:
    (message,) = request_body(Question((Said("user", "What is it?", (PICTURE,)),)), "m")["messages"]
    assert [part["type"] for part in message["content"]] == ["image_url", "text"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "tools_json"), ("{}", "tools_list"), ("[1]", "tools_name"), ('[{"name": ""}]', "tools_name"),
        ('[{"name": "f", "parameters": []}]', "tools_shape"), ("[" * 100_000, "tools_json"),
    ],
)
def test_tools_that_are_none_are_told(text: str, code: str) -> None:
    found = read_tools(text)
    assert isinstance(found, Problem) and found.code == code


def test_tools_may_be_written_as_openai_does() -> None:
    found = read_tools('[{"type": "function", "function": {"name": "f"}}]')
    assert found == ({"name": "f", "description": "", "parameters": {}},)
    assert read_tools(" ") == ()


@pytest.mark.parametrize(
    ("sampling", "codes"),
    [
        (Sampling(), []), (Sampling(temperature=0, top_p=1, max_tokens=1), []),
        (Sampling(temperature=-0.1), ["out_of_range"]), (Sampling(temperature=float("nan")), ["not_number"]),
        (Sampling(top_p=0), ["out_of_range"]), (Sampling(max_tokens=0), ["out_of_range"]),
        (Sampling(max_tokens=1.5), ["not_integer"]),  # type: ignore[arg-type]
        (Sampling(repetition_penalty=11), ["out_of_range"]),
    ],
)
def test_values_that_draw_nothing_are_told(sampling: Sampling, codes: list[str]) -> None:
    assert [problem.code for problem in sampling_problems(sampling)] == codes


@pytest.mark.parametrize(
    ("kind", "subtype", "name"),
    [("image", "PNG", "png"), ("image", "webp", None), ("video", "quicktime", "mov"), ("audio", "x-wav", "wav"),
     ("text", "html", None), ("image", "svg+xml", None)],
)
def test_only_types_that_the_api_takes_are_sent(kind: str, subtype: str, name: str | None) -> None:
    assert medium_type(kind, subtype) == name


@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("Yes.", "", "Yes."), ("<think>hm</think>\n\nYes.", "hm", "Yes."), ("<think>hm", "hm", ""),
        ("A <think> B", "", "A <think> B"),
    ],
)
def test_thinking_is_parted(text: str, thought: str, said: str) -> None:
    assert parted(text) == (thought, said)


def line(content: str | None = None, finish: str | None = None) -> str:
    return "data: " + json.dumps({"choices": [{"delta": {"content": content}, "finish_reason": finish}]})


def test_a_stream_is_read_piece_by_piece() -> None:
    lines = [line(""), ": ping", "", line("a"), line("b"), line(None, "stop"), "data: [DONE]", line("late")]
    assert list(streamed(iter(lines))) == [Piece("a"), Piece("b"), Whole("stop")]


@pytest.mark.parametrize("last", ["data: {", "data: 1", 'data: {"choices": []}', 'data: {"choices": [3]}'])
def test_a_stream_that_breaks_or_ends_early_fails(last: str) -> None:
    assert isinstance(list(streamed(iter([line("a"), last])))[-1], Failed)
    assert list(streamed(iter([line("a")]))) == [Piece("a"), Failed(200, "")]


def test_a_whole_answer_tells_its_tokens_and_calls() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": "{}"}}
    body = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 5}}
    assert list(whole(json.dumps(body))) == [Whole("tool_calls", 3, 5, ({"name": "f", "arguments": "{}"},))]
    assert isinstance(next(whole("<html>")), Failed)


def test_a_refusal_says_its_reason() -> None:
    assert detail('{"detail": "Invalid API key."}') == "Invalid API key."
    assert detail("<html>") == "<html>"


def test_a_chat_hears_only_what_it_has_said_itself() -> None:
    ours = Answer("a", "a", state="done", text="<think>x</think>A1")
    first = Turn("1", answers=(ours, Answer("b", "b", state="failed")))
    row = Turn("row", answers=(Answer("a", "a", state="done", text="R"),), alone=True)
    talk = Conversation("0" * 12, turns=(first, row, Turn("2", answers=(Answer("a", "a"), Answer("b", "b")))))
    assert [said.text for said in talk.said_to("a", 2)] == ["1", "A1", "2"]
    assert [said.text for said in talk.said_to("b", 2)] == ["2"]
    assert [said.text for said in talk.said_to("a", 1)] == ["row"]


def test_an_answer_that_was_coming_when_its_process_ended_was_cut() -> None:
    talk = Conversation("0" * 12, turns=(Turn("1", answers=(Answer("a", "a", state="asking", text="A"),)),))
    (answer,) = settled(talk).turns[0].answers
    assert (answer.state, answer.code, answer.text) == ("failed", "chat_cut", "A")


def test_a_row_is_what_llamafactory_reads() -> None:
    call = {"name": "f", "arguments": '{"x": 1}'}
    said = [Said("user", "Look", (PICTURE,)), Said("assistant", "", tool_calls=(call,)), Said("tool", "7"),
            Said("assistant", "<think>no</think>Seven.")]
    row = row_of(said, "S", [{"name": "f"}])
    assert [turn["from"] for turn in row["conversations"]] == ["human", "function_call", "observation", "gpt"]
    assert row["conversations"][0]["value"] == "<image>Look" and row["conversations"][3]["value"] == "Seven."
    assert json.loads(row["conversations"][1]["value"]) == [{"name": "f", "arguments": {"x": 1}}]
    assert (row["system"], json.loads(row["tools"])) == ("S", [{"name": "f"}])


def test_a_title_is_one_short_line() -> None:
    assert title_of("a\n b") == "a b" and len(title_of("x" * 200)) == 60


def test_snippets_have_the_key_only_when_it_is_asked_for() -> None:
    connection = Connection("r", 1, 20_000, "secret-key")
    for make in (curl, python):
        assert "secret-key" not in make(connection) and "secret-key" in make(connection, "secret-key")
        assert "http://127.0.0.1:20000/v1" in make(connection)
    assert "secret-key" not in repr(connection)
