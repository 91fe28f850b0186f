"""One field for a model: what a text means, what is near a name that nothing is known of, what the list says."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfdash.engine import models
from lfdash.engine.models import Chosen, Offer
from lfdash.engine.services import Services, find_project


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    """A workspace with a model of its own, one that is a copy of a listed one, a folder without weights."""
    services = Services(find_project(), tmp_path_factory.mktemp("models") / "ws")
    for name in ("models/own", "exports/Qwen2.5-7B-Instruct", "models/empty", "loose"):
        folder = services.workspace.root / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        if "empty" not in name:
            (folder / "model.safetensors").write_bytes(b"x" * 2_500_000)
    return services


SMALL = "Qwen2.5-0.5B-Instruct"


@pytest.mark.parametrize("typed", [SMALL, SMALL.lower(), " Qwen2.5 - 0.5B-Instruct ", SMALL.upper()])
def test_a_listed_name_is_that_model_in_whatever_case_and_spaces(services: Services, typed: str) -> None:
    assert models.read(services, typed) == Chosen(SMALL, "Qwen/Qwen2.5-0.5B-Instruct", "qwen")
    assert models.read(services, typed, "modelscope").path == services.upstream.models[SMALL].paths["modelscope"]


@pytest.mark.parametrize("typed", ["Qwen3-0.7B", "Qwen2.5-0.5B-Instruc", "qwen small", "Custom", "7B", "empty", ""])
def test_a_name_that_nothing_is_known_of_has_no_path(services: Services, typed: str) -> None:
    assert models.read(services, typed) == Chosen(typed)


@pytest.mark.parametrize(
    ("typed", "name", "path"),
    [
        ("Qwen3-0.6B", "Qwen3-0.6B-Thinking", "Qwen/Qwen3-0.6B"),
        ("gemma-3-4b-it", "Gemma-3-4B-Instruct", "google/gemma-3-4b-it"),
        ("meta-llama-3-8b-instruct", "Llama-3-8B-Instruct", "meta-llama/Meta-Llama-3-8B-Instruct"),
    ],
)
def test_the_name_of_a_repository_is_that_of_its_model(services: Services, typed: str, name: str, path: str) -> None:
    chosen = models.read(services, typed)
    assert (chosen.name, chosen.path) == (name, path)


@pytest.mark.parametrize(
    ("typed", "name", "template"),
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", SMALL, "qwen"), ("org/name", "", ""), ("/disk/model", "", ""), ("./own", "", ""),
        ("/disk/Qwen2.5-0.5B-Instruct", "", "qwen"), ("models/own", "", ""), ("loose", "", ""), ("../up", "", ""),
        ("someone/Qwen2.5-0.5B-Instruct/", "", "qwen"), ("/hub/models/Qwen/Qwen2___5-0___5B-Instruct", "", "qwen"),
        ("/home/me/qwen2_5-0_5b-instruct", "", "qwen"),
    ],
)
def test_a_path_or_hub_id_is_taken_as_it_is(services: Services, typed: str, name: str, template: str) -> None:
    assert models.read(services, f" {typed} ") == Chosen(name, typed, template)


def test_a_model_of_the_workspace_may_be_called_by_its_folder(services: Services) -> None:
    assert models.read(services, "OWN") == Chosen("", "models/own")
    found = models.read(services, SMALL.replace("0.5B", "7B"))
    assert found.path == "Qwen/Qwen2.5-7B-Instruct", "a listed name is the listed model, whatever lies in the workspace"


@pytest.mark.parametrize("name", ["Qwen3-0.6B-Thinking", "Qwen/Qwen3-Next-80B-A3B-Thinking"])
def test_every_name_of_the_list_is_read_as_itself_and_shown_again(services: Services, name: str) -> None:
    found = models.read(services, name)
    assert found.name == name and models.shown(services, found.name, found.path) == name


def test_all_of_the_list_are_read_as_themselves(services: Services) -> None:
    for name in services.upstream.models:
        found = models.read(services, name)
        assert (found.name, models.shown(services, found.name, found.path)) == (name, name)


@pytest.mark.parametrize(
    ("name", "path", "shown"),
    [
        (SMALL, "Qwen/Qwen2.5-0.5B-Instruct", SMALL), (SMALL, "/disk/x", "/disk/x"), ("", "org/x", "org/x"),
        ("", "", ""),
        ("Custom", "", ""), ("Custom", "models/own", "models/own"), ("Qwen3-0.6B", "", "Qwen3-0.6B"),
        ("mine", "Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct"),
    ],
)
def test_the_name_is_shown_where_the_path_is_that_models(services: Services, name: str, path: str, shown: str) -> None:
    assert models.shown(services, name, path) == shown


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("Qwen3-0.6B", "Qwen3-0.6B-Base"), ("qwen 2.5 0.5b instruct", SMALL), ("Lama-3-8B", "Llama-3-8B"),
        ("ownn", "models/own"), ("Qwen/Qwen2.5-0.5B-Instrct", SMALL),
    ],
)
def test_near_names_are_offered_the_likeliest_first(services: Services, typed: str, first: str) -> None:
    found = models.near(services, typed)
    assert found[0] == first and len(found) <= models.NEAR


def test_a_small_model_is_found_by_that_word(services: Services) -> None:
    found = models.near(services, "qwen small")
    offers = {offer.value: offer for offer in models.offered(services)}
    assert len(found) == models.NEAR and all("qwen" in name.casefold() and offers[name].small for name in found)


def test_nothing_is_near_what_is_far(services: Services) -> None:
    assert models.near(services, "") == models.near(services, "~~") == models.near(services, "zzzzzzzzzz") == []


def test_the_list_begins_with_what_was_used_and_what_lies_here(services: Services) -> None:
    offers = models.offered(services, ["org/name-3B", "models/own"])
    assert offers[:3] == [
        Offer("org/name-3B", "3B"), Offer("models/own", "2.5 MB"), Offer("exports/Qwen2.5-7B-Instruct", "7B", "qwen"),
    ]
    assert [offer.value for offer in offers[3:]] == list(services.upstream.models)
    values = [offer.value for offer in offers]
    assert len(values) == len(set(values)) and offers[values.index(SMALL)] == Offer(SMALL, "0.5B", "qwen", True)


@pytest.mark.parametrize(
    ("name", "size", "billions"),
    [
        ("Qwen2.5-0.5B", "0.5B", 0.5), ("BLOOM-560M", "560M", 0.56), ("Mixtral-8x7B-v0.1", "8x7B", 56.0),
        ("a/b-70b", "70B", 70.0),
        ("Qwen3-30B-A3B-Thinking", "30B", 30.0), ("Gemma-3n-E2B", "2B", 2.0), ("GPT-2-XL", "", 0.0), ("v1.5", "", 0.0),
        ("Yi-1.5-9B", "9B", 9.0), ("7Bits", "", 0.0),
    ],
)
def test_a_name_says_how_large_its_model_is(name: str, size: str, billions: float) -> None:
    found = models.parameters(name)
    assert found[0] == size and found[1] == pytest.approx(billions)


@pytest.mark.parametrize(("size", "text"), [(13_240_000_000, "13.2 GB"), (2_500_000, "2.5 MB"), (500, "0.5 kB")])
def test_files_have_a_size_in_words(size: int, text: str) -> None:
    assert models.bytes_text(size) == text


def test_a_folder_that_cannot_be_read_has_no_models(tmp_path: Path) -> None:
    assert models.folders(tmp_path / "absent") == []
