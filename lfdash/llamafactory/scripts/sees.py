"""A program for LLaMA-Factory's own interpreter: the first rows of a training as the model gets them. Trains nothing.

Reads {"args": LLaMA-Factory's arguments, "rows": how many, "workers": of the real run's preprocessing} from stdin.
Prints {"cutoff", "packing", "stage", "rows": in all, "looked": rows, "left_out": [[row, why]], "tail": tokens,
"samples": [{"rows", "sides": [{"name", "tokens": [[id, text, speaker, state, special, label]], "begins",
"findings", "media": {"images": tokens, null where that is not known}}],
"conversations", "images", "desired"}], "large": [[row, characters]], "few": characters of the rows that were looked at
where there would be more, else 0} (lfdash/llamafactory/sees.py reads it).

LLaMA-Factory's get_dataset is called as a training calls it, and stopped where it maps its processor over the rows:
that processor is then called here with lists of tokens that know where they come from (sees_trace.py).
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
import tempfile
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(HERE))))
from lfdash.llamafactory.scripts import long_rows, sees_pieces, sees_trace  # noqa: E402

del sys.path[0]

IGNORED = -100  # llamafactory/extras/constants.py: IGNORE_INDEX
BATCH = 1000  # rows; preprocessing_batch_size where nobody sets it
UNCUT = 1 << 20  # tokens; longer than any context
TRAINED, MASKED, CUT = "trained", "masked", "cut"
# What get_dataset is told of a stage (llamafactory/train/*/workflow.py).
STAGES = {"dpo": "rm"}


class Caught(Exception):
    """The rows and the processor of a training. processor: of LLaMA-Factory's DatasetProcessor."""

    def __init__(self, rows: Any, processor: Any, batch: int) -> None:
        super().__init__("caught")
        self.rows, self.processor, self.batch = rows, processor, batch


class Net:
    """Stands for the training's dataset where LLaMA-Factory maps its processor over it."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __iter__(self) -> Any:
        return iter(self._rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def map(self, function: Any, *, batch_size: int = BATCH, **_given: Any) -> Any:
        raise Caught(self._rows, function.__self__, batch_size)


def main() -> None:
    document, sys.stdout = sys.stdout, sys.stderr  # what the imports print does not mix with the document
    asked = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        answer = look({**asked["args"], "output_dir": folder}, asked["rows"], asked.get("workers") or 1)
    json.dump(answer, document)


def look(args: dict[str, Any], wanted: int, workers: int) -> dict[str, Any]:
    """The first rows; see above."""
    from llamafactory.data import get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    logging.disable(logging.WARNING)
    stage = args.get("stage", "sft")
    parsed = "sft" if stage == "ppo" else stage  # a reward model decides nothing here
    model_args, data_args, training_args, _, _ = get_train_args({**args, "stage": parsed})
    module = load_tokenizer(model_args)
    tokenizer = module["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    caught, total = catch(template, model_args, data_args, training_args, STAGES.get(stage, stage), module)
    seen = Look(caught, template, tokenizer, data_args, stage, wanted)
    if seen.together:  # what a sample is made of depends on the rows beside it: the first batch of the first worker
        workers = max(1, min(workers, total or 1))
        share = caught.batch if total is None else -(-total // workers)
        seen.take(list(itertools.islice(caught.rows, min(caught.batch, share))))
    else:
        for row in itertools.islice(caught.rows, BATCH):
            if len(seen.samples) >= wanted or seen.few:
                break
            seen.take([row])
    return {
        "stage": stage, "cutoff": args.get("cutoff_len", 2048), "packing": bool(data_args.packing), "rows": total,
        "looked": seen.looked, "left_out": seen.left_out, "tail": seen.tail, "samples": seen.samples[:wanted],
        "large": seen.large, "few": seen.few,
    }


def catch(
    template: Any, model_args: Any, data_args: Any, training_args: Any, stage: str, module: dict[str, Any]
) -> tuple[Caught, int | None]:
    """The training's rows and their processor; how many rows there are, None where that is not known.

    Where the rows are trained in their order, only the first of each dataset are made ready.
    """
    from llamafactory.data import loader

    plain = not data_args.streaming and data_args.mix_strategy == "concat" and data_args.val_size <= 1e-6
    enough = max(BATCH, data_args.preprocessing_batch_size)
    totals: list[int] = []
    align, preprocess = loader.align_dataset, loader._get_preprocessed_dataset

    def first(dataset: Any, *given: Any) -> Any:
        if plain:
            totals.append(len(dataset))
            dataset = dataset.select(range(min(len(dataset), enough)))
        return align(dataset, *given)

    loader.align_dataset = first
    loader._get_preprocessed_dataset = lambda dataset, *given, **named: preprocess(Net(dataset), *given, **named)
    try:
        loader.get_dataset(template, model_args, data_args, training_args, stage=stage, **module)
    except Caught as caught:
        known = sum(totals) if plain else (len(caught.rows) if hasattr(caught.rows, "__len__") else None)
        return caught, known
    raise RuntimeError("LLaMA-Factory did not preprocess any rows")


class Look:
    """What became of the rows that were taken. wanted: samples that are shown."""

    def __init__(
        self, caught: Caught, template: Any, tokenizer: Any, data_args: Any, stage: str, wanted: int
    ) -> None:
        self.processor, self.template, self.tokenizer, self.stage = caught.processor, template, tokenizer, stage
        self.packing = bool(data_args.packing) and stage in ("pt", "sft")
        self.together = self.packing or stage == "kto"
        self.samples: list[dict[str, Any]] = []
        self.left_out: list[tuple[int, str]] = []
        self.large: list[tuple[int, int]] = []
        self.looked = self.tail = self.few = self.characters = 0
        self.wanted = wanted
        self.most = long_rows.most(data_args.cutoff_len)
        self.special = {*tokenizer.all_special_ids, *getattr(tokenizer, "added_tokens_decoder", {})}
        self.stops = {one for one in template.get_stop_token_ids(tokenizer) if one is not None}
        self.trace = sees_trace.Trace(template, tokenizer)
        self.rows: list[dict[str, Any]] = []
        self.encoded: dict[int, list[sees_trace.Encoding]] = {}  # row -> its conversations
        self.columns = {"images": "_images", "videos": "_videos", "audios": "_audios"}
        self.placeholders = {f"{kind}s": self.placeholder(f"{kind}_token") for kind in ("image", "video", "audio")}
        if hasattr(self.processor, "_encode_data_example"):
            self._encode = self.processor._encode_data_example
            self.processor._encode_data_example = self.encode

    def placeholder(self, name: str) -> int | None:
        """The id that stands once for each token that a medium takes (llamafactory/data/mm_plugin.py); None where the
        template has none, the tokenizer does not know it, or one stands for all: the model itself has the rest then."""
        plugin = self.template.mm_plugin
        text = getattr(plugin, name, None)
        if not text or not getattr(plugin, "expand_mm_tokens", True):
            return None
        found = self.tokenizer.convert_tokens_to_ids(text)
        return found if isinstance(found, int) and found != self.tokenizer.unk_token_id else None

    def encode(self, **given: Any) -> Any:
        """Called by the processor for each row that it takes."""
        row = next(n for n, one in enumerate(self.rows) if one["_prompt"] is given["prompt"])
        self.trace.row, self.trace.encodings = row, []
        made = self._encode(**given)
        self.encoded[row] = self.trace.encodings
        return made

    def take(self, rows: list[dict[str, Any]]) -> None:
        """Has a batch of rows processed: without those that are too long to be shown, and not for longer than somebody
        waits."""
        numbers = self.kept(rows)
        self.looked = len(self.rows)
        if not numbers:
            return
        batch = [self.rows[number] for number in numbers]
        made = self.processor.preprocess_dataset({name: [row[name] for row in batch] for name in batch[0]})
        if self.stage == "pt":
            self.take_texts(made, batch, numbers)
            return
        found = [
            dict(zip(made, values, strict=True)) for values in zip(*(made[name] for name in made), strict=True)
        ]
        taken = [row for row in numbers if row in self.encoded]
        self.left_out += [(row, "invalid") for row in numbers if row not in self.encoded]
        wanted = self.wanted - len(self.samples)
        if self.packing:
            present = {one.row for sample in found for one in sample["input_ids"] if isinstance(one, sees_trace.Token)}
            self.left_out += [(row, "long") for row in taken if row not in present]
            self.samples += [self.packed(sample) for sample in found[:wanted]]
        else:
            pairs = itertools.islice(zip(taken, found, strict=True), wanted)
            self.samples += [self.sample([row], self.sides(sample, row), sample) for row, sample in pairs]

    def kept(self, rows: list[dict[str, Any]]) -> list[int]:
        """The numbers of those rows that are processed. Of the others `large` and `few` tell."""
        numbers = []
        for row in rows:
            length = long_rows.characters(row)
            if length <= self.most and self.characters and self.characters + length > long_rows.AT_ONCE * self.most:
                self.few = self.characters
                break
            if length > self.most:
                self.large.append((len(self.rows), length))
            else:
                self.characters += length
                numbers.append(len(self.rows))
            self.rows.append(row)
        return numbers

    # -- samples ----------------------------------------------------------------------------------------

    def sides(self, sample: dict[str, Any], row: int) -> list[dict[str, Any]]:
        """The sequences of a sample that is one row's."""
        encodings = self.encoded[row]
        whole = [one.tokens for one in encodings]
        if self.stage in ("rm", "dpo"):
            rejected = [*encodings[0].pairs[0][0], *encodings[1].pairs[0][1]]
            parts = (("chosen", encodings[0], whole[0]), ("rejected", encodings[1], rejected))
            return [
                self.side(name, sample[f"{name}_input_ids"], sample[f"{name}_labels"], [encoding], {row: full})
                for name, encoding, full in parts
            ]
        if self.stage == "kto":
            return [
                self.side("answer", sample["input_ids"], sample["labels"], [encodings[0]], {row: whole[0]}),
                self.side("kl", sample["kl_input_ids"], sample["kl_labels"], [encodings[1]], {row: whole[1]}),
            ]
        if self.stage == "ppo":  # the answer of the data is not used: the model writes one of its own
            prompt, answer = encodings[0].pairs[0]
            masked = [IGNORED] * max(len(sample["input_ids"]), len(sample["labels"]))
            return [
                self.side("prompt", sample["input_ids"], masked[: len(sample["input_ids"])], [], {row: prompt}),
                self.side("unused", sample["labels"], masked[: len(sample["labels"])], [], {row: answer}),
            ]
        return [self.side("", sample["input_ids"], sample["labels"], encodings, {row: whole[0]})]

    def packed(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A sample that several rows share, in the order in which they stand in it."""
        ids, labels = sample["input_ids"], sample["labels"]
        rows = list(dict.fromkeys(one.row for one in ids if isinstance(one, sees_trace.Token) and one.row >= 0))
        full = {row: self.encoded[row][0].tokens for row in rows}
        return self.sample(rows, [self.side("", ids, labels, [self.encoded[row][0] for row in rows], full)], sample)

    def sample(self, rows: list[int], sides: list[dict[str, Any]], made: dict[str, Any]) -> dict[str, Any]:
        """A sample with what people read in its rows."""
        media = {name: sum(len(self.rows[row].get(at) or []) for row in rows) for name, at in self.columns.items()}
        said = [self.conversation(self.rows[row]) for row in rows]
        found: dict[str, Any] = {"rows": rows, "sides": sides, "conversations": said}
        found["media"] = {name: count for name, count in media.items() if count}
        for side in sides:
            ids = [one[0] for one in side["tokens"] if one[3] != CUT]
            side["media"] = {
                name: None if self.placeholders[name] is None else ids.count(self.placeholders[name])
                for name in found["media"]
            }
        found["desired"] = bool(made["kto_tags"]) if "kto_tags" in made else None
        return found

    @staticmethod
    def conversation(row: dict[str, Any]) -> list[list[str]]:
        """[who, text] of a row, in its order; of a pair the answers are "chosen" and "rejected"."""
        said = [[name, str(row[f"_{name}"])] for name in ("system", "tools") if row.get(f"_{name}")]
        said += [[str(turn["role"]), str(turn["content"])] for turn in row["_prompt"]]
        answers = row["_response"]
        if len(answers) == 1:
            return [*said, [str(answers[0]["role"]), str(answers[0]["content"])]]
        both = zip(("chosen", "rejected"), answers, strict=False)
        return [*said, *([name, str(turn["content"])] for name, turn in both if turn["content"])]

    def side(
        self, name: str, ids: list[int], labels: list[int], encodings: list[sees_trace.Encoding],
        full: dict[int, list[sees_trace.Token]],
    ) -> dict[str, Any]:
        """One sequence. full: row -> its tokens before anything was cut off."""
        shown = sees_trace.merged(ids, full)
        padding = 0
        if self.packing:
            pad = self.tokenizer.pad_token_id
            while padding < len(ids) and not isinstance(ids[-1 - padding], sees_trace.Token) and (
                ids[-1 - padding] == pad and labels[-1 - padding] == IGNORED
            ):
                padding += 1
        tokens = self.described(shown, labels, padding)
        findings = self.findings(tokens, encodings, shown, labels) if name != "unused" else []
        rows = [getattr(one, "row", -1) for one, _ in shown]
        begins = list({row: place for place, row in reversed([*enumerate(rows)]) if row >= 0}.values())
        return {"name": name, "tokens": tokens, "findings": findings, "begins": begins}

    def described(self, shown: list[tuple[int, bool]], labels: list[int], padding: int = 0) -> list[list[Any]]:
        """[id, text, who, state, special, label where it is another id] of each token."""
        texts: list[str] = []
        kept = iter(sees_pieces.pieces([one for one, left in shown if left], self.decode))
        for left, group in itertools.groupby(shown, key=lambda pair: pair[1]):
            run = [one for one, _ in group]
            texts += [next(kept) for _ in run] if left else sees_pieces.pieces(run, self.decode)
        place, length, found = 0, len(labels), []
        for (one, left), text in zip(shown, texts, strict=True):
            label = labels[place] if left else IGNORED
            state = CUT if not left else MASKED if label == IGNORED else TRAINED
            who = getattr(one, "speaker", "end" if one in self.stops else sees_trace.TEMPLATE)
            if left and place >= length - padding:
                who = "padding"
            other = int(label) if state == TRAINED and label != one else None
            found.append([int(one), text, who, state, one in self.special, other])
            place += left
        return found

    def decode(self, ids: list[int]) -> str:
        """As LLaMA-Factory prints its example."""
        text: str = self.tokenizer.decode([int(one) for one in ids], skip_special_tokens=False)
        return text

    # -- what is worth saying ---------------------------------------------------------------------------

    def findings(
        self, tokens: list[list[Any]], encodings: list[sees_trace.Encoding], shown: list[tuple[int, bool]],
        labels: list[int],
    ) -> list[dict[str, Any]]:
        """What of a sequence is not as one would expect: {"code", numbers}."""
        found: list[dict[str, Any]] = []
        states = [state for _, _, _, state, _, _ in tokens]
        cut = [one for one, left in shown if not left]
        if cut:
            answers = sum(getattr(one, "answer", False) for one in cut)
            found.append({"code": "cut", "count": len(cut), "answers": answers, "of": len(tokens)})
        if any(one.system and one.system.strip() not in one.text for one in encodings):
            found.append({"code": "system_lost"})
        if any(one.tools and not (one.tool_text.strip() and one.tool_text.strip() in one.text) for one in encodings):
            found.append({"code": "tools_lost"})
        if TRAINED not in states and self.stage != "ppo":
            found.append({"code": "all_masked"})
        left = {id(one): labels[place] for place, one in enumerate(one for one, is_left in shown if is_left)}
        last = next((one for one, is_left in reversed(shown) if is_left), None)
        ends = {self.end_of(encoding, left, last) for encoding in encodings if encoding.pairs}
        return [*found, *({"code": code} for code in ("no_end", "end_cut", "end_masked") if code in ends)]

    def end_of(self, encoding: sees_trace.Encoding, left: dict[int, int], last: int | None) -> str:
        """What is wrong with the end of the last turn, "" when it is there and trained on. last: of the sequence."""
        if self.template.efficient_eos:  # the processor adds it: to the answer of a pair, before that is cut off
            return "" if self.stage == "sft" or last in self.stops else "end_cut"
        ends = [one for one in encoding.pairs[-1][1] if one in self.stops]
        if not ends:
            return "no_end"
        kept = [one for one in ends if id(one) in left]
        if not kept:
            return "end_cut"
        return "" if any(left[id(one)] != IGNORED for one in kept) else "end_masked"

    # -- pre-training -----------------------------------------------------------------------------------

    def take_texts(self, made: dict[str, Any], batch: list[dict[str, Any]], numbers: list[int]) -> None:
        """Texts of pre-training have no speakers; their labels are the collator's (llamafactory/train/pt/workflow.py).

        When they are packed, what is left at the end of a batch is thrown away.
        """
        from transformers import DataCollatorForLanguageModeling

        collate = DataCollatorForLanguageModeling(tokenizer=self.tokenizer, mlm=False)
        settings = self.processor.data_args
        cutoff, packing = settings.cutoff_len, settings.packing
        settings.cutoff_len, settings.packing = UNCUT, False
        whole = self.processor.preprocess_dataset({"_prompt": [row["_prompt"] for row in batch]})["input_ids"]
        settings.cutoff_len, settings.packing = cutoff, packing
        if packing:
            without = bool(getattr(self.tokenizer, "add_bos_token", False)) * len(whole)  # only blocks get it
            self.tail += sum(map(len, whole)) - without - sum(map(len, made["input_ids"]))
        for number, ids in enumerate(made["input_ids"][: self.wanted - len(self.samples)]):
            ids = list(ids)
            labels = collate([{"input_ids": ids, "attention_mask": [1] * len(ids)}])["labels"][0].tolist()
            rest = [] if packing else whole[number][len(ids) :]
            tokens = self.described([*((one, True) for one in ids), *((one, False) for one in rest)], labels)
            for one in tokens:
                one[2] = "end" if one[0] in self.stops else "text"
            findings = [{"code": "cut", "count": len(rest), "answers": len(rest), "of": len(tokens)}] if rest else []
            if TRAINED not in [state for _, _, _, state, _, _ in tokens]:
                findings.append({"code": "all_masked"})
            if self.tokenizer.eos_token_id in ids and self.tokenizer.pad_token_id == self.tokenizer.eos_token_id:
                findings.append({"code": "end_masked"})
            side = {"name": "", "tokens": tokens, "findings": findings, "begins": [0]}
            rows = [] if packing else [numbers[number]]
            said = [[["text", str(self.rows[row]["_prompt"][0]["content"])]] for row in rows]
            self.samples.append({"rows": rows, "sides": [side], "conversations": said, "media": {}, "desired": None})


if __name__ == "__main__":
    main()
