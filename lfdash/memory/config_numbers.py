"""The numbers of a model's config.json: under which keys they stand, and which no model has. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Keys that models give the same number under (transformers/models/*/configuration_*.py).
KEYS: Mapping[str, tuple[str, ...]] = {
    "hidden": ("hidden_size", "n_embd", "d_model", "dim"),
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "vocabulary": ("vocab_size", "padded_vocab_size"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "kv_heads": ("num_key_value_heads", "multi_query_group_num", "num_kv_heads"),
    "head_dim": ("head_dim", "kv_channels"),
    "intermediate": ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim"),
    "experts": ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
    "active": ("num_experts_per_tok", "moe_k", "moe_topk", "num_experts_per_token"),
    "expert_intermediate": ("moe_intermediate_size",),
    "dense_layers": ("first_k_dense_replace", "moe_layer_start_index"),
    "shared_intermediate": ("shared_expert_intermediate_size", "shared_intermediate_size"),
}
NEEDED = ("hidden", "layers", "vocabulary", "heads")  # without which there is no shape
SHARED_EXPERTS = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")  # as wide as the others
TEXT_PARTS = ("text_config", "llm_config", "language_config", "thinker_config")
VISION_PARTS = ("vision_config", "visual", "vision_tower_config")
TOWER: Mapping[str, tuple[str, ...]] = {
    "layers": ("depth", "num_hidden_layers", "layers"), "hidden": ("embed_dim", "hidden_size", "width"),
    "intermediate": ("intermediate_size",),
}
LATENT = ("q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
BITS = ("bits", "w_bit")
# No model is near these: the largest that are published have 16,384 (hidden), 126, 262,208, 232 (heads), 59,392.
LARGEST: Mapping[str, int] = {
    "hidden": 2**18, "layers": 2**12, "vocabulary": 2**24, "heads": 2**12, "kv_heads": 2**12, "head_dim": 2**14,
    "intermediate": 2**20, "experts": 2**14, "active": 2**14, "expert_intermediate": 2**20, "dense_layers": 2**12,
    "shared_intermediate": 2**20,
}
# Of a tower: pixels of a patch, of a picture, patches that become one token (in a row). Published: 32, 1024, 2.
PICTURE: dict[str, int] = {
    "patch_size": 2**10, "spatial_patch_size": 2**10, "image_size": 2**15, "spatial_merge_size": 2**6,
}
LARGEST_RANK, MOST_BITS = 2**18, 32


def part(config: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    """The first of the named parts that a configuration has; {} for none."""
    return next((found for name in names if isinstance(found := config.get(name), Mapping)), {})


def first(config: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    """The first whole number under one of the keys; 0 for none (of a list, its largest)."""
    for key in keys:
        value = config.get(key)
        if isinstance(value, list):
            value = max((item for item in value if isinstance(item, int)), default=None)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return 0


def implausible(config: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The first number that no model has, as (key, value): too large, negative, or no whole number; or a part that is
    no mapping. None when there is none. Looked at where the text model or a tower may have it, and at the top, too."""
    for key in TEXT_PARTS:
        if config.get(key) is not None and not isinstance(config[key], Mapping):
            return key, config[key]
    return next(((key, value) for key, value, most in numbers_of(config) if not is_plausible(value, most)), None)


def lacking(config: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What a shape needs and a configuration does not say, each as (key, value): a value that says nothing (0, an empty
    list), or None under the most usual key where there is none at all."""
    text = text_part(config)
    found = []
    for name in NEEDED:
        if not first(text, KEYS[name]):
            said = next((key for key in KEYS[name] if text.get(key) is not None), KEYS[name][0])
            found.append((said, text.get(said)))
    heads, hidden = first(text, KEYS["heads"]), first(text, KEYS["hidden"])
    if heads > hidden > 0 and not first(text, KEYS["head_dim"]):  # none would be a number wide
        found.append((next(key for key in KEYS["heads"] if first(text, (key,))), heads))
    return tuple(found)


def text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where the numbers of the text model stand (Qwen2.5-Omni: thinker_config, in it text_config)."""
    text = part(config, TEXT_PARTS) or config
    return part(text, TEXT_PARTS) or text


def numbers_of(config: Mapping[str, Any]) -> Iterator[tuple[str, Any, int]]:
    """(key, value, the largest that is plausible) of all that decide a shape."""
    text = part(config, TEXT_PARTS)
    for place in (config, text, part(text, TEXT_PARTS)):
        limits = {key: LARGEST[name] for name, keys in KEYS.items() for key in keys}
        limits |= dict.fromkeys(SHARED_EXPERTS, LARGEST["experts"]) | dict.fromkeys(LATENT, LARGEST_RANK)
        yield from ((key, place[key], most) for key, most in limits.items() if key in place)
    tower, quantized = part(config, VISION_PARTS), part(config, ("quantization_config",))
    limits = {key: LARGEST[name] for name, keys in TOWER.items() for key in keys} | PICTURE
    yield from ((key, tower[key], most) for key, most in limits.items() if key in tower)
    yield from ((key, quantized[key], MOST_BITS) for key in BITS if key in quantized)


def is_plausible(value: object, most: int) -> bool:
    """Whether a value is nothing, a whole number from 0 to `most`, or a list of such (one for each layer)."""
    if isinstance(value, list):
        return all(is_plausible(item, most) for item in value)
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most)
