"""Every failure ends as one paragraph and an exit code."""

from __future__ import annotations

import contextlib
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import takewhile
from typing import Any, TypeVar

import click

from onnx_n2n.cli.keywords import spoken
from onnx_n2n.cli.output import print_json, printing
from onnx_n2n.errors import EnvironmentWarning, LeftOutWarning, N2NError, OptionError
from onnx_n2n.words import harmless

BUG, INTERRUPTED = 4, 130

Command = TypeVar("Command", bound=Callable[..., Any])


class Commands(click.Group):
    """Commands that say what is wrong with an option as all other errors are said: in one paragraph."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Read the command line, which may ask for the help of all commands."""
        with printing():
            return super().make_context(*arguments, **options)
        raise click.exceptions.Exit(0)  # whoever read the help has left early

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take down whether a document is asked for, which usage errors have to know before options are read."""
        ctx.obj = wants_json(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            with printing(), warnings.catch_warnings():
                warnings.showwarning = _spoken(warnings.showwarning)
                return super().invoke(ctx)
        except click.UsageError as failure:
            found = failure.ctx or ctx
            message = " ".join(failure.format_message().split()).removesuffix(".")
            error = OptionError(message, hint=f"'{found.command_path} -h' shows what there is")
            tell(error, error.exit_code, _name(found) if ctx.obj else None)
            sys.exit(error.exit_code)


def _name(context: click.Context) -> str:
    """Return the name of the command at work; empty where none has been found yet."""
    return "" if context.parent is None else str(context.command.name)


def wants_json(arguments: Sequence[str]) -> bool:
    """Say whether a command line asks for a document."""
    return "--json" in takewhile(lambda each: each != "--", arguments)


def tell(error: N2NError, code: int, command: str | None) -> None:
    """Say what is wrong: in one paragraph on stderr, and in the document of a command if one is asked for."""
    parts = {"reason": error.reason, "hint": error.hint, "node": error.node, "operator": error.operator}
    found = {"code": code, "kind": type(error).__name__, **parts, "shapes": error.shapes}
    with contextlib.suppress(OSError):  # stderr is full or has nobody: the exit code says it
        click.echo(harmless(f"Error: {' '.join(spoken(str(error)).split())}"), err=True)
    if command is not None:
        with contextlib.suppress(OSError):
            print_json({"error": found}, command)


def _spoken(show: Callable[..., None]) -> Callable[..., None]:
    """Say our own warnings as errors are said; all others are shown with their place, as Python does."""

    def said(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, EnvironmentWarning):
            click.echo(harmless(f"Warning: {spoken(str(message))}"), err=True)
        elif not issubclass(category, LeftOutWarning):  # the report says it, at its end
            show(message, category, *place)

    return said


def ends_well(command: Command) -> Command:
    """Turn every error into one paragraph and an exit code."""

    @wraps(command)
    def guarded(*args: Any, verbose: bool, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as failure:
            if verbose:
                traceback.print_exc()
            error, code = _said(failure)
            tell(error, code, _name(click.get_current_context()) if kwargs.get("as_json") else None)
            sys.exit(code)

    option = click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
    return option(guarded)  # type: ignore[return-value]


def _said(failure: BaseException) -> tuple[N2NError, int]:
    """Return an error as one of ours, and the exit code."""
    if isinstance(failure, N2NError):
        return failure, failure.exit_code
    if isinstance(failure, KeyboardInterrupt):
        return N2NError("interrupted; nothing was written"), INTERRUPTED
    if isinstance(failure, MemoryError) or "can't start new thread" in str(failure):
        return N2NError("there is not enough memory", hint="ask for less growth"), N2NError.exit_code
    if isinstance(failure, RecursionError):
        return N2NError("something in the model is nested too deep to be followed"), N2NError.exit_code
    reason = f"a bug in onnx-n2n ({type(failure).__name__}: {failure})"
    return N2NError(reason, hint="please report it, with what -v shows"), BUG
