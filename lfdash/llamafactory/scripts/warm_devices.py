"""What the imports of the warm process ask of the devices: each question is answered by a fork that is gone again.

A process that has asked a driver cannot hand it to a fork ("Cannot re-initialize CUDA in forked subprocess"), and
LLaMA-Factory asks while it is imported (llamafactory/extras/misc.py: is_torch_bf16_gpu_available). A fork that is to
compute asks all of it again, for itself: what the imports have kept (their variables, caches of transformers and
accelerate) came of those answers, so it is a fresh interpreter's where these are the same.

Of a function only the code is exchanged meanwhile (`__code__`, writable by the language's reference). The function
stays what it is: whoever has taken it by `from torch.cuda import is_available`, or knows it by its identity as
torch.compile does, has nothing to give back. Standard library only.
"""

from __future__ import annotations

import ast
import builtins
import ctypes
import importlib.util
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, FunctionType, ModuleType
from typing import Any

# What torch tells of devices as plain values. Any other function really asks the driver, and is seen by warm_same.py.
QUESTIONS = {
    "torch.cuda": (
        "is_available", "device_count", "current_device", "is_bf16_supported", "is_tf32_supported",
        "get_device_capability", "get_device_name", "get_arch_list",
    ),
    "torch.xpu": ("is_available", "device_count", "current_device", "is_bf16_supported", "get_device_name"),
    "torch.accelerator": ("is_available", "device_count"),
}
# accelerate asks with it and without: torch.cuda.is_available then asks another library (torch/cuda/__init__.py)
BY_NVML = "PYTORCH_NVML_BASED_CUDA_CHECK"
ANSWER_S = 60.0  # in which a fork must answer; it takes a second or two, and longer beside many devices
PR_SET_PDEATHSIG = 1

Outcome = tuple[str, Any]  # "", a plain value; or the name of an exception, its text


def _asks(*args, **kwargs):  # type: ignore[no-untyped-def]  # of no module: its code runs with the globals of torch's
    from lfdash.llamafactory.scripts.warm_devices import current

    return current.answer("MODULE", "FUNCTION", args, kwargs)


def code_for(module: str, name: str) -> CodeType:
    """The code that asks for that function."""
    words = {"MODULE": module, "FUNCTION": name}
    constants = tuple(words.get(item, item) if isinstance(item, str) else item for item in _asks.__code__.co_consts)
    return _asks.__code__.replace(co_consts=constants, co_name=name)


def outcome_of(function: Callable[..., Any], args: Any, kwargs: Any) -> Outcome:
    """What comes of a call: a value, or the words of an exception behind the name of its nearest built-in type."""
    try:
        return "", function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - whatever it is, who asks gets it
        return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"), str(error)


def words(outcome: Outcome) -> str:
    """An outcome for people."""
    raised, value = outcome
    return f"{raised}: {value}" if raised else str(value)


def plain(thing: Any) -> str:
    """A thing in words that make it again; "" for one that no words make."""
    text = repr(thing)
    try:
        return text if ast.literal_eval(text) == thing else ""
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ""


def fork() -> int:
    """`os.fork`; Python 3.12 warns of threads, which here are those of libraries that know forks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def in_fork(question: Callable[[], Outcome]) -> Outcome | None:
    """What a fork finds; None when it ended without an answer, or with one that is no plain value."""
    ours, theirs = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            with open(theirs, "wb") as file:
                file.write(plain(question()).encode())
        finally:
            os._exit(0)  # no answer: the same is asked, and told, where it is needed
    os.close(theirs)
    with open(ours, "rb") as file:
        if not select.select([file], [], [], ANSWER_S)[0]:
            os.kill(pid, signal.SIGKILL)
        text = file.read().decode()
    os.waitpid(pid, 0)
    found: Outcome | None = ast.literal_eval(text) if text else None
    return found


class Devices:
    """Answers for torch from `watch` until `put_back`."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, str, str, str | None], Outcome] = {}
        self._real: dict[tuple[str, str], tuple[FunctionType, CodeType]] = {}
        self._finder: Finder | None = None

    def watch(self) -> None:
        """Answers for torch from the moment at which it has been imported, whoever imports it."""
        self._finder = Finder("torch", self.take_over)
        sys.meta_path.insert(0, self._finder)

    def take_over(self) -> None:
        """torch is there: exchanges the code of its functions. One that is no Python, or has a closure, is left."""
        self._look_no_more()
        for module, names in QUESTIONS.items():
            for name in names:
                function = getattr(sys.modules.get(module), name, None)
                function = getattr(function, "__wrapped__", function)  # of a cache
                if isinstance(function, FunctionType) and not function.__code__.co_freevars:
                    self._real[module, name] = function, function.__code__
                    function.__code__ = code_for(module, name)

    def put_back(self) -> None:
        """Gives the functions their code again. A cache of one must not hold what was answered here."""
        self._look_no_more()
        for (module, name), (function, code) in self._real.items():
            function.__code__ = code
            forget = getattr(getattr(sys.modules[module], name, None), "cache_clear", None)
            if forget is not None:
                forget()
        self._real = {}

    def _look_no_more(self) -> None:
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)

    def answer(self, module: str, name: str, args: Any, kwargs: Any) -> Any:
        """What a fork has found, else what the function itself says: then a device is touched here."""
        key = module, name, plain((args, kwargs)), os.environ.get(BY_NVML)
        if key[2] and key not in self.told:
            found = in_fork(lambda: self._ask(module, name, args, kwargs))
            if found is not None:
                self.told[key] = found
        if key not in self.told:
            function, code = self._real[module, name]
            real = FunctionType(code, function.__globals__, name, function.__defaults__)
            real.__kwdefaults__ = function.__kwdefaults__
            return real(*args, **kwargs)
        raised, value = self.told[key]
        if raised:
            raise getattr(builtins, raised)(value)
        return value

    def _ask(self, module: str, name: str, args: Any, kwargs: Any) -> Outcome:
        """In a fork: the function itself, and those that it calls."""
        self.put_back()
        return outcome_of(getattr(sys.modules[module], name), args, kwargs)

    def differ(self) -> str:
        """In a fork that is to compute, in its own environment: what is another than the imports were told; "" when
        nothing is. Initialises the driver, as the imports of a fresh interpreter do."""
        for (module, name, given, _), before in self.told.items():
            args, kwargs = ast.literal_eval(given)
            now = outcome_of(getattr(sys.modules[module], name), args, kwargs)
            if now != before:
                return f"{module}.{name}: {words(now)}, was {words(before)}"
        return ""


class Finder(MetaPathFinder):
    """Tells of the end of a module's import. Until then others may look whether it is there, as transformers does."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self.name = name
        self.then = then
        self._looking = False

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec that others find, with a loader that tells."""
        if name != self.name or self._looking:
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            spec.loader = Telling(spec.loader, self.then)
        return spec


class Telling(Loader):
    """A loader that tells of the end, and leaves no trace of itself."""

    def __init__(self, real: Loader, then: Callable[[], None]) -> None:
        self.real = real
        self.then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the real one."""
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the real one; then tells."""
        if module.__spec__ is not None:
            module.__spec__.loader = self.real
        module.__loader__ = self.real
        self.real.exec_module(module)
        self.then()


current = Devices()  # of this process; a fork inherits what it was told
