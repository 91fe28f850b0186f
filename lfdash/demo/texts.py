"""The demo's texts: small facts, sums and habits, put into sentences. Written for this project."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

CAPITALS = {
    "Norway": "Oslo", "Peru": "Lima", "Kenya": "Nairobi", "Japan": "Tokyo", "Chile": "Santiago", "Egypt": "Cairo",
    "Austria": "Vienna", "Canada": "Ottawa", "Ghana": "Accra", "Nepal": "Kathmandu", "Cuba": "Havana",
    "Finland": "Helsinki", "Portugal": "Lisbon", "Iceland": "Reykjavik", "Greece": "Athens", "Poland": "Warsaw",
}
OPPOSITES = {
    "hot": "cold", "early": "late", "full": "empty", "heavy": "light", "open": "closed", "deep": "shallow",
    "loud": "quiet", "rough": "smooth", "wide": "narrow", "young": "old", "dry": "wet", "fast": "slow",
}
TOOLS = {
    "hammer": "drive a nail", "kettle": "boil water", "needle": "sew a button", "ladder": "reach a high shelf",
    "map": "find the way", "lamp": "light a room", "rake": "gather leaves", "spoon": "stir the soup",
}
HABITS = {
    "sleep better": "Go to bed at the same hour and leave the phone in another room.",
    "learn a language": "Read a little every day and speak before you feel ready.",
    "save energy": "Turn off what nobody uses and dry the clothes outside.",
    "remember names": "Say the name aloud once and connect it with a picture.",
    "write clearly": "Put one thought into each sentence and delete the rest.",
    "keep plants alive": "Give them light, and water only when the soil is dry.",
}
ASK_CAPITAL = ("What is the capital of {0}?", "Name the capital of {0}.", "Which city is the capital of {0}?")
ASK_OPPOSITE = ("What is the opposite of {0}?", "Give a word that means the reverse of {0}.")
ASK_TOOL = ("What is a {0} for?", "What do people do with a {0}?")
ASK_SUM = ("What is {0} plus {1}?", "Add {0} and {1}.")
ASK_HABIT = ("How can I {0}?", "Give me one piece of advice: how do I {0}?")


def questions(dice: random.Random) -> Iterator[tuple[str, str, str]]:
    """Endless (question, good answer, poor answer)."""
    while True:
        kind = dice.randrange(5)
        if kind == 0:
            country, city = dice.choice(list(CAPITALS.items()))
            yield dice.choice(ASK_CAPITAL).format(country), f"The capital of {country} is {city}.", "I do not know."
        elif kind == 1:
            word, other = dice.choice(list(OPPOSITES.items()))
            yield dice.choice(ASK_OPPOSITE).format(word), f"The opposite of {word} is {other}.", f"It is {word}."
        elif kind == 2:
            tool, use = dice.choice(list(TOOLS.items()))
            yield dice.choice(ASK_TOOL).format(tool), f"A {tool} is used to {use}.", "It is used for things."
        elif kind == 3:
            a, b = dice.randint(1, 20), dice.randint(1, 20)
            yield dice.choice(ASK_SUM).format(a, b), f"{a} plus {b} is {a + b}.", f"{a} plus {b} is {a + b + 1}."
        else:
            aim, advice = dice.choice(list(HABITS.items()))
            yield dice.choice(ASK_HABIT).format(aim), advice, "That depends."


def take(count: int, seed: int) -> list[tuple[str, str, str]]:
    """So many questions, the same for the same seed."""
    source = questions(random.Random(seed))
    return [next(source) for _ in range(count)]


def instructions() -> list[dict[str, Any]]:
    """alpaca: instruction, input, output."""
    return [{"instruction": asked, "input": "", "output": good} for asked, good, _ in take(600, 1)]


def conversations() -> list[dict[str, Any]]:
    """sharegpt: conversations of two turns."""
    rows = take(400, 2)
    return [
        {"conversations": [turn for asked, good, _ in pair for turn in (said("human", asked), said("gpt", good))]}
        for pair in zip(rows[::2], rows[1::2], strict=True)
    ]


def said(who: str, text: str) -> dict[str, str]:
    return {"from": who, "value": text}


def pairs() -> list[dict[str, Any]]:
    """Preference pairs: the good answer chosen, the poor one rejected."""
    return [
        {"conversations": [said("human", asked)], "chosen": said("gpt", good), "rejected": said("gpt", poor)}
        for asked, good, poor in take(200, 3)
    ]


def judged() -> list[dict[str, Any]]:
    """KTO: one answer and whether it was liked; likes and dislikes alternate."""
    return [
        {"messages": [spoken("user", asked), spoken("assistant", poor if n % 2 else good)], "label": n % 2 == 0}
        for n, (asked, good, poor) in enumerate(take(200, 4))
    ]


def spoken(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def paragraphs() -> list[dict[str, str]]:
    """Plain text: a few answers in a row."""
    rows = take(900, 5)
    return [{"text": " ".join(good for _, good, _ in rows[n : n + 6])} for n in range(0, len(rows), 6)]
