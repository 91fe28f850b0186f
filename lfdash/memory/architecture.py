"""The shape of a model: the numbers of its config.json that memory depends on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lfdash.memory.config_numbers import (
    BITS,
    KEYS,
    LATENT,
    SHARED_EXPERTS,
    VISION_PARTS,
    first,
    implausible,
    lacking,
    part,
    text_part,
)
from lfdash.memory.vision import Tower, tower_of

Source = Literal["config", "table", "name"]

EXPERTS = ("experts", "active", "expert_intermediate", "dense_layers", "shared_intermediate")
# Their configuration classes tie the embeddings unless the file says otherwise.
TIED = ("gemma", "cohere", "bloom", "falcon", "gpt2", "gptbigcode", "starcoder2", "opt", "glm_edge", "phi4mm")
# The closed form was held against these (measured, or by a dry run): RMS norms, separate projections, a gated MLP.
LLAMA_LIKE = ("llama", "mistral", "qwen2", "qwen3", "qwen3moe", "gemma2", "ministral", "smollm3")
UNGATED = ("phi", "gpt2", "bloom", "falcon", "gptneox", "gptbigcode", "starcoder2", "opt", "nemotron")  # two matrices
QK_NORM = ("qwen3", "gemma3", "olmo2", "hunyuan", "exaone4")
BIASED = ("qwen2",)  # biases of q, k, v whatever the file says (modeling_qwen2.py)
STORED = ("bfloat16", "float16", "float32")
FOUR_NORMS = ("gemma2", "gemma3", "glm4")


@dataclass(frozen=True)
class Architecture:
    """A model's shape.

    kind: model_type without underscores. intermediate: width of a dense layer's MLP; expert_intermediate: of one
    expert; shared_intermediate: of the experts that every token passes. dense_layers: layers before the first one with
    experts. quantized: bits that the files' weights have already, 0 for none. tower: that of pictures. stored: the type
    that the weights are loaded in ("bfloat16", "float16", "float32"), "" where config.json does not tell. source: where
    the numbers come from; band: how far off, as a share, the weights may be for that reason. config: the config.json
    itself, {} when there is none.
    """

    kind: str
    hidden: int
    layers: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    tied: bool = False
    experts: int = 0
    active: int = 0
    expert_intermediate: int = 0
    shared_intermediate: int = 0
    dense_layers: int = 0
    bias: bool = False
    quantized: float = 0
    tower: Tower | None = None
    multimodal: bool = False
    latent: tuple[int, ...] = ()  # MLA: ranks of q and of kv, head widths without and with rotation, of values
    softcap: bool = False
    stored: str = ""
    source: Source = "config"
    band: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_known(self) -> bool:
        """Whether the closed form was held against models of this kind."""
        return self.kind in LLAMA_LIKE and not self.latent and not self.shared_intermediate and not self.dense_layers

    @property
    def gated(self) -> bool:
        return self.kind not in UNGATED

    @property
    def queries(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all key heads, and of all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def linear(self) -> dict[str, tuple[int, int]]:
        """The linear layers of one decoder layer that may get an adapter or be quantized: name -> (inputs, outputs).

        Experts are not among them: transformers keeps those of a layer in one nn.Parameter, which bitsandbytes and
        `lora_target: all` leave alone.
        """
        found = attention(self)
        if self.experts:
            return found
        return {**found, **mlp("", self.hidden, self.intermediate, self.gated)}

    @property
    def norms(self) -> int:
        """Parameters of one layer's norms."""
        widths = (4 if self.kind in FOUR_NORMS else 2) * self.hidden
        return widths + (2 * self.head_dim if self.has_qk_norm else 0)

    @property
    def has_qk_norm(self) -> bool:
        """Whether queries and keys are normed, each in its head."""
        return self.kind.startswith(QK_NORM)

    @property
    def embedding(self) -> int:
        """Parameters of the input embedding, and of the head where it has its own."""
        return self.vocabulary * self.hidden

    @property
    def quantizable(self) -> int:
        """Parameters of one layer that bitsandbytes quantizes."""
        return sum(inputs * outputs for inputs, outputs in self.linear.values())

    @property
    def layer(self) -> int:
        """Parameters of one layer (of those with experts, where there are some)."""
        matrices = 3 if self.gated else 2
        biases = self.queries + 2 * self.keys if self.bias else 0
        experts = self.experts * (matrices * self.hidden * self.expert_intermediate + self.hidden)
        shared = matrices * self.hidden * self.shared_intermediate
        return self.quantizable + self.norms + biases + experts + shared

    @property
    def total(self) -> int:
        """All parameters."""
        dense = 0
        if self.dense_layers:
            own = sum(a * b for a, b in (*attention(self).values(), *mlp("", self.hidden, self.intermediate).values()))
            dense = self.dense_layers * (own + self.norms - self.layer)
        tables = self.embedding * (1 if self.tied else 2)
        return self.layers * self.layer + dense + tables + self.hidden + self.tower_size

    @property
    def tower_size(self) -> int:
        """Parameters of the vision tower; 0 without one."""
        return self.tower.total if self.tower else 0


def attention(shape: Architecture) -> dict[str, tuple[int, int]]:
    """The projections of one attention: name -> (inputs, outputs)."""
    if shape.latent:  # transformers/models/deepseek_v3/modeling_deepseek_v3.py
        q_rank, kv_rank, plain, rotated, values = shape.latent
        queries = shape.heads * (plain + rotated)
        first = {"q_a_proj": (shape.hidden, q_rank), "q_b_proj": (q_rank, queries)}
        return {
            **(first if q_rank else {"q_proj": (shape.hidden, queries)}),
            "kv_a_proj_with_mqa": (shape.hidden, kv_rank + rotated),
            "kv_b_proj": (kv_rank, shape.heads * (plain + values)),
            "o_proj": (shape.heads * values, shape.hidden),
        }
    return {
        "q_proj": (shape.hidden, shape.queries), "k_proj": (shape.hidden, shape.keys),
        "v_proj": (shape.hidden, shape.keys), "o_proj": (shape.queries, shape.hidden),
    }


def mlp(prefix: str, hidden: int, intermediate: int, gated: bool = True) -> dict[str, tuple[int, int]]:
    """The matrices of an MLP: name -> (inputs, outputs)."""
    gate = {f"{prefix}gate_proj": (hidden, intermediate)} if gated else {}
    return {**gate, f"{prefix}up_proj": (hidden, intermediate), f"{prefix}down_proj": (intermediate, hidden)}


def from_config(config: Mapping[str, Any], *, source: Source = "config", band: float = 0.0) -> Architecture | None:
    """The shape that a config.json describes; None where a number is missing, or is none that a model has.

    Beside transformers' own keys it takes "kind": the name of the configuration's class.
    """
    if implausible(config) is not None or lacking(config):
        return None
    text = text_part(config)
    numbers = {name: first(text, keys) for name, keys in KEYS.items()}
    hidden, heads = numbers["hidden"], numbers["heads"]
    kind = kind_of(text) or kind_of(config)
    tower = tower_of(config, hidden)
    numbers["head_dim"] = numbers["head_dim"] or hidden // heads
    numbers["kv_heads"] = numbers["kv_heads"] or (1 if text.get("multi_query") else heads)
    numbers["intermediate"] = numbers["intermediate"] or 4 * hidden
    return Architecture(
        kind=kind,
        **{**numbers, **experts_of(text, numbers)},
        tied=is_tied(kind, config, text),
        bias=kind in BIASED or bool(text.get("attention_bias") or text.get("qkv_bias")),
        quantized=quantized_bits(config),
        tower=tower,
        multimodal=bool(part(config, VISION_PARTS)) or any("audio" in key for key in config),
        stored=stored_type(config, text),
        latent=latent_of(text),
        softcap=bool(text.get("final_logit_softcapping", kind == "gemma2")),
        source=source, band=band, config=config,
    )


def kind_of(config: Mapping[str, Any]) -> str:
    """model_type without underscores, also of a class ("Qwen2Config")."""
    kind = str(config.get("model_type") or config.get("kind") or "").lower()
    return kind.removesuffix("config").replace("_", "").removesuffix("text")


def is_tied(kind: str, config: Mapping[str, Any], text: Mapping[str, Any]) -> bool:
    """Whether head and input embedding are one matrix."""
    for part_ in (text, config):
        if isinstance(part_.get("tie_word_embeddings"), bool):
            return bool(part_["tie_word_embeddings"])
    return kind.startswith(TIED)


def experts_of(text: Mapping[str, Any], numbers: Mapping[str, int]) -> dict[str, int]:
    """What a configuration says of its experts; a model with one expert has none."""
    if numbers["experts"] < 2:
        return dict.fromkeys(EXPERTS, 0)
    own = numbers["expert_intermediate"] or numbers["intermediate"]
    shared = numbers["shared_intermediate"] or first(text, SHARED_EXPERTS) * own
    return {"expert_intermediate": own, "shared_intermediate": shared, "active": numbers["active"] or 1}


def latent_of(text: Mapping[str, Any]) -> tuple[int, ...]:
    """The widths of multi-head latent attention; () for another one."""
    if not first(text, ("kv_lora_rank",)):
        return ()
    return tuple(first(text, (name,)) for name in LATENT)


def quantized_bits(config: Mapping[str, Any]) -> float:
    """Bits of a weight in files that are quantized already; 0 for others. 16 where the method is not one we know."""
    found = config.get("quantization_config")
    if not isinstance(found, Mapping):
        return 0
    method = str(found.get("quant_method") or "").lower()
    if method == "bitsandbytes":
        return 4 if found.get("load_in_4bit") else 8
    if method in ("gptq", "awq", "aqlm", "hqq"):
        return first(found, BITS) or 4
    return {"fp8": 8, "mxfp4": 4.25}.get(method, 16)



def stored_type(config: Mapping[str, Any], text: Mapping[str, Any]) -> str:
    """The type that config.json names for the weights; "" for none of the usual ones. They are loaded in it whatever
    the training computes in (model/loader.py: torch_dtype "auto")."""
    for place in (config, text):
        named = str(place.get("dtype") or place.get("torch_dtype") or "").rpartition(".")[2]
        if named in STORED:
            return named
    return ""
