"""Asks chats in threads of the server: an answer goes on, and is kept, whether or not a page is open."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lfdash.engine.chat.again import loaded_words, words_of
from lfdash.engine.chat.bringing_up import BringingUp
from lfdash.engine.chat.client import Failed, Piece, Whole, Wire, ask
from lfdash.engine.chat.connection import Connection, connection_of
from lfdash.engine.chat.conversation import Answer, AnswerState, Conversation, Turn, title_of
from lfdash.engine.chat.messages import AS_STARTED, Medium, Sampling
from lfdash.engine.chat.store import ConversationStore
from lfdash.engine.only_one import OnlyOne
from lfdash.engine.registry import ProcessRegistry
from lfdash.outcomes import Refused
from lfdash.runs.plan import ARGS_FILE

SAVE_S = 3.0  # seconds of an answer that are lost at most, should this process be killed
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prompt:
    """What is to be asked next. expected, alone: see `Turn`."""

    text: str
    role: Literal["user", "tool"] = "user"
    media: tuple[Medium, ...] = ()
    sampling: Sampling = AS_STARTED
    expected: str = ""
    alone: bool = False


@dataclass
class Round:
    """The questions of a conversation that are being asked now. right: to change it, which no other dashboard has.
    together: all chats that answer there side by side, also those that have answered."""

    right: OnlyOne
    together: tuple[str, ...]
    stopped: threading.Event = field(default_factory=threading.Event)
    wires: dict[str, Wire] = field(default_factory=dict)  # column -> its connection
    heard: dict[str, float] = field(default_factory=dict)  # column -> when its answer changed, by the monotonic clock
    thread: threading.Thread | None = None


class Asking:
    """The conversations of a workspace, and the questions that are on their way.

    Any thread may use it. What it gives is a value of that moment; `version` tells whether there is another.
    """

    def __init__(self, registry: ProcessRegistry, store: ConversationStore, bringing_up: BringingUp) -> None:
        self.store = store
        self._registry = registry
        self._bringing_up = bringing_up
        self._lock = threading.RLock()
        self._open: dict[str, Conversation] = {}  # those that were looked at or asked here
        self._rounds: dict[str, Round] = {}
        self._unwritten: dict[str, str] = {}  # why a conversation is kept here alone
        self._held: dict[str, OnlyOne] = {}  # the right to change those of them that are answered
        self._versions: dict[str, int] = {}
        self.changes = 0  # counts all changes of all conversations

    # -- what there is ----------------------------------------------------------------------------------

    def get(self, conversation_id: str) -> Conversation | str:
        """A conversation as it is now; else why it cannot be read."""
        with self._lock:
            held = self._open.get(conversation_id)
            self._write_again(conversation_id)
            is_ours = conversation_id in self._rounds or conversation_id in self._held
            if held is None or not is_ours:  # another dashboard may have gone on with it
                read = self.store.load(conversation_id)
                if isinstance(read, Conversation):
                    self._open[conversation_id] = read
                elif held is None:
                    return read
            return self._open[conversation_id]

    def version(self, conversation_id: str) -> int:
        """Changes with each piece of an answer."""
        return self._versions.get(conversation_id, 0)

    def is_going(self, conversation_id: str) -> bool:
        """Whether a chat is asked here for a conversation."""
        return conversation_id in self._rounds

    def is_elsewhere(self, conversation_id: str) -> bool:
        """Whether another dashboard asks a chat for a conversation."""
        ours = conversation_id in self._rounds or conversation_id in self._held
        return not ours and self.store.right(conversation_id).is_elsewhere()

    def quiet_s(self, conversation_id: str, column: str) -> float:
        """Seconds for which nothing has come of an answer that a chat is asked for here; 0 where it is not."""
        with self._lock:
            one = self._rounds.get(conversation_id)
            heard = one.heard.get(column) if one is not None else None
        return 0.0 if heard is None else time.monotonic() - heard

    def unwritten(self, conversation_id: str) -> str:
        """Why a conversation is kept in this process alone, as it cannot be written; "" where it is written."""
        return self._unwritten.get(conversation_id, "")

    def busy(self) -> set[str]:
        """The run ids of the chats that are asked now."""
        with self._lock:
            return {column for one in self._rounds.values() for column in one.wires}

    # -- what is done -----------------------------------------------------------------------------------

    def ask(
        self, conversation: Conversation, prompts: Sequence[Prompt], columns: Sequence[str], *, beside: bool = False,
        counted: bool = False,
    ) -> Refused | None:
        """Asks chats one or more prompts, in a thread. conversation: as the page has it, with the turns that stay.
        columns: run ids. beside: load models where others have the devices. counted: take answers whole.

        Refused: chat_none (no chat is chosen), chat_busy (this conversation is being answered), chat_asked_elsewhere
        (by another dashboard), chat_changed (it is not as the page has it), chat_unsaved (it cannot be written down).
        """
        if not columns or not prompts:
            return Refused("chat_none")

        def asked() -> Conversation:
            turns = [self._turn(prompt, columns) for prompt in prompts]
            title = conversation.title or title_of(prompts[0].text)
            return replace(conversation, title=title, turns=(*conversation.turns, *turns))

        first = len(conversation.turns)
        turns = range(first, first + len(prompts))
        return self._begin(conversation, asked, turns, columns, columns, beside=beside, counted=counted)

    def also(
        self, conversation: Conversation, column: str, *, beside: bool = False, counted: bool = False
    ) -> Refused | None:
        """Asks one more chat the last prompt; what the others answered stays. Refused: as `ask`."""
        if not conversation.turns:
            return Refused("chat_none")
        last = len(conversation.turns) - 1
        turn = conversation.turns[last]
        others = tuple(answer for answer in turn.answers if answer.column != column)

        def asked() -> Conversation:
            return conversation.with_turn(last, replace(turn, answers=(*others, self._asked_of(column))))

        together = [*(answer.column for answer in others), column]
        return self._begin(
            conversation, asked, range(last, last + 1), [column], together, beside=beside, counted=counted
        )

    def _begin(
        self, conversation: Conversation, asked: Callable[[], Conversation], turns: range, columns: Sequence[str],
        together: Sequence[str], *, beside: bool, counted: bool,
    ) -> Refused | None:
        """Asks chats some turns, in a thread. asked: gives the conversation with the answers that are to come; OSError
        where it cannot be written down. together: the chats of the conversation. Refused: as `ask`."""
        with self._lock:
            if conversation.id in self._rounds:
                return Refused("chat_busy")
            right = self._right_to(conversation)
            if isinstance(right, Refused):
                return right
            try:
                begun = replace(asked(), changed=time.time())
                self.store.save(begun)
            except OSError as error:
                right.release()
                return Refused("chat_unsaved", {"reason": error.strerror or str(error)})
            self._open[begun.id] = begun
            self._told(begun.id)
            one = self._rounds[begun.id] = Round(right, tuple(together))
            one.thread = threading.Thread(
                target=self._work, name="lfdash-chat", daemon=True,
                args=(begun.id, one, turns, tuple(columns), beside, counted),
            )
            one.thread.start()
        return None

    def _right_to(self, conversation: Conversation) -> OnlyOne | Refused:
        """The right to change a conversation that is on disk as the page has it. Refused: as `ask`."""
        self._write_again(conversation.id)
        if conversation.id in self._held:
            return Refused("chat_unsaved", {"reason": self._unwritten[conversation.id]})
        right = self.store.right(conversation.id)
        try:
            self.store.make_folder()
        except OSError as error:
            return Refused("chat_unsaved", {"reason": error.strerror or str(error)})
        if not right.hold():
            if right.is_elsewhere():
                return Refused("chat_asked_elsewhere")
            return Refused("chat_unsaved", {"reason": self.store.folder.name})
        refused = self._unlike(conversation)
        if refused is not None:
            right.release()
            return refused
        return right

    def _unlike(self, conversation: Conversation) -> Refused | None:
        """Why a conversation cannot go on as a page has it: it is another one on disk, or cannot be read there."""
        if not conversation.changed:  # it is new
            return None
        read = self.store.load(conversation.id)
        if isinstance(read, str) and not self.store.is_deleted(conversation.id):
            return Refused("chat_unsaved", {"reason": read})
        same = isinstance(read, Conversation) and read.changed == conversation.changed
        return None if same else Refused("chat_changed")

    def again(self, conversation: Conversation, columns: Sequence[str], *, beside: bool = False) -> Refused | None:
        """Asks the last prompt of a conversation once more; its answers so far are replaced. Refused: as `ask`."""
        last = conversation.turns[-1]
        prompt = Prompt(last.prompt, last.role, last.media, last.sampling, last.expected, last.alone)
        return self.ask(replace(conversation, turns=conversation.turns[:-1]), [prompt], columns, beside=beside)

    def stop(self, conversation_id: str) -> None:
        """Ends the answers that are coming; what came stays. The Hugging Face engine goes on computing unseen, up to
        the most tokens that were asked for (llamafactory/chat/hf_engine.py has no way to end it)."""
        with self._lock:
            one = self._rounds.get(conversation_id)
            if one is not None:
                one.stopped.set()
                for wire in one.wires.values():
                    wire.cut()

    def forget(self, conversation_id: str) -> None:
        """Deletes a conversation; its answers that are coming are ended, those for another dashboard are not kept."""
        self.stop(conversation_id)
        with self._lock:
            self._open.pop(conversation_id, None)
            self._unwritten.pop(conversation_id, None)
            self.store.forget(conversation_id)
            if conversation_id in self._held:
                self._held.pop(conversation_id).release()

    def wait(self, conversation_id: str, seconds: float) -> bool:
        """Waits until a conversation is answered; whether it is."""
        one = self._rounds.get(conversation_id)
        if one is not None and one.thread is not None:
            one.thread.join(seconds)
        return conversation_id not in self._rounds

    def close(self) -> None:
        """Writes down what came of the answers that are still coming."""
        with self._lock:
            for conversation_id in list(self._rounds):
                self._save(conversation_id)

    # -- in the thread ----------------------------------------------------------------------------------

    def _turn(self, prompt: Prompt, columns: Sequence[str]) -> Turn:
        answers = tuple(map(self._asked_of, columns))
        media = tuple(self.store.keep(medium) for medium in prompt.media)
        return Turn(prompt.text, prompt.role, media, answers, prompt.sampling, prompt.expected, prompt.alone)

    def _asked_of(self, column: str) -> Answer:
        return Answer(column, self._label(column), model=self._model(column))

    def _model(self, column: str) -> str:
        """What a chat loads; of one that waits by its plan, as it has no folder yet."""
        view = self._registry.get(column)
        if view is None or view.waiting is None:
            return loaded_words(view) if view else ""
        entry = self._registry.queue.jobs.get(column)
        return words_of(entry.plan.files.get(ARGS_FILE, "")) if entry else ""

    def _label(self, column: str) -> str:
        view = self._registry.get(column)
        return view.name if view else column

    def _is_loaded(self, column: str) -> bool:
        return isinstance(connection_of(self._registry, self._registry.get(column)), Connection)

    def _told(self, conversation_id: str) -> None:
        self.changes += 1
        self._versions[conversation_id] = self._versions.get(conversation_id, 0) + 1

    def _work(
        self, conversation_id: str, one: Round, turns: range, columns: tuple[str, ...], beside: bool, counted: bool
    ) -> None:
        """All answers of a round. Chats that are loaded are asked at once, the others one after the other: all prompts
        each, so that a model is loaded once."""
        try:
            loaded = [column for column in columns if self._is_loaded(column)]
            threads = [
                threading.Thread(
                    target=self._column, name="lfdash-chat", daemon=True,
                    args=(conversation_id, one, turns, column, beside, counted),
                )
                for column in loaded
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for column in columns:
                if column not in loaded:
                    self._column(conversation_id, one, turns, column, beside, counted)
        finally:
            with self._lock:
                self._rounds.pop(conversation_id, None)
                if conversation_id in self._unwritten:
                    self._held[conversation_id] = one.right  # nobody else is to go on without these answers
                else:
                    one.right.release()
                self._told(conversation_id)

    def _column(
        self, conversation_id: str, one: Round, turns: range, column: str, beside: bool, counted: bool
    ) -> None:
        """All answers of one chat."""
        for turn in turns:
            try:
                self._answer(conversation_id, one, turn, column, beside, counted)
            except Exception as error:  # the page must see an end
                logger.exception("the chat %s could not be asked", column)
                reason = f"{type(error).__name__}: {error}"
                self._change(conversation_id, turn, column, state="failed", code="chat_failed",
                             params={"reason": reason})
            self._save(conversation_id)

    def _answer(
        self, conversation_id: str, one: Round, turn: int, column: str, beside: bool, counted: bool
    ) -> None:
        """One answer of one chat."""

        def change(**changes: object) -> None:
            self._change(conversation_id, turn, column, **changes)

        if one.stopped.is_set():
            change(state="stopped")
            return
        change(state="loading", label=self._label(column))
        found = self._bringing_up.connect(column, one.together, one.stopped, beside=beside)
        if isinstance(found, Refused):
            state: AnswerState = "stopped" if one.stopped.is_set() else "failed"
            change(state=state, code=found.code, params=dict(found.params))
            return
        question = self._open[conversation_id].question(column, turn, counted=counted)
        whole = [self.store.fetch(medium) for said in question.said for medium in said.media]
        if None in whole:
            change(state="failed", code="chat_medium")
            return
        question = replace(question, said=tuple(
            replace(said, media=tuple(m for medium in said.media if (m := self.store.fetch(medium)) is not None))
            for said in question.said
        ))
        wire = Wire()
        with self._lock:
            one.wires[column] = wire
        if one.stopped.is_set():
            wire.cut()
        change(state="asking", model=self._model(column))
        try:
            self._listen(ask(found, question, wire), wire, change, lambda: self._save(conversation_id))
        finally:
            with self._lock:
                one.wires.pop(column, None)

    def _listen(
        self, events: object, wire: Wire, change: Callable[..., None], save: Callable[[], None]
    ) -> None:
        """Takes the events of an answer as they come."""
        began, first, text = time.monotonic(), None, ""
        saved = 0.0
        for event in events:  # type: ignore[attr-defined]
            now = time.monotonic() - began
            if isinstance(event, Piece):
                first = now if first is None else first
                text += event.text
                change(text=text, first_s=round(first, 3), seconds=round(now, 3))
                if now - saved > SAVE_S:
                    saved = now
                    save()
            elif isinstance(event, Whole):
                change(
                    state="done", seconds=round(now, 3), finish=event.finish, prompt_tokens=event.prompt_tokens,
                    answer_tokens=event.answer_tokens, tool_calls=tuple(dict(call) for call in event.tool_calls),
                )
            elif isinstance(event, Failed) and wire.is_cut:
                change(state="stopped", seconds=round(now, 3))
            elif isinstance(event, Failed):
                code, params = failure(event, bool(text))
                change(state="failed", seconds=round(now, 3), code=code, params=params)

    def _change(self, conversation_id: str, turn: int, column: str, **changes: object) -> None:
        with self._lock:
            conversation = self._open.get(conversation_id)
            if conversation is None or turn >= len(conversation.turns):
                return  # it was deleted meanwhile
            old = conversation.turns[turn]
            answer = old.answer_of(column)
            one = self._rounds.get(conversation_id)
            if one is not None:
                one.heard[column] = time.monotonic()
            if answer is not None:
                new = old.with_answer(replace(answer, **changes))  # type: ignore[arg-type]
                self._open[conversation_id] = conversation.with_turn(turn, new)
                self._told(conversation_id)

    def _save(self, conversation_id: str) -> None:
        with self._lock:
            conversation = self._open.get(conversation_id)
            if conversation is None:
                return
            if self.store.is_deleted(conversation_id):  # in another dashboard
                self._open.pop(conversation_id)
                self._unwritten.pop(conversation_id, None)
                self.stop(conversation_id)
                return
            self._open[conversation_id] = conversation = replace(conversation, changed=time.time())
            try:
                self.store.save(conversation)
            except OSError as error:
                logger.warning("the conversation %s cannot be written: %s", conversation_id, error)
                self._unwritten[conversation_id] = error.strerror or str(error)
            else:
                self._unwritten.pop(conversation_id, None)

    def _write_again(self, conversation_id: str) -> None:
        """Writes answers that could not be written when they came, if that is possible now."""
        if conversation_id in self._held:
            self._save(conversation_id)
            if conversation_id not in self._unwritten:
                self._held.pop(conversation_id).release()


def failure(failed: Failed, begun: bool) -> tuple[str, dict[str, object]]:
    """The text and parameters for an answer that did not come, or not to its end."""
    if failed.status == 401:
        return "chat_denied", {}
    if failed.status == 405:
        return "chat_no_answers", {}
    if failed.status >= 400:
        return "chat_refused", {"status": failed.status, "reason": failed.reason}
    return ("chat_broken" if begun else "chat_gone"), {"reason": failed.reason or "–"}
