"""YAML in and out: LLaMA-Factory's own files, read as its OmegaConf reads them.

PyYAML takes `5e-5` for text and `2024-01-01` for a date, OmegaConf (which LLaMA-Factory uses) for a number and
for text; so both are read and written here as OmegaConf does.
"""

from __future__ import annotations

import codecs
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from lfdash.errors import ConfigError
from lfdash.jobs.fields import BY_KIND_ARG

MAX_BYTES = 1_000_000
MAX_NODES = 20_000  # of the composed document, aliases followed: a bomb of aliases is small on disk
MAX_DEPTH = 100  # of brackets in brackets
ENVIRONMENT = "# environment:"
FLOAT = re.compile(
    r"^(?:[-+]?[0-9]+(?:_[0-9]+)*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+)"
    r"|\.[0-9]+(?:_[0-9]+)*(?:[eE][-+][0-9]+)?|[-+]?[0-9]+(?:_[0-9]+)*(?::[0-5]?[0-9])+\.[0-9_]*"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
SECTIONS = (
    "model",
    "method",
    "dataset",
    "output",
    "train",
    "eval",
)  # the headings of LLaMA-Factory's examples
SECTION_OF_GROUP = {
    "run": "output", "model": "model", "method": "method", "data": "dataset", "hyper": "train", "lora": "method",
    "freeze": "method", "oft": "method", "preference": "method", "ppo": "method", "multimodal": "method",
    "evaluation": "eval", "generation": "eval", "saving": "output", "optimization": "train",
    "samples": "dataset", "loading": "model", "export": "train", "chat": "model",
    "optimizers": "method", "devices": "train", "tracking": "output", "advanced": "train",
}
SECTION_OF_ARG = {
    "template": "dataset", "dataset_dir": "dataset", "do_train": "method", "deepspeed": "method",
    "resume_from_checkpoint": "train", "dataloader_num_workers": "dataset", "image_max_pixels": "model",
    "image_min_pixels": "model", "video_max_pixels": "model", "video_min_pixels": "model",
}


BOMS = {  # the longer one first: UTF-32's begins with UTF-16's
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}
LOST = "\ufffd"  # stands for what could not be decoded
# what PyYAML's parser says -> our word for it: the code of a text, and whether the beginning of what is open is meant
SAID = (
    ("'\\t' that cannot start", "yaml_tab", False), ("mapping values are not", "yaml_colon", False),
    ("expected ':'", "yaml_no_colon", False), ("unexpected end of stream", "yaml_quote", True),
    ("expected ',' or", "yaml_bracket", True), ("expected the node content", "yaml_bracket", True),
    ("expected <block end>", "yaml_indent", False), ("expected '<document", "yaml_indent", False),
    ("constructor for the tag", "yaml_type", False), ("cannot start any token", "yaml_start", False),
)


class Loader(yaml.SafeLoader):
    """Plain values only, with OmegaConf's numbers and without dates; a repeated key is an error.

    PyYAML's own parser, not the C one (libyaml, which OmegaConf uses where it is there): that one crashes the process
    on some thousands of open brackets. The own one takes seconds for them, so they are counted; and it refuses tabs
    that libyaml takes, so the two places that skip blanks take tabs here as libyaml does.
    """

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()
        # where a new key could begin (indentation) a tab stays an error, as in libyaml
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()

    def scan_plain_spaces(self, indent: int, start_mark: Any) -> list[str] | None:
        length = 0
        while self.peek(length) in " \t":
            length += 1
        blanks = self.prefix(length)
        if "\t" in blanks:
            self.forward(length)
        spaces: list[str] | None = super().scan_plain_spaces(indent, start_mark)
        return [blanks] if spaces == [] and blanks else spaces

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level >= MAX_DEPTH:
            raise ConfigError("deep", "not valid YAML: brackets {depth} deep, as no configuration has", depth=MAX_DEPTH)
        super().fetch_flow_collection_start(token)


class Dumper(yaml.SafeDumper):
    """Quotes every text that OmegaConf would read as a number."""


PLAIN = ("null", "bool", "int", "float", "str", "seq")  # no dates, sets, bytes: no argument takes them
Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in PLAIN
}
Loader.yaml_implicit_resolvers = {
    first: [(tag, rx) for tag, rx in rows if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float")]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))
Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))


def mapping(loader: Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """A mapping whose own keys are all different; `<<` brings those of others in."""
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            raise ConfigError("key", "line {line}: a key must be a word", key_node.start_mark.line + 1)
        if key in seen:
            raise ConfigError("twice_at", "line {line}: '{key}' is given twice", key_node.start_mark.line + 1, key=key)
        seen.add(key)
    loader.flatten_mapping(node)
    return {
        loader.construct_object(key_node, deep=True): loader.construct_object(value_node, deep=True)
        for key_node, value_node in node.value
    }


Loader.add_constructor("tag:yaml.org,2002:map", mapping)


def quoted(dumper: Dumper, text: str) -> yaml.ScalarNode:
    """A text; in double quotes where PyYAML would fold a rare line break away."""
    style = '"' if re.search("[\x85\u2028\u2029\ufeff]", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, quoted)


@dataclass(frozen=True)
class Document:
    """A configuration file: the arguments, and the environment that its header comment names."""

    args: dict[str, Any]
    env: dict[str, str]


def text_of(content: bytes) -> str:
    """A file's text: UTF-8, or what Windows' editors save (UTF-16, a byte order mark). Bytes that are no text are let
    pass in comments. ConfigError("large", "binary", "encoding")."""
    if len(content) > MAX_BYTES:
        raise ConfigError("large", "larger than {kb} kB, which no configuration is", kb=MAX_BYTES // 1000)
    encoding = next((name for bom, name in BOMS.items() if content.startswith(bom)), "utf-8")
    if encoding == "utf-8" and 0 in content[:2]:
        encoding = "utf-16-be" if content[0] == 0 else "utf-16-le"
    text = content.decode(encoding, "replace")
    if "\0" in text:
        raise ConfigError("binary", "it is not a text")
    lossy = LOST in text and LOST.encode() not in content
    for number, line in enumerate(text.split("\n"), 1):
        if lossy and LOST in re.split(r"(?:^|\s)#", line, maxsplit=1)[0]:
            raise ConfigError("encoding", "line {line}: the text is not in UTF-8", number)
    return text


def load(text: str) -> Document:
    """Reads YAML or JSON. ConfigError says what is wrong, with the line where there is one."""
    if len(text) > MAX_BYTES:
        raise ConfigError("large", "larger than {kb} kB, which no configuration is", kb=MAX_BYTES // 1000)
    try:
        found = parsed(text)
        json.dumps(found, ensure_ascii=False).encode()  # halves of a character (\ud800) could not be written again
    except yaml.MarkedYAMLError as error:
        raise said(error) from error
    except (yaml.YAMLError, ValueError, KeyError, RecursionError) as error:
        what = next(iter(str(error).splitlines()), type(error).__name__)
        if isinstance(error, UnicodeEncodeError):
            raise ConfigError("half", "half of a character: {what}", what=what) from error
        raise ConfigError("digits" if "digits" in what else "yaml", "not valid YAML: {what}", what=what) from error
    if found is None:
        found = {}
    if not isinstance(found, dict):
        code = "not_job_rows" if is_rows(found) else "list" if isinstance(found, list) else "no_mapping"
        raise ConfigError(code, "a mapping of names to values is needed, this is a {type}", type=type(found).__name__)
    wrong = [key for key in found if not isinstance(key, str)]
    if wrong:
        raise ConfigError("not_name", "'{key}' is not a name", key=wrong[0])
    return Document(found, environment(text))


def said(error: yaml.MarkedYAMLError) -> ConfigError:
    """What is wrong with a YAML text, by a code of ours; the parser's own words are for a log only."""
    what = str(error.problem or error.context)
    code, opened = next(((code, opened) for part, code, opened in SAID if part in what), ("yaml_at", False))
    mark = (error.context_mark if opened else None) or error.problem_mark
    if mark is None:
        return ConfigError("yaml", "not valid YAML: {what}", what=what)
    return ConfigError(code, "line {line}: not valid YAML: {what}", mark.line + 1, what=what)


def is_rows(found: Any) -> bool:
    """Whether a value is a list of rows, as a data set is, and not one of settings (`- stage: sft`)."""
    if not isinstance(found, list) or not found or not all(isinstance(row, dict) for row in found):
        return False
    settings = len(found) > 1 and all(len(row) == 1 for row in found)
    return not settings or len({key for row in found for key in row}) < len(found)


def spoken(text: str) -> Any:
    """A word as YAML reads it (a number, true, a list, a mapping); itself where it is nothing else."""
    try:
        return load(f"value: {text}").args["value"] if text.strip() else text
    except (ConfigError, KeyError):
        return text


def parsed(text: str) -> Any:
    """The value that a text is: JSON where it is that (its tabs and escapes are not all YAML's), else YAML."""
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        try:
            return json.loads(text.lstrip("\ufeff"), object_pairs_hook=once)
        except json.JSONDecodeError:
            pass  # YAML's short form `{a: 1}`, or broken: YAML says where
    node = yaml.compose(text, Loader=Loader)
    if node is not None and holds_itself(node):
        raise ConfigError("itself", "a value refers to itself (an alias inside of its own anchor)")
    if node is not None and size(node) > MAX_NODES:
        raise ConfigError("many", "more than {count} values, which no configuration has", count=MAX_NODES)
    return yaml.load(text, Loader=Loader)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are all different."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for n, (key, _) in enumerate(pairs) if key in dict(pairs[:n]))
        raise ConfigError("twice", "'{key}' is given twice", key=twice)
    return found


def holds_itself(node: yaml.Node) -> bool:
    """Whether a value has itself among its parts, as in `a: &a [*a]`: it could never be written out."""
    open_, done, todo = set[int](), set[int](), [(node, False)]
    while todo:
        here, left = todo.pop()
        if left:
            open_.discard(id(here))
            done.add(id(here))
        elif id(here) in open_:
            return True
        elif id(here) not in done and isinstance(here, yaml.CollectionNode):
            open_.add(id(here))
            todo.append((here, True))
            pairs = isinstance(here, yaml.MappingNode)
            todo += [(part, False) for item in here.value for part in (item if pairs else (item,))]
    return False


def size(node: yaml.Node, limit: int = MAX_NODES) -> int:
    """Number of values with aliases followed; stops counting above `limit`."""
    total, todo = 0, [node]
    while todo and total <= limit:
        here = todo.pop()
        total += 1
        if isinstance(here, yaml.MappingNode):
            todo.extend(part for pair in here.value for part in pair)
        elif isinstance(here, yaml.SequenceNode):
            todo.extend(here.value)
    return total


def environment(text: str) -> dict[str, str]:
    """What the header comment says about the environment (`# environment: A=1 B='x y'`)."""
    for line in text.split("\n"):
        if not line.startswith("#"):
            break
        if line.startswith(ENVIRONMENT):
            try:
                words = shlex.split(line.removeprefix(ENVIRONMENT))
            except ValueError:
                return {}
            return dict(word.split("=", 1) for word in words if "=" in word)
    return {}


def dump(args: Mapping[str, Any], header: Sequence[str] = (), env: Mapping[str, str] | None = None) -> str:
    """Arguments as YAML under the headings that LLaMA-Factory's examples use.

    header: comment lines. env: what must be set to run it; kept in a comment that `load` reads back.
    ConfigError for a value in it with a line break, which would end the comment and become an argument.
    """
    lines = [f"# {' '.join(line.split())}" for line in header]
    if env:
        broken = [name for name, value in env.items() if len(f"{name}{value}x".splitlines()) > 1]
        if broken:
            raise ConfigError("line_break", "the environment variable {name} has a line break", name=broken[0])
        lines.append(ENVIRONMENT + " " + " ".join(f"{k}={shlex.quote(v)}" for k, v in sorted(env.items())))
    blocks = ["\n".join(lines)] if lines else []
    for section in SECTIONS:
        part = {name: value for name, value in args.items() if section_of(name) == section}
        if part:
            body = yaml.dump(part, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)
            blocks.append(f"### {section}\n{body.rstrip()}")
    return "\n\n".join(blocks) + "\n" if args else "\n".join([*lines, "{}\n"])


def section_of(name: str) -> str:
    """The heading an argument stands under; `train` for those without a row."""
    if name in SECTION_OF_ARG:
        return SECTION_OF_ARG[name]
    row = next((rows[name] for rows in BY_KIND_ARG.values() if name in rows), None)
    return SECTION_OF_GROUP[row.group] if row else "train"
