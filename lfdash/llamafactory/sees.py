"""What the model sees of the first rows of a training: its tokens, which are trained on, which were cut off.

LLaMA-Factory itself makes them, in its own interpreter (scripts/sees.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lfdash.llamafactory.ask import Answers, ask_json
from lfdash.llamafactory.locate import Cli
from lfdash.outcomes import Refused

ROWS = 5  # samples that are shown where nobody says how many
MOST = 50  # samples that can be asked for
TIMEOUT = 300  # seconds; the imports take 8 idle, a tokenizer from a hub some more
SPEAKERS = ("system", "user", "assistant", "tool", "call", "thought", "text", "template", "end", "padding")
STATES = ("trained", "masked", "cut")
# What decides which tokens the model gets; optimizer, saving and devices cannot change one.
NEEDED = (
    "model_name_or_path", "stage", "dataset", "dataset_dir", "media_dir", "template", "cutoff_len", "train_on_prompt",
    "mask_history", "packing", "neat_packing", "streaming", "buffer_size", "mix_strategy", "interleave_probs",
    "max_samples", "val_size", "seed", "preprocessing_batch_size", "dataloader_num_workers",
    "ignore_pad_token_for_loss", "tool_format",
    "default_system", "enable_thinking", "preserve_thinking", "trust_remote_code", "cache_dir", "model_revision",
    "use_fast_tokenizer", "split_special_tokens", "add_tokens", "add_special_tokens", "new_special_tokens_config",
    "image_max_pixels", "image_min_pixels", "image_do_pan_and_scan", "crop_to_patches", "video_max_pixels",
    "video_min_pixels", "video_fps", "video_maxlen", "use_audio_in_video", "audio_sampling_rate",
)


class Token(NamedTuple):
    """One token of a sequence. text: "" where the next one completes a character. speaker: of SPEAKERS. state: of
    STATES. special: the tokenizer has it as a special or added token. label: what is learned here where that is another
    id than the token's own."""

    id: int
    text: str
    speaker: str
    state: str
    special: bool
    label: int | None = None


@dataclass(frozen=True)
class Side:
    """One sequence. name: "" alone; "chosen", "rejected" of pairs; "answer", "kl" of KTO; "prompt", "unused" of PPO.
    findings: (code, numbers); codes are those of the texts `sees.<code>`. begins: places where another row begins.
    media: "images", "videos", "audios" -> how many of the tokens stand for them, None where that is not known."""

    name: str
    tokens: tuple[Token, ...]
    findings: tuple[tuple[str, Mapping[str, int]], ...] = ()
    begins: tuple[int, ...] = (0,)
    media: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def ids(self) -> list[int]:
        """What the model gets."""
        return [token.id for token in self.tokens if token.state != "cut"]

    @property
    def labels(self) -> list[int]:
        """What is learned; -100 where nothing is."""
        return [
            -100 if token.state == "masked" else token.id if token.label is None else token.label
            for token in self.tokens if token.state != "cut"
        ]

    @property
    def text(self) -> str:
        """What the model gets, as the tokenizer writes it."""
        return "".join(token.text for token in self.tokens if token.state != "cut")

    def count(self, state: str) -> int:
        """How many tokens are in a state."""
        return sum(token.state == state for token in self.tokens)


@dataclass(frozen=True)
class Sample:
    """What the model gets at once. rows: from 0, in the order of training; none of packed pre-training. conversations:
    what people read in each row, as (who, text). media: "images", "videos", "audios" -> how many. desired: of KTO."""

    rows: tuple[int, ...]
    sides: tuple[Side, ...]
    conversations: tuple[tuple[tuple[str, str], ...], ...]
    media: Mapping[str, int]
    desired: bool | None = None


@dataclass(frozen=True)
class Seen:
    """The answer. cutoff: tokens. rows: of the training, None where they are not counted; looked: those that were
    looked at; left_out: (row, "invalid" or "long"). tail: tokens at the end of a packed batch that are thrown away.
    large: (row, characters) of those that are too long to be shown; the others are shown as if these were not there.
    few: characters of the rows that were looked at, where more are not because these are so long; else 0."""

    stage: str
    cutoff: int
    packing: bool
    rows: int | None
    looked: int
    samples: tuple[Sample, ...]
    left_out: tuple[tuple[int, str], ...] = ()
    tail: int = 0
    large: tuple[tuple[int, int], ...] = ()
    few: int = 0


def see(
    cli: Cli, workspace: Path, job: Mapping[str, Any], rows: int = ROWS, env: Mapping[str, str] | None = None,
    warm: Answers | None = None,
) -> Seen | Refused:
    """The first samples of a job (LLaMA-Factory's arguments), at most `rows`.

    env: what the job asks of the environment. warm: is asked first. Refused: as `ask`.
    """
    payload = {"args": needed(job), "rows": rows, "workers": job.get("preprocessing_num_workers")}
    answer = ask_json(cli, "sees", payload, timeout=TIMEOUT, cwd=workspace, env=env, warm=warm)
    return answer if isinstance(answer, Refused) else read(answer)


def needed(job: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that decide the answer, and those with which LLaMA-Factory's parser asks for no device."""
    args = {name: job[name] for name in NEEDED if job.get(name) is not None}
    args |= {"do_train": True, "use_cpu": True, "preprocessing_num_workers": 1}
    return {**args, "max_steps": 1} if args.get("streaming") else args


def read(answer: Mapping[str, Any]) -> Seen:
    """What scripts/sees.py printed."""
    return Seen(
        stage=answer["stage"], cutoff=answer["cutoff"], packing=answer["packing"], rows=answer["rows"],
        looked=answer["looked"], tail=answer["tail"], left_out=tuple((row, why) for row, why in answer["left_out"]),
        samples=tuple(read_sample(sample) for sample in answer["samples"]),
        large=tuple((row, length) for row, length in answer["large"]), few=answer["few"],
    )


def read_sample(sample: Mapping[str, Any]) -> Sample:
    """One sample."""
    sides = tuple(
        Side(
            side["name"], tuple(Token(*token) for token in side["tokens"]), tuple(map(finding, side["findings"])),
            tuple(sorted(side["begins"])), side.get("media", {}),
        )
        for side in sample["sides"]
    )
    said = tuple(tuple((who, text) for who, text in one) for one in sample["conversations"])
    return Sample(tuple(sample["rows"]), sides, said, sample["media"], sample["desired"])


def finding(found: Mapping[str, Any]) -> tuple[str, Mapping[str, int]]:
    """A code with its numbers."""
    return str(found["code"]), {name: int(value) for name, value in found.items() if name != "code"}
