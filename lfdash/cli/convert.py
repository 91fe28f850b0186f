"""`lfdash convert FILE`: LlamaBoard's saved form or a command as LLaMA-Factory's YAML, and YAML as such a form."""

from __future__ import annotations

from lfdash.cli.commands import command, file_argument
from lfdash.cli.jobs import config_of
from lfdash.cli.terminal import FINE, Terminal
from lfdash.cli.texts import language, t
from lfdash.engine.opening import account, hide_secrets, load_config, source_of
from lfdash.jobs.args import build_args, build_env
from lfdash.jobs.fields import ROWS
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import named
from lfdash.jobs.llamaboard_format import dump_state
from lfdash.jobs.yaml_format import dump
from lfdash.locales import in_language
from lfdash.outcomes import Refused


@command("convert", file_argument)
def convert(terminal: Terminal, file: str) -> int:
    """The other form of FILE."""
    services = terminal.open(needed=False).services
    source = source_of(config_of(file))
    loaded = source if isinstance(source, Refused) else load_config(services, source)
    if isinstance(loaded, Refused):
        return terminal.refuse(loaded)
    if loaded.kind == "llamafactory" and not named(loaded.job.kind).trains:
        return terminal.refuse(Refused("convert_kind", {"name": file}))
    hide_secrets(services, loaded.job)
    for key, params in account(loaded):
        terminal.note(in_language(language(), key, **params))
    if loaded.kind != "llamafactory":
        text = dump(build_args(loaded.job), [t("ui.yaml_header")], build_env(loaded.job))
        return give(terminal, "llamafactory", text)
    lacks = lacking(loaded.job)
    if lacks:
        terminal.note(t("cli.note_board_lacks", names=", ".join(lacks)))
    return give(terminal, "llamaboard", dump_state(loaded.job, services.upstream.defaults, services.board_lacks))


def lacking(job: JobConfig) -> list[str]:
    """What LlamaBoard's file has no place for, of what a job gives."""
    rows = [row for row in ROWS[job.kind] if job.sends(row)]
    return [row.name for row in rows if row.secret or row.env or row.name in ("output_dir", "model_path")]


def give(terminal: Terminal, form: str, text: str) -> int:
    """Says the converted file."""
    if terminal.as_json:
        terminal.give({"form": form, "text": text})
    else:
        terminal.say(text.rstrip("\n"))
    return FINE
