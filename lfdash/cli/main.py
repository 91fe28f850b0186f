"""The command line: `lfdash COMMAND ...`. One module a command, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import click

from lfdash.cli.commands import Context, help_option, workspace_option
from lfdash.cli.terminal import WRONG_USE
from lfdash.cli.texts import t

COMMANDS = (
    "check", "preview", "start", "queue", "sweep", "ls", "show", "logs", "metrics", "compare", "alerts", "machine",
    "stop", "resume", "diagnose", "memory", "data", "sees", "convert",
)
SERVE = "serve"
INTERRUPTED = 130  # as a shell says it of what Ctrl-C ended
ALONE = ("--help", "-h")  # options that need no command
SWITCHES = ("--allow-anyone", "--json")  # options without a value

Serve = Callable[[list[str]], None]  # serves the dashboard; takes the server's options


class Commands(click.Group):
    """The commands, each made when it is asked for."""

    context_class = Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        made: click.Command = getattr(import_module(f"lfdash.cli.{cmd_name}"), cmd_name)()
        return made

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(t("cli.no_command", name=args[0]), ctx)
        return super().resolve_command(ctx, args)


def group(serve: Serve) -> Commands:
    """All commands. serve: what the command of that name does; the server stands above this package."""
    commands = Commands(
        "lfdash", params=[workspace_option(), help_option()], help=t("cli.about"), add_help_option=False,
        callback=lambda workspace: None,
    )
    commands.add_command(serve_command(serve))
    return commands


def serve_command(serve: Serve) -> click.Command:
    """`serve`: its words are the server's, which has options of its own."""

    def run(words: tuple[str, ...]) -> None:
        before = click.get_current_context().find_root().params.get("workspace")
        serve([*(["--workspace", before] if before else []), *words])

    words = click.Argument(["words"], nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS]")
    return click.Command(
        SERVE, callback=run, params=[words], short_help=t("cli.do_serve"), add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )


def names_a_command(words: Sequence[str]) -> bool:
    """Whether a command line is one of ours; without a command it is the server's alone, as ever."""
    words = list(words)
    while words:
        word = words.pop(0)
        if word in ALONE or not word.startswith("-"):
            return True
        if "=" not in word and word not in SWITCHES and words:
            words.pop(0)  # its value
    return False


def run(words: Sequence[str], serve: Serve) -> int:
    """Runs one command; the exit code: 0 fine, 1 refused or problems, 2 wrong use."""
    try:
        code = group(serve).main(list(words), prog_name="lfdash", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        click.echo(f"lfdash: {words_of(error)}", err=True)
        return WRONG_USE
    return code if isinstance(code, int) else 0


def words_of(error: click.ClickException) -> str:
    """What is wrong with a command line, and where its help is."""
    context = getattr(error, "ctx", None)
    help_words = t("cli.try_help", command=context.command_path if context else "lfdash")
    return f"{usage_words(error)} {help_words}"


def usage_words(error: click.ClickException) -> str:
    """What is wrong with a command line."""
    name = name_of(getattr(error, "param", None))
    if isinstance(error, click.NoSuchOption):
        return t("cli.no_option", name=error.option_name)
    if isinstance(error, click.MissingParameter):
        return t("cli.missing", name=name)
    if isinstance(error, click.BadOptionUsage):
        return t("cli.option_use", name=error.option_name)
    if isinstance(error, click.BadParameter):
        return t("cli.bad_value", name=name, text=error.message)
    return error.format_message()


def name_of(param: click.Parameter | None) -> str:
    """What a parameter is called on the command line."""
    if param is None:
        return "–"
    return param.opts[0] if isinstance(param, click.Option) else str(param.metavar or param.name)
