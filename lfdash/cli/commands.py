"""How a command is made: its options in the user's language, the workspace, JSON, help; and the types of arguments.

A command is made when it is asked for, so that no other one's imports are waited for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from lfdash.cli.terminal import Terminal
from lfdash.cli.texts import language, t
from lfdash.errors import ConfigError
from lfdash.jobs.yaml_format import load
from lfdash.locales import config_error_in
from lfdash.runs.places import Places

Act = Callable[..., int]  # takes the terminal and the command's values, gives the exit code
Make = Callable[[], click.Command]


class Formatter(click.HelpFormatter):
    """Help whose headings are in the user's language."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, prefix or f"{t('cli.usage')} ")

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        headings = {"Options": t("cli.options"), "Commands": t("cli.commands")}
        with super().section(headings.get(name, name)):
            yield


class Context(click.Context):
    formatter_class = Formatter


class Command(click.Command):
    context_class = Context


def command(name: str, *params: Callable[[], click.Parameter]) -> Callable[[Act], Make]:
    """Makes a command of a function. params: what it takes besides --workspace and --json."""

    def of(act: Act) -> Make:
        def run(workspace: str | None, as_json: bool, **values: Any) -> None:
            context = click.get_current_context()
            context.exit(act(Terminal(folder_of(context, workspace), as_json=as_json), **values))

        def make() -> click.Command:
            common = [workspace_option(), json_option(), help_option()]
            own = [param() for param in params]
            does = t(f"cli.do_{name}")
            return Command(
                name, callback=run, params=[*own, *common], help=does, short_help=does, add_help_option=False
            )

        return make

    return of


def folder_of(context: click.Context, given: str | None = None) -> Path:
    """The workspace that a command line means: its own option, the one before the command, the variable, here."""
    named = given or context.find_root().params.get("workspace") or os.environ.get("LFDASH_WORKSPACE")
    return Path(named or "workspace").expanduser().resolve()


# -- options --------------------------------------------------------------------------------------------


def workspace_option() -> click.Option:
    """--workspace DIR."""
    kind = click.Path(file_okay=False)
    return click.Option(["--workspace"], type=kind, metavar="DIR", help=t("ui.cli_workspace"))


def json_option() -> click.Option:
    """--json."""
    return click.Option(["--json", "as_json"], is_flag=True, help=t("cli.opt_json"))


def help_option() -> click.Option:
    """--help, in the user's language."""

    def show(context: click.Context, _param: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            click.echo(context.get_help())
            context.exit()

    return click.Option(
        ["--help", "-h"], is_flag=True, is_eager=True, expose_value=False, callback=show, help=t("cli.opt_help")
    )


def flag(name: str, *more: str) -> Callable[[], click.Option]:
    """A switch, whose help is `cli.opt_<name>`."""
    return lambda: click.Option([f"--{name}", *more, name], is_flag=True, help=t(f"cli.opt_{name}"))


def set_option() -> click.Option:
    """--set KEY=VALUE, any number of times: a mapping of LLaMA-Factory's arguments."""
    return click.Option(
        ["--set", "changes"], multiple=True, metavar="KEY=VALUE", callback=parse_changes, help=t("cli.opt_set")
    )


def target_option() -> click.Option:
    """--target NAME: a cluster of the workspace; None = where the configuration says."""
    return click.Option(["--target"], metavar="NAME", help=t("cli.opt_target"))


def parse_changes(_context: click.Context, _param: click.Parameter, words: tuple[str, ...]) -> dict[str, Any]:
    """What --set says. A value is read as in a YAML file; an empty one takes the argument out."""
    changes: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise click.UsageError(t("cli.bad_set", word=word))
        try:
            changes[name] = load(f"{name}: {value}").args[name]
        except ConfigError as error:
            raise click.UsageError(f"--set {name}: {config_error_in(language(), error)}") from error
    return changes


# -- arguments ------------------------------------------------------------------------------------------


class RunName(click.types.StringParamType):
    """The id, name or folder of a run; names are completed."""

    name = "run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names of the workspace's runs that begin so."""
        runs = Places(folder_of(ctx, ctx.params.get("workspace"))).find().runs
        names = sorted({os.path.basename(run) for run in runs})
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def run_argument(*, required: bool = False) -> click.Argument:
    """RUN."""
    return click.Argument(["run"], type=RunName(), required=required, metavar="RUN" if required else "[RUN]")


def this_run() -> click.Argument:
    """RUN, which must be said."""
    return run_argument(required=True)


def file_argument() -> click.Argument:
    """FILE, which is there; `-` is standard input."""
    return click.Argument(["file"], type=click.Path(exists=True, dir_okay=False, allow_dash=True), metavar="FILE")
