"""Every failure ends as one paragraph and an exit code."""

from __future__ import annotations

import contextlib
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from onnx_n2n.cli.console import printing
from onnx_n2n.errors import EnvironmentWarning, LeftOutWarning, N2NError, OptionError

BUG, INTERRUPTED = 4, 130

Command = TypeVar("Command", bound=Callable[..., Any])


class _Misuse(click.ClickException):
    exit_code = OptionError.exit_code


class Commands(click.Group):
    """Commands that say what is wrong with an option as all other errors are said: in one paragraph."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Read the command line, which may ask for the help of all commands."""
        with printing():
            return super().make_context(*arguments, **options)
        raise click.exceptions.Exit(0)  # whoever read the help has left early

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            with printing(), warnings.catch_warnings():
                warnings.showwarning = _spoken(warnings.showwarning)
                return super().invoke(ctx)
        except click.UsageError as failure:
            path = failure.ctx.command_path if failure.ctx is not None else ctx.command_path
            message = " ".join(failure.format_message().split())
            raise _Misuse(f"{message} '{path} -h' shows what there is.") from None


def _spoken(show: Callable[..., None]) -> Callable[..., None]:
    """Say our own warnings as errors are said; all others are shown with their place, as Python does."""

    def said(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, EnvironmentWarning):
            click.echo(f"Warning: {message}", err=True)
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
            text, code = _said(failure)
            with contextlib.suppress(OSError):  # stderr is full or has nobody: the exit code says it
                click.echo(f"Error: {' '.join(text.split())}", err=True)
            sys.exit(code)

    option = click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
    return option(guarded)  # type: ignore[return-value]


def _said(failure: BaseException) -> tuple[str, int]:
    """Return the text and the exit code of an error."""
    if isinstance(failure, N2NError):
        return str(failure), failure.exit_code
    if isinstance(failure, KeyboardInterrupt):
        return "interrupted; nothing was written.", INTERRUPTED
    if isinstance(failure, MemoryError) or "can't start new thread" in str(failure):
        return "there is not enough memory. Ask for less growth.", N2NError.exit_code
    if isinstance(failure, RecursionError):
        return "something in the model is nested too deep to be followed.", N2NError.exit_code
    return f"a bug in onnx-n2n ({type(failure).__name__}: {failure}). Please report it, with what -v shows.", BUG
