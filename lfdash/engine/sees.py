"""What the model sees, asked once in the background and kept until something changes that decides it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lfdash.data.counting import Counter, Counting
from lfdash.data.dataset_info import FILE, DatasetInfo
from lfdash.data.files import Mark, stamp
from lfdash.jobs.args import build_args, build_env
from lfdash.jobs.job import JobConfig
from lfdash.llamafactory.ask import Answers
from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.sees import ROWS, Seen, needed, see
from lfdash.outcomes import Refused
from lfdash.workspace.allowed_paths import Roots

NO_MARK: Mark = (0, 0, 0)
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "vocab.json")


class Question(NamedTuple):
    """What is asked: arguments and environment as JSON. marks: of the files that decide the answer. turn: counts up
    where somebody asks again what could not be answered."""

    args: str
    env: str
    rows: int
    marks: tuple[Mark | None, ...]
    turn: int = 0


class Sees:
    """Asks for one workspace. listed: what dataset_info.json of a folder lists. All methods may be called from any
    thread; only `now` waits."""

    def __init__(
        self, root: Path, cli: Cli | Refused, roots: Roots, warm: Answers, listed: Callable[[str], DatasetInfo]
    ) -> None:
        self._root, self._cli, self._roots, self._warm, self._listed = root, cli, roots, warm, listed
        self._counter: Counter[Question, Seen | Refused] = Counter(
            lambda question, _told: self._answer(question), lambda: Refused("asked_said", {"reason": "?"})
        )

    def question(
        self, job: JobConfig, changes: Mapping[str, Any] | None = None, rows: int = ROWS, turn: int = 0
    ) -> Question:
        """What would be asked for a job. changes: other arguments than the job's."""
        args = {**build_args(job), **(changes or {})}
        asked = {**needed(args), "preprocessing_num_workers": args.get("preprocessing_num_workers")}
        env = json.dumps(build_env(job), sort_keys=True)
        return Question(json.dumps(asked, sort_keys=True, default=str), env, rows, self._marks(asked), turn)

    def ask(self, question: Question) -> Counting[Seen | Refused]:
        """The answer as far as it is there; it is asked for in the background, once."""
        return self._counter.ask(question, NO_MARK)

    def now(self, question: Question) -> Seen | Refused:
        """The answer, waited for."""
        return self._answer(question)

    def _answer(self, question: Question) -> Seen | Refused:
        args = json.loads(question.args)
        outside = next(self._roots.outside(args), None)
        if outside is not None:
            return Refused("sees_outside", {"name": outside[0], "value": outside[1]})
        if not isinstance(self._cli, Cli):
            return self._cli
        return see(self._cli, self._root, args, question.rows, json.loads(question.env), self._warm)

    def _marks(self, args: Mapping[str, Any]) -> tuple[Mark | None, ...]:
        """What the answer stands on: the list of datasets, their files, the tokenizer's."""
        folder = self._root / str(args.get("dataset_dir") or "data")
        model = self._root / str(args.get("model_name_or_path") or "")
        paths = [folder / FILE, *(model / name for name in TOKENIZER)]
        names = args.get("dataset") or ()
        names = names.split(",") if isinstance(names, str) else names
        files = self._listed(str(args.get("dataset_dir") or "data")).files
        paths += [folder / files[name.strip()] for name in names if name.strip() in files]
        return tuple(stamp(path) if self._roots.readable(path) is not None else None for path in paths)
