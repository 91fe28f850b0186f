"""What is known of secrets: typed ones and those of the environment, by variable."""

from __future__ import annotations

import pytest

from lfdash.workspace.secret_store import NAMES, SecretStore

TYPED, INHERITED = "typed-0123456789", "inherited-0123456789"


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> SecretStore:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOME_API_KEY", INHERITED)
    return SecretStore()


def test_typed_wins_over_inherited(vault: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vault.get("HF_TOKEN") == ""
    monkeypatch.setenv("HF_TOKEN", INHERITED)
    assert vault.get("HF_TOKEN") == INHERITED
    vault.put("HF_TOKEN", TYPED)
    assert vault.get("HF_TOKEN") == TYPED
    vault.put("HF_TOKEN", "")
    assert vault.get("HF_TOKEN") == INHERITED


def test_both_are_taken_out_of_texts_also_after_they_were_forgotten(vault: SecretStore) -> None:
    vault.put("HF_TOKEN", TYPED)
    vault.put("HF_TOKEN", "another-0123456789")
    vault.put("HF_TOKEN", "")
    told = vault.redactor()(f"{TYPED} another-0123456789 {INHERITED}")
    assert told == "•••HF_TOKEN •••HF_TOKEN •••SOME_API_KEY"


def test_a_plan_with_a_secret_in_it_is_noticed(vault: SecretStore) -> None:
    vault.put("HF_TOKEN", TYPED)
    assert vault.found_in(["a: 1\n", f"b: {TYPED}"]) == "HF_TOKEN"
    assert vault.found_in([f"x{INHERITED}x"]) == "SOME_API_KEY"
    assert vault.found_in(["nothing"]) == ""
    vault.put("WANDB_API_KEY", "lora")  # too short to be told from a word
    assert vault.found_in(["finetuning_type: lora"]) == ""
