"""Options that several commands have, and how values of options are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from onnx_n2n.cli.errors import Command, ends_well
from onnx_n2n.io.sources import Source
from onnx_n2n.passes import Outputs
from onnx_n2n.verification import TIME_LIMIT, parse_shape, read_inputs
from onnx_n2n.verification.options import Proof
from onnx_n2n.verification.sessions import providers


def named_size(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    """Read NAME=SIZE, as often as it is given."""
    found = {}
    for value in values:
        name, _, size = value.rpartition("=")
        if not name or not size.isdecimal():
            raise click.BadParameter(f"{value!r} is not of the form NAME=SIZE.")
        found[name] = int(size)
    return found


def output_size(_context: click.Context, _option: click.Parameter, value: str | None) -> Outputs | None:
    """Read SIZE or NAME=SIZE."""
    if value is None:
        return None
    name, _, size = value.rpartition("=")
    if not size.isdecimal():
        raise click.BadParameter(f"{value!r} is not of the form SIZE or NAME=SIZE.")
    return Outputs(int(size), name)


def pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read WEIGHT=PARAMETER, as often as it is given."""
    if wrong := [value for value in values if not all(value.partition("="))]:
        raise click.BadParameter(f"{wrong[0]!r} is not of the form WEIGHT=PARAMETER.")
    return {weight: name for weight, _, name in (value.partition("=") for value in values)}


time_limited = click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), default=TIME_LIMIT,
                            show_default=True, metavar="SECONDS", help="What one run of a model may take, or 'inf'.")


def verifying(command: Command) -> Command:
    """Add the options that say how to run models."""
    options = [
        click.option("--inputs", type=click.Path(path_type=Path), metavar="FILE.npz",
                     help="Verify with these arrays, by input name."),
        click.option("--input", "shapes", multiple=True, metavar="NAME:1,3,224,224",
                     help="Shape of an input whose dimensions are free."),
        click.option("--provider", default="auto", show_default=True, metavar="auto|cpu|cuda|...",
                     help="Where to run both models: on CUDA where it works (auto), or on any provider that the "
                     "installed ONNX Runtime offers."),
        time_limited,
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def proof_of(
    *, wanted: bool, inputs: Path | None, shapes: tuple[str, ...], provider: str, seed: int, time_limit: float
) -> Proof:
    """Return the proof that the options of ``verifying`` ask for, which can be had: growing may take long.

    Raises:
        OptionError: There is no such provider.
        N2NError: There is no ONNX Runtime.
    """
    if wanted:
        providers(provider)
    read = () if inputs is None else (Source.of(inputs),)  # first: what is changed while it is read is refused
    feed = None if inputs is None else read_inputs(inputs)
    return Proof(wanted, feed, dict(map(parse_shape, shapes)), provider, seed, time_limit, read)


strictly = click.option("--strict", is_flag=True,
                        help="Fail if a student is wrong, instead of leaving out what makes it wrong.")  # fmt: skip


def choosing(parts: str) -> Callable[[Command], Command]:
    """Add the options that name the parts that change."""
    only = click.option("--only", multiple=True, metavar="NAME",
                        help=f"Change only the {parts} of exactly these names.")  # fmt: skip
    without = click.option("--without", multiple=True, metavar="NAME",
                           help=f"Leave the {parts} of exactly these names as they are.")  # fmt: skip
    return lambda command: only(without(command))


def growing(suffix: str) -> Callable[[Command], Command]:
    """Add what all commands take that make a student, and hand them a way to make it."""
    options = [
        click.argument("model", type=click.Path(path_type=Path)),
        click.option("-o", "--output", type=click.Path(path_type=Path),
                     help=f"Where to write.  [default: MODEL.{suffix}.onnx]"),
        click.option("--verify/--no-verify", "verify", default=True, show_default=True,
                     help="Run both models before writing."),
        verifying,
        click.option("--record", type=click.Path(path_type=Path), metavar="FILE",
                     help="Also write what became of every weight, for 'grow-checkpoint' and other tools."),
        click.option("--force", is_flag=True, help="Overwrite the output."),
        strictly,
        click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document on stdout."),
        ends_well,
    ]  # fmt: skip

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
