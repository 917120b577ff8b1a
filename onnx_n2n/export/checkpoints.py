"""The owner's checkpoint follows a student, and PyTorch proves it where it can."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from onnx_n2n.checkpoint.files import check_output, grow_file
from onnx_n2n.checkpoint.growth import Grown, grow
from onnx_n2n.checkpoint.making import Arrays
from onnx_n2n.cutting.places import behind
from onnx_n2n.cutting.taking import take
from onnx_n2n.errors import OptionError
from onnx_n2n.export.frameworks import missing
from onnx_n2n.io.atomic import STDOUT
from onnx_n2n.io.carried import carried
from onnx_n2n.io.incoming import private
from onnx_n2n.io.model import ModelLike, open_model
from onnx_n2n.io.sources import Source
from onnx_n2n.options import taken
from onnx_n2n.progress import Progress, unheard
from onnx_n2n.record.joining import AnyRecord, join
from onnx_n2n.record.record import Record


@taken("record", "output", "optimizer", "optimizer_order", "names", "verify", "keep", "untie", "force")
def grow_checkpoint(
    checkpoint: str | os.PathLike[str] | Arrays,
    record: AnyRecord | Sequence[AnyRecord],
    output: str | os.PathLike[str] | None = None,
    *,
    optimizer: bool = False,
    optimizer_order: Sequence[str | os.PathLike[str]] = (),
    teacher: ModelLike | None = None,
    student: ModelLike | None = None,
    names: Mapping[str, str] | None = None,
    verify: bool = True,
    keep: Sequence[str] = (),
    untie: Sequence[str] = (),
    force: bool = False,
    progress: Progress = unheard,
) -> Grown:
    """Grow a network's own parameters, as a student's weights have grown.

    >>> grown = onnx_n2n.widen("model.onnx", 1.5, output="student.onnx").growth
    >>> onnx_n2n.grow_checkpoint("model.safetensors", grown, "student.safetensors")
    <Grown: 3 parameters grew, 1 stay as they were>
    >>> from safetensors.numpy import load_file
    >>> onnx_n2n.grow_checkpoint(load_file("model.safetensors"), grown).arrays["fc1.weight"].shape
    (12, 4)

    Args:
        checkpoint: A ``.safetensors`` file, one of ``torch.save``, the index of several, or a folder with one of these;
            or numpy arrays by parameter, which need no ``output``.
        record: What became of every weight, as ``result.growth`` or its file; of several passes in their order.
        output: Where to write: a file for a file. A folder or an index becomes a folder, with what else is in it.
        optimizer: Whether to grow the state of the optimizers in the checkpoint too.
        optimizer_order: For each optimizer that has no names, a file of its parameters in its order, one on each line.
        teacher: The model that was exported from this very checkpoint: finds parameters without names by value.
        student: The model that has grown: has the values of layers that were added.
        names: Parameters by weight, as ``parameter:transposed`` where one lies so; or what a new one is called.
        verify: Whether to prove grown moments; and, given both models, to run them in PyTorch with both checkpoints.
        keep: Globs of tensors that the record does not know, and of optimizers, that stay as they are.
        untie: Globs of names that the network's code no longer ties to others, so that they may become different.
        force: Whether to overwrite what is there.
        progress: Is told each stage as it begins, as a text. A :class:`onnx_n2n.progress.Meter` is also told how many
            bytes and tensors are written.

    Returns:
        What became of each parameter, with the values.

    Raises:
        ModelError: The checkpoint or a record cannot be read, or there is no room on the disk for what it becomes.
        OptionError: Nothing can be written at the output, or a glob names nothing, or only what grows.
        GrowthError: The checkpoint does not fit the record, or has no optimizer, or one that cannot grow.
        VerificationError: PyTorch shows that the student with the grown checkpoint computes something else.
        N2NError: PyTorch is not installed, and the file needs it.
    """
    given = list(record) if isinstance(record, Sequence) and not isinstance(record, str) else [record]
    files = [Path(each) for each in given if isinstance(each, str | os.PathLike)]
    if isinstance(checkpoint, Mapping):
        if optimizer or output is not None:
            reason = "arrays hold no optimizer" if optimizer else "arrays are grown in memory, and not written"
            raise OptionError(reason, hint="pass the file of the checkpoint")
    elif not isinstance(checkpoint, str | os.PathLike):
        raise OptionError(f"a checkpoint is a path, or arrays by parameter, not {type(checkpoint)}")
    else:
        if output is None:
            raise OptionError("a checkpoint in a file becomes another file", hint="name it with `output=`")
        if Path(output) == STDOUT:
            raise OptionError("a checkpoint cannot be written to stdout", hint="name a file with `output=`")
        check_output(Path(checkpoint), Path(output), force=force)
    before, after = (None if model is None else open_model(model).model for model in (teacher, student))
    models = [model for model in (before, after) if model is not None]
    orders = [Path(each) for each in optimizer_order]
    read = [*map(Source.of, (*files, *orders)), *(each for model in models for each in carried(model).files.read)]
    proofs: list[Any] = []

    def prove(found: Grown, arrays: Arrays) -> None:
        if not verify or before is None or after is None:
            return
        with missing("torch"):
            from onnx_n2n.export.torch.growth import prove as run
        progress("comparing gradients in PyTorch")
        proofs.append(run(_cut(before, whole), after, found, arrays))

    whole = join(given)
    if isinstance(checkpoint, Mapping):
        found = grow(whole, checkpoint, keep, given=names, teacher=before, student=after, untie=untie)
        prove(found, checkpoint)
    else:
        found = grow_file(
            whole, Path(checkpoint), Path(output or ""), force=force, read=read, optimizer=optimizer, orders=orders,
            keep=keep, given=names, teacher=before, student=after, untie=untie, prove=prove, verify=verify,
            progress=progress,
        )  # fmt: skip
    return replace(found, proof=proofs[0] if proofs else None)


def _cut(teacher: ir.Model, record: Record) -> ir.Model:
    """Return the teacher as it gives what a student gives that was cut out of it."""
    if record.outputs:
        teacher = private(teacher)
        take(teacher, behind(teacher, record.outputs))
    return teacher
