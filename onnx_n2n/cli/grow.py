"""Commands that make a student: one for each pass, and one for several."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from onnx_n2n.cli import reports
from onnx_n2n.cli.console import print_json, printing, stages, terminal
from onnx_n2n.cli.options import choosing, growing, named_size, output_size, proof_of
from onnx_n2n.cli.streams import check_streams, readable
from onnx_n2n.io.atomic import STDOUT
from onnx_n2n.passes import Deepen, Enlarge, Outputs, Pass, Sequential, Widen, parse
from onnx_n2n.passes.deepen import KINDS
from onnx_n2n.passes.driver import Target
from onnx_n2n.width.plan import INIT, NOISE


def _deliver(
    change: Pass,
    model: Path,
    *,
    output: Path | None,
    record: Path | None,
    force: bool,
    strict: bool,
    as_json: bool,
    verify: bool,
    inputs: Path | None,
    shapes: tuple[str, ...],
    provider: str,
    time_limit: float,
) -> None:
    """Apply a pass to a file, and print what it did."""
    proof = proof_of(
        wanted=verify, inputs=inputs, shapes=shapes, provider=provider, seed=getattr(change, "seed", 0),
        time_limit=time_limit,
    )  # fmt: skip
    console = terminal()
    check_streams(model, output, as_json=as_json)
    with readable(model) as file:
        with stages(console) as progress:
            target = Target(output, force, record)
            result = change(file, proof=proof, output=target, strict=strict, progress=progress)
        if not result.modified:
            raise result.change.nothing
    report = result.report.of(str(model))
    with printing():
        if as_json:
            steps = [{"pass": step.text, "seed": step.seed, "parent": step.parent} for step in result.change.steps]
            named = {"teacher": str(model), "student": str(result.model), "pass": result.passes, "steps": steps}
            own = {"digest": result.growth.student, "record": None if record is None else str(record)}
            print_json(named | own | report.to_json())
        else:
            reports.print_report(console, report)
            written = "stdout" if result.model == STDOUT else result.model
            console.print(f"Written to {written}", soft_wrap=True)
        reports.print_left_out(console, report.left_out)


@click.command()
@click.option("--factor", type=float, default=2.0, show_default=True, help="New width over old; need not be whole.")
@click.option("--group", "groups", multiple=True, metavar="NAME=SIZE", callback=named_size,
              help="Size of one group; without --factor, only groups named so grow.")
@click.option("--include", multiple=True, metavar="GLOB", help="Grow only what layers or weights of these names make.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave layers and weights of these names as they are.")
@choosing("groups")
@click.option("--multiple-of", type=int, default=1, show_default=True, help="Round new widths up to a multiple.")
@click.option("--init", type=click.Choice(["zero", "net2net"]), default=INIT, show_default=True,
              help="Fresh channels with zero outgoing weights, or copies of channels that share theirs.")
@click.option("--mapping", type=click.Choice(["random", "cyclic"]), default="random", show_default=True,
              help="Copy channels at random or in turn.")
@click.option("--noise", type=float, default=NOISE, show_default=True,
              help="Noise on the outgoing weights of copies, relative to theirs; it cancels.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@click.option("--outputs", metavar="[NAME=]SIZE", callback=output_size,
              help="More classes: a new length for an output, whose old entries stay as they are; without --factor and "
              "--group, nothing else grows.")
@growing("widened")
@click.pass_context
def widen(context: click.Context, /, model: Path, *, outputs: Outputs | None, **options: Any) -> None:
    """Widen MODEL, verify the outcome in ONNX Runtime, and write it beside MODEL."""
    inside = context.get_parameter_source("factor") is not click.core.ParameterSource.DEFAULT
    if options["groups"] and not inside:
        options["factor"] = 1.0
    inside = inside or bool(options["groups"])
    grow = Widen(**{field.name: options.pop(field.name) for field in fields(Widen)})
    if outputs is None:
        _deliver(grow, model, **options)
    else:
        _deliver(Sequential((outputs, grow)) if inside else outputs, model, **options)


@click.command()
@click.option("--kind", type=click.Choice(KINDS), default="auto", show_default=True,
              help="Copies of residual blocks, identity layers, residual pairs of layers, or the first there is.")
@click.option("--after", multiple=True, metavar="GLOB", help="Only behind layers, weights or tensors of these names.")
@click.option("--stage", multiple=True, metavar="N", help="Only in these stages; 'inspect' lists them.")
@click.option("--every", type=int, default=1, show_default=True, help="Take only every n-th place.")
@click.option("--count", type=int, default=0, help="How many times to add depth, spread evenly.  [default: everywhere]")
@click.option("--kernel", multiple=True, metavar="3x3",
              help="Kernel of new convolutions; several make one behind the other.  [default: the neighbour's]")
@choosing("places")
@click.option("--calibrate", default="", metavar="FILE.npz",
              help="Real inputs from which BatchNormalization takes its statistics.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@growing("deepened")
def deepen(model: Path, **options: Any) -> None:
    """Deepen MODEL, verify the outcome in ONNX Runtime, and write it beside MODEL."""
    own = {field.name: options.pop(field.name) for field in fields(Deepen)}
    _deliver(Deepen(**own), model, **options)


@click.command()
@click.option("--kernel", default="", metavar="5x5",
              help="Kernel to grow to; one number holds for every axis.  [default: 2 more for axes longer than 1]")
@click.option("--include", multiple=True, metavar="GLOB",
              help="Grow only kernels of layers, nodes or weights of these names, or of these lengths, as 3x3.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave such kernels as they are.")
@choosing("convolutions")
@growing("enlarged")
def enlarge(model: Path, **options: Any) -> None:
    """Enlarge the kernels of MODEL's convolutions, verify the outcome in ONNX Runtime, and write it beside MODEL."""
    own = {field.name: options.pop(field.name) for field in fields(Enlarge)}
    _deliver(Enlarge(**own), model, **options)


@click.command()
@click.option("-p", "--passes", required=True, metavar="PASSES", help="As in 'widen{factor=1.4},deepen{every=2}'.")
@growing("grown")
def run(model: Path, *, passes: str, **options: Any) -> None:
    """Apply several passes to MODEL one after the other, verify the outcome, and write it beside MODEL."""
    _deliver(parse(passes), model, **options)
