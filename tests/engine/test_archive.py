"""What is done to runs that are over, and what keeps a folder where it is."""

from __future__ import annotations

from pathlib import Path

from lfdash.engine.archive import naming
from lfdash.outcomes import Refused
from tests.support.runs import launch, over, plan_for


def test_a_run_that_is_over_goes_to_the_trash_as_it_is(workspace: Path) -> None:
    registry, _, handle = over(workspace)
    (handle.paths.root / "adapter.bin").write_text("weights")
    assert registry.archive.discard(handle.run_id) is None
    assert registry.get(handle.run_id) is None and not handle.paths.root.exists()
    (kept,) = (workspace / ".lfdash" / "trash").glob("r1.*")
    assert (kept / "adapter.bin").read_text() == "weights"
    launch(registry, plan_for(workspace))  # the name is free again
    refused = registry.archive.discard(handle.run_id)
    assert isinstance(refused, Refused) and refused.code == "alive"
    assert isinstance(registry.archive.discard("nobody"), Refused)


def test_names_of_folders_in_texts() -> None:
    found = naming("saves/m/lora/r1+x")
    assert found.search("a: saves/m/lora/r1+x\n") and found.search("'saves/m/lora/r1+x'")
    assert not found.search("saves/m/lora/r11x") and not found.search("saves/m/lora/r1+x2")
