"""Options that several commands have, made of the fields that state them, and how values of options are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import click
from click.core import ParameterSource

from onnx_n2n.cli.errors import Command, ends_well
from onnx_n2n.cli.pages import as_html
from onnx_n2n.errors import OptionError
from onnx_n2n.options import Option, named, options, whole
from onnx_n2n.verification.asking import Verifying
from onnx_n2n.verification.options import Proof
from onnx_n2n.words import brief

if TYPE_CHECKING:
    from onnx_n2n.passes.functions import Running


def named_size(text: str) -> tuple[str, int]:
    """Read NAME=SIZE."""
    name, _, size = text.rpartition("=")
    length = whole(size)
    if not name or length is None:
        raise OptionError(f"{brief(repr(text))} is not of the form NAME=SIZE")
    return name, length


def pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read WEIGHT=PARAMETER, as often as it is given."""
    if wrong := [value for value in values if not all(value.partition("="))]:
        raise click.BadParameter(f"{brief(repr(wrong[0]))} is not of the form WEIGHT=PARAMETER.")
    try:
        return named((weight, name) for weight, _, name in (value.partition("=") for value in values))
    except OptionError as failure:
        raise click.BadParameter(str(failure)) from failure


def as_click(each: Option, *, undoing: bool = False) -> Callable[[Command], Command]:
    """Return the option of a command that gives a field its value; ``undoing`` makes that of a flag two, on and off."""
    said = each.said
    settings: dict[str, Any] = {"help": said.sentence, "metavar": said.metavar or None, "default": each.default}
    settings["show_default"] = not said.usual and each.default not in (None, "", (), {}) and each.default is not False
    origin = get_origin(each.scalar)
    if each.default is MISSING:
        settings |= {"required": True, "default": None, "show_default": False}
    elif origin is Mapping:
        settings |= {"multiple": True, "default": (), "callback": _entries(said.entry or named_size)}
    elif isinstance(each.default, tuple):
        kind = get_args(each.kind)[0]
        settings |= {"multiple": True, "type": kind if isinstance(kind, type) else str}
    elif each.choices:
        settings["type"] = click.Choice(each.choices)
    elif each.is_path:
        settings["type"] = click.Path(path_type=Path)
    elif each.scalar is bool:
        settings["is_flag"] = True
    elif said.above is not None:
        settings["type"] = click.FloatRange(min=said.above, min_open=True)
    else:
        settings["type"] = each.scalar if isinstance(each.scalar, type) else str
    *short, flag = each.flags
    two = each.scalar is bool and (undoing or each.default is True)
    both = f"{flag}/--no-{flag.removeprefix('--')}" if two else flag
    return click.option(*short, both, each.name, **settings)


def _entries(read: Callable[[str], tuple[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return what reads the entries of a mapping, each as often as it is given."""

    def entries(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
        try:
            return named(map(read, values))
        except (OptionError, ValueError) as wrong:  # the latter from the pass of a third party
            raise click.BadParameter(str(wrong)) from wrong

    return entries


def taking(kind: type, *names: str) -> Callable[[Command], Command]:
    """Add the options of a class, or those of some names, to a command."""
    known = options(kind)
    settings: Collection[str] = ()
    if any(each.name == "recipe" for each in known):  # which may say the contrary of what is given
        from onnx_n2n.passes.recipes import KEYS

        settings = KEYS

    def decorate(command: Command) -> Command:
        for each in reversed(known):
            if each.said.typed and (not names or each.name in names):
                command = as_click(each, undoing=each.name in settings)(command)
        return command

    return decorate


verifying = taking(Verifying)


def proof_of(*, wanted: bool, seed: int, **given: Any) -> Proof:
    """Return the proof that the options of ``verifying`` ask for; see :meth:`Verifying.proof`."""
    return Verifying(**given).proof(wanted=wanted, seed=seed)


def growing(kind: type[Running]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a call: it gets that, the file, ``as_json`` and ``html``."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def called(model: Path, **given: Any) -> None:
            source = click.get_current_context().get_parameter_source
            values = {each.name: given.pop(each.name) for each in options(kind) if each.said.typed}
            said = {name: value for name, value in values.items() if source(name) != ParameterSource.DEFAULT}
            call = kind.told(**said)
            command(call, model, **given)

        made = as_html("what was done")(ends_well(called))
        as_json = "Print the report as one JSON document on stdout."
        made = click.option("--json", "as_json", is_flag=True, help=as_json)(made)
        return click.argument("model", type=click.Path(path_type=Path))(taking(kind)(made))

    return decorate
