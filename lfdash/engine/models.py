"""The models that a form offers, and which one a text means: a model is chosen by one field, by name or by path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from lfdash.engine.context import known_model
from lfdash.engine.services import Services
from lfdash.llamafactory.catalogue import Model
from lfdash.workspace.folders import weights_size

CUSTOM = "Custom"  # LlamaBoard's name of a model that has none
HUB = "huggingface"
PARAMETERS = re.compile(r"(?<![a-zA-Z0-9.])E?((?:\d+x)?)(\d+(?:\.\d+)?)([BM])(?![a-zA-Z])", re.IGNORECASE)
SMALL = 4.0  # billions of parameters, up to which a model is a small one: LoRA fits a consumer's GPU
LOCAL = ("models", "exports")  # folders of the workspace that models lie in
MOST_LOCAL = 200  # local models that are offered
NEAR = 4  # near matches that are offered for a name that is unknown


@dataclass(frozen=True)
class Offer:
    """A model of the list. value: its name, or its path where it has none; size: as its name says it ("0.5B"), or of
    its files ("13.2 GB"); "" unknown. template: "" unknown. small: see SMALL."""

    value: str
    size: str = ""
    template: str = ""
    small: bool = False


@dataclass(frozen=True)
class Chosen:
    """What a form holds of a model. name: LLaMA-Factory's; path: its path or hub id. A name without a path is one that
    nothing is known of. template: the one that it was trained with, "" unknown."""

    name: str = ""
    path: str = ""
    template: str = ""
    multimodal: bool = False


def offered(services: Services, used: Iterable[str] = ()) -> list[Offer]:
    """What the list shows: what was used before, what lies in the workspace, what LLaMA-Factory knows.

    used: paths and hub ids.
    """
    own = [Offer(path, parameters(path)[0], like(services, path).template) for path in used]
    found = {offer.value: offer for offer in (*own, *local(services))}
    ordered = dict.fromkeys((*used, *found))
    known = services.upstream.models
    return [*(found[value] for value in ordered if value not in known), *map(listed, known.values())]


def listed(model: Model) -> Offer:
    """The line of a model that LLaMA-Factory knows."""
    size, billions = parameters(model.name)
    if not size:
        size, billions = parameters(next(iter(model.paths.values()), ""))
    return Offer(model.name, size, model.template, 0 < billions <= SMALL)


def parameters(name: str) -> tuple[str, float]:
    """How many parameters a name says, in words and in billions: ("0.5B", 0.5), ("8x7B", 56.0); ("", 0.0) for none."""
    found = PARAMETERS.search(name)
    if found is None:
        return "", 0.0
    times, number, unit = found.groups()
    billions = float(number) * (0.001 if unit in "mM" else 1) * int(times[:-1] or 1)
    return f"{times}{number}{unit.upper()}", billions


def local(services: Services) -> Iterator[Offer]:
    """The models that lie in the workspace, by their path in it."""
    count = 0
    for parent in LOCAL:
        for folder in folders(services.workspace.root / parent):
            size = weights_size(folder)
            if size is None or not (folder / "config.json").is_file() or count >= MOST_LOCAL:
                continue
            count += 1
            path = f"{parent}/{folder.name}"
            yield Offer(path, parameters(path)[0] or bytes_text(size), like(services, path).template)


def folders(parent: Path) -> list[Path]:
    """The visible folders of a folder, by name."""
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def bytes_text(size: int) -> str:
    """The size of files, in the unit that fits."""
    unit, number = next((u, size / n) for u, n in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if size >= n or u == "kB")
    return f"{number:.3g} {unit}"


def folded(text: str) -> str:
    """A name for comparison: case and spaces do not matter."""
    return "".join(text.split()).casefold()


def read(services: Services, text: str, hub: str = "") -> Chosen:
    """The model that a chosen or typed text means: a name of the list, a path or hub id, a folder of the workspace.

    hub: where listed models come from ("huggingface", "modelscope", "openmind"), "" the usual one. The name of one
    repository of a hub is that of its model (`Qwen3-0.6B`, which LLaMA-Factory lists as Qwen3-0.6B-Thinking). A name
    that is none of these has no path: no model is guessed.
    """
    text = text.strip()
    model = next((model for name, model in services.upstream.models.items() if folded(name) == folded(text)), None)
    if model is not None and model.paths:
        path = model.paths.get(hub or HUB) or next(iter(model.paths.values()))
        return Chosen(model.name, path, model.template or "default", model.multimodal)
    if "/" in text or (text and is_folder(services, text)):
        found = known_model(services, text)
        alike = like(services, text)
        return Chosen(found[0] if found else "", text, alike.template, alike.multimodal)
    here = next((offer.value for offer in local(services) if folded(last(offer.value)) == folded(text)), "")
    if here:
        return read(services, here, hub)
    meant = {path for model in services.upstream.models.values() for path in model.paths.values()
             if text and folded(last(path)) == folded(text)}
    names = {name for name, model in services.upstream.models.items() if meant.intersection(model.paths.values())}
    return read(services, names.pop(), hub) if len(names) == 1 else Chosen(text)


def is_folder(services: Services, text: str) -> bool:
    """Whether the workspace has a model's folder of that name."""
    folder = services.roots.readable(text)
    return folder is not None and (folder / "config.json").is_file()


def last(path: str) -> str:
    """The last part of a path or hub id."""
    return path.rstrip("/").rpartition("/")[2]


def as_copied(path: str) -> str:
    """The last part of a path for comparison: ModelScope's folders have ___ for a point, people's often _."""
    return re.sub(r"_+", ".", last(path)).casefold()


def like(services: Services, path: str) -> Chosen:
    """The listed model whose path, or its last part (a copy on a disk), is that of `path`; nothing when there is none.
    """
    models = services.upstream.models.values()
    equal = [model for model in models if path in model.paths.values()]
    alike = [model for model in models if as_copied(path) in map(as_copied, model.paths.values())]
    for model in (*equal, *alike):
        return Chosen(model.name, path, model.template or "default", model.multimodal)
    return Chosen(path=path)


def shown(services: Services, name: str, path: str) -> str:
    """What the one field shows for a form's name and path: the name where the path is that model's, else the path.
    """
    if not path:
        return "" if name == CUSTOM else name
    model = services.upstream.models.get(name)
    return name if model is not None and path in model.paths.values() else path


def near(services: Services, text: str) -> list[str]:
    """The listed and local models that a name may have meant, the likeliest first."""
    offers = offered(services)
    words = re.findall(r"[^\W_]+(?:\.\d+[a-z]*)*", text.casefold())
    has_all = [offer for offer in offers if words and all(word in words_of(offer) for word in words)]
    has_all.sort(key=lambda offer: (not offer.value.casefold().startswith(text.casefold()), len(offer.value)))
    by_name = {last(offer.value).casefold(): offer.value for offer in offers}
    close = get_close_matches(last(text).casefold(), by_name, NEAR, 0.6)
    return list(dict.fromkeys([*(offer.value for offer in has_all), *(by_name[name] for name in close)]))[:NEAR]


def words_of(offer: Offer) -> str:
    """What a search looks through."""
    return f"{offer.value} {offer.size} {offer.template}{' small' if offer.small else ''}".casefold()
