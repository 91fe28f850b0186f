"""What is said in a chat, as values, and as LLaMA-Factory's API takes it. Pure.

Source of what the API takes: llamafactory/api/protocol.py and api/chat.py of 0.9.5. `presence_penalty` is what it
hands on as the repetition penalty; there is no seed; `stop` is not heeded by the Hugging Face engine; answers with
tools are not streamed; a stream tells no numbers of tokens.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lfdash.outcomes import Problem

MEDIA = ("image", "video", "audio")
# the types whose data the API takes (api/chat.py); everything else it would take for a file or an address
TYPES: Mapping[str, tuple[str, ...]] = {
    "image": ("png", "jpg", "jpeg", "gif", "bmp"), "video": ("mp4", "mkv", "avi", "mov"),
    "audio": ("mpeg", "mp3", "wav", "ogg"),
}
THOUGHT = re.compile(r"\A\s*<think>(.*?)(?:</think>|\Z)", re.DOTALL)  # template.py, thought_words of most templates


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn. None: as the chat was started. temperature: 0 takes the likeliest token each time, so
    that the same prompt has the same answer. repetition_penalty: 1 changes nothing."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    repetition_penalty: float | None = None


AS_STARTED = Sampling()
# field -> smallest and largest value, and whether it is a whole number
LIMITS: Mapping[str, tuple[float, float, bool]] = {
    "temperature": (0.0, 10.0, False), "top_p": (0.01, 1.0, False), "max_tokens": (1, 131072, True),
    "repetition_penalty": (0.1, 10.0, False),
}


@dataclass(frozen=True)
class Medium:
    """A picture, a video or a sound of a prompt. url: its data, `data:image/png;base64,...`."""

    kind: Literal["image", "video", "audio"]
    name: str
    url: str


@dataclass(frozen=True)
class Said:
    """One side's words. role: "user", "assistant", "tool" (a result that the model asked for)."""

    role: Literal["user", "assistant", "tool"]
    text: str
    media: tuple[Medium, ...] = ()
    tool_calls: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Question:
    """What a model is asked: what was said so far, the last of it by the user."""

    said: tuple[Said, ...]
    system: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    sampling: Sampling = AS_STARTED
    counted: bool = False  # the answer comes as a whole, with its numbers of tokens


def sampling_problems(sampling: Sampling) -> tuple[Problem, ...]:
    """The values that no answer can be drawn with, by the name of their field."""
    found = []
    for name, (low, high, whole) in LIMITS.items():
        value = getattr(sampling, name)
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or (whole and value != int(value)):
            found.append(Problem(name, "not_integer" if whole else "not_number", {"value": value}))
        elif not low <= value <= high:
            found.append(Problem(name, "out_of_range", {"value": value, "min": f"{low:g}", "max": f"{high:g}"}))
    return tuple(found)


def read_tools(text: str) -> tuple[Mapping[str, Any], ...] | Problem:
    """The tools that a typed text lists: a JSON list of functions, each with name, description and parameters, bare or
    as OpenAI writes them. "" is none. A Problem says what is wrong with it."""
    if not text.strip():
        return ()
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Problem("tools", "tools_json", {"reason": str(error)})
    if not isinstance(listed, list):
        return Problem("tools", "tools_list")
    found = []
    for number, item in enumerate(listed, 1):
        tool = item.get("function", item) if isinstance(item, dict) else None
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str) or not tool["name"]:
            return Problem("tools", "tools_name", {"number": number})
        parameters = tool.get("parameters", {})
        if not isinstance(parameters, dict) or not isinstance(tool.get("description", ""), str):
            return Problem("tools", "tools_shape", {"number": number, "name": tool["name"]})
        found.append({"name": tool["name"], "description": tool.get("description", ""), "parameters": parameters})
    return tuple(found)


def medium_type(kind: str, subtype: str) -> str | None:
    """The type under which the API takes data of a file's type (`x-matroska`); None when it does not."""
    known = {"x-matroska": "mkv", "x-msvideo": "avi", "quicktime": "mov", "x-wav": "wav", "wave": "wav",
             "x-ms-bmp": "bmp", "vorbis": "ogg"}
    name = known.get(subtype.lower(), subtype.lower())
    return name if name in TYPES.get(kind, ()) else None


def request_body(question: Question, model: str) -> dict[str, Any]:
    """The JSON of POST /v1/chat/completions. model: any name, the API has only one."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": question.system}] if question.system else []
    messages += [message(said) for said in question.said]
    drawn = question.sampling
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": not (question.tools or question.counted)}
    if question.tools:
        body["tools"] = [{"type": "function", "function": dict(tool)} for tool in question.tools]
    given = {
        "temperature": drawn.temperature, "top_p": drawn.top_p, "max_tokens": drawn.max_tokens,
        "presence_penalty": drawn.repetition_penalty,
    }
    body |= {name: value for name, value in given.items() if value is not None}
    if drawn.temperature == 0:
        body["do_sample"] = False
    return body


def message(said: Said) -> dict[str, Any]:
    """One side's words as the API takes them."""
    if said.tool_calls:
        calls = [
            {"id": f"call_{number}", "type": "function", "function": dict(call)}
            for number, call in enumerate(said.tool_calls)
        ]
        return {"role": said.role, "content": said.text or None, "tool_calls": calls}
    if not said.media:
        return {"role": said.role, "content": said.text}
    parts: list[dict[str, Any]] = [
        {"type": f"{medium.kind}_url", f"{medium.kind}_url": {"url": medium.url}} for medium in said.media
    ]
    return {"role": said.role, "content": [*parts, {"type": "text", "text": said.text}]}


def parted(text: str) -> tuple[str, str]:
    """(what the model thought, what it answered): thinking stands between <think> and </think> at the beginning; one
    that has not ended yet is all thinking."""
    found = THOUGHT.match(text)
    return (found[1].strip(), text[found.end() :].lstrip()) if found else ("", text)


def row_of(said: Sequence[Said], system: str = "", tools: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """A conversation as a row in the sharegpt format (data/README.md of LLaMA-Factory): without what the model thought,
    which its template adds where it is wanted. Media stand beside it, by `media_of`."""
    turns = {"user": "human", "assistant": "gpt", "tool": "observation"}
    rows = []
    for one in said:
        if one.tool_calls:
            calls = [{"name": call["name"], "arguments": arguments(call)} for call in one.tool_calls]
            rows.append({"from": "function_call", "value": json.dumps(calls, ensure_ascii=False)})
        else:
            marks = "".join(f"<{medium.kind}>" for medium in one.media)
            text = parted(one.text)[1] if one.role == "assistant" else one.text
            rows.append({"from": turns[one.role], "value": marks + text})
    row: dict[str, Any] = {"conversations": rows}
    if system:
        row["system"] = system
    listed = [dict(tool) for tool in tools]
    if listed:
        row["tools"] = json.dumps(listed, ensure_ascii=False)
    return row


def arguments(call: Mapping[str, Any]) -> Any:
    """The arguments of a tool call as data; the text itself where it is no JSON."""
    try:
        return json.loads(call.get("arguments") or "{}")
    except ValueError:
        return call.get("arguments")
