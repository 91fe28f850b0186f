"""A model that is there as far as anybody looks at it; nothing loads it."""

from __future__ import annotations

from pathlib import Path

DEMO = "demo-llama"


def pretend_model(workspace: Path, name: str = DEMO) -> None:
    """Makes the folder of a model, unless it is there."""
    config = workspace / "models" / name / "config.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    if not config.exists():
        config.write_text('{"model_type": "llama"}', encoding="utf-8")
        (config.parent / "model.safetensors").write_bytes(b"0")
