"""Commands that carry a student back to where training goes on: as a grown checkpoint, or as an export.

What works on them is imported where that is done, so that the help is there at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import onnx_n2n
from onnx_n2n.cli.errors import ends_well
from onnx_n2n.cli.options import pairs, taking
from onnx_n2n.cli.output import print_json, printing
from onnx_n2n.cli.streams import readable
from onnx_n2n.errors import OptionError
from onnx_n2n.io.atomic import STDOUT
from onnx_n2n.verification.asking import Verifying


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--record", "records", required=True, multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="What became of every weight, as written with --record; of several passes in their order.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Where to write.")
@click.option("--optimizer", is_flag=True, help="Grow the state of the optimizers in the checkpoint too.")
@click.option("--optimizer-order", "orders", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Parameters of an optimizer that saves no names, in its order, one on each line.")
@click.option("--teacher", type=click.Path(path_type=Path), metavar="MODEL",
              help="The model that was exported from this very checkpoint: finds parameters without names by value.")
@click.option("--student", type=click.Path(path_type=Path), metavar="MODEL",
              help="The model that has grown: has the values of layers that were added. Copies of blocks need none.")
@click.option("--name", "names", multiple=True, metavar="WEIGHT=PARAMETER", callback=pairs,
              help="Which parameter a weight is, PARAMETER:transposed where it lies so; or what a new one is called.")
@click.option("--verify/--no-verify", default=True, show_default=True,
              help="Prove grown moments; and given both models, run them in PyTorch with both checkpoints.")
@click.option("--keep", multiple=True, metavar="GLOB",
              help="Tensors that the record does not know, and optimizers, that stay as they are.")
@click.option("--untie", multiple=True, metavar="GLOB",
              help="Names that the network's code no longer ties to others, so that they may become different.")
@click.option("--force", is_flag=True, help="Overwrite the output.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@ends_well
def grow_checkpoint(
    checkpoint: Path,
    *,
    records: tuple[Path, ...],
    output: Path,
    optimizer: bool,
    orders: tuple[Path, ...],
    teacher: Path | None,
    student: Path | None,
    names: dict[str, str],
    verify: bool,
    keep: tuple[str, ...],
    untie: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Grow CHECKPOINT, a network's own parameters, as a student's weights have grown.

    It is a .safetensors file, one of torch.save, the index of several, or a folder with one of these. A folder or an
    index becomes a folder, with what else is in it.
    """
    from onnx_n2n.cli import checkpoints
    from onnx_n2n.cli.console import stages, terminal

    with stages(terminal()) as progress:
        found = onnx_n2n.grow_checkpoint(
            checkpoint, records, output, optimizer=optimizer, optimizer_order=orders, teacher=teacher, student=student,
            names=names, verify=verify, keep=keep, untie=untie, force=force, progress=progress,
        )  # fmt: skip
    with printing():
        if as_json:
            proof = None if found.proof is None else found.proof.to_json()
            print_json({"checkpoint": str(output), **found.to_json(), "proof": proof})
        else:
            checkpoints.print_grown(terminal(), found)
            terminal().print(f"Written to {output}", soft_wrap=True)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(["torch", "jax", "keras", "safetensors"]), required=True,
              help="A trainable PyTorch module, a JAX function with its trees, a Keras model, or the weights only.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--verify/--no-verify", "verify", default=True, show_default=True,
              help="Run the export beside ONNX Runtime before writing.")
@click.option("--freeze", multiple=True, metavar="GLOB", help="Tensors that stay as they are in training.")
@click.option("--train", multiple=True, metavar="GLOB", help="Tensors that are trained, also where --freeze matches.")
@taking(Verifying, "inputs", "shapes", "time_limit")
@click.option("--force", is_flag=True, help="Overwrite an export that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@ends_well
def export(
    model: Path,
    *,
    to: Any,
    output: Path,
    verify: bool,
    inputs: Path | None,
    shapes: dict[str, tuple[int, ...]],
    freeze: tuple[str, ...],
    train: tuple[str, ...],
    time_limit: float,
    force: bool,
    as_json: bool,
) -> None:
    """Carry MODEL back to a training framework, with the names its weights had there, and check what it computes."""
    from onnx_n2n.cli.console import stages, terminal
    from onnx_n2n.cli.exported import print_exported

    console = terminal()
    if output == STDOUT:
        raise OptionError("an export is a folder and cannot be written to stdout", hint="name one with -o")
    with readable(model) as file, stages(console) as progress:
        found = onnx_n2n.export.write(
            file, output, to=to, verify=verify, inputs=inputs, shapes=shapes, freeze=freeze,
            train=train, time_limit=time_limit, force=force, progress=progress,
        )  # fmt: skip
    with printing():
        if as_json:
            print_json({"model": str(model), **found.to_json()})
        else:
            print_exported(console, found)
