"""Checkpoints in files: safetensors, and what ``torch.save`` writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import onnx_ir as ir

from onnx_n2n import safetensors_files, torch_files
from onnx_n2n.checkpoint import Arrays, Grown, again, grow
from onnx_n2n.errors import GrowthError
from onnx_n2n.io.atomic import drafting, unwritten
from onnx_n2n.io.sources import Source
from onnx_n2n.record import Record
from onnx_n2n.torch_document import Growing


def grow_file(
    record: Record,
    source: Path,
    target: Path,
    *,
    force: bool = False,
    read: Iterable[Source] = (),
    optimizer: bool = False,
    orders: Sequence[Path] = (),
    keep: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
    teacher: ir.Model | None = None,
    student: ir.Model | None = None,
    prove: Callable[[Grown, Arrays], None] = lambda *_: None,
    verify: bool = True,
) -> Grown:
    """Grow the checkpoint in a file, and write it to another, in the same format and with all else that is in it.

    Args:
        record: What became of the weights.
        source: A ``.safetensors`` file, or one of ``torch.save`` with a dictionary of tensors, perhaps as an entry.
        target: Where to write.
        force: Whether to replace a file that is there.
        read: Other files that are read on the way, and are never written.
        optimizer: Whether to grow the state of optimizers too, of which one must be in the file.
        orders: For each optimizer that has no names a file with those of its parameters, in its order.
        keep: Globs of what stays as it is: of parameters, see :func:`onnx_n2n.checkpoint.grow`, as for what follows;
            of whatever else the file holds, by path, ``optimizers.d*``.
        given: Parameters by weight.
        teacher: The model that was exported from this checkpoint.
        student: The model that has grown.
        prove: Is given what has grown and what was there before anything is written; also for each copy of the network.
        verify: Whether to prove that grown moments are those of before, which needs no model.

    Raises:
        ModelError: The file cannot be read.
        OptionError: Nothing can be written at the target.
        GrowthError: It does not fit the record, or has no optimizer, or one that cannot grow.
        N2NError: PyTorch is not installed, and the file needs it.
    """
    checkpoint = Source.of(source, f"the checkpoint {str(source)!r}")

    def growing(arrays: Arrays, keep: Sequence[str] = keep, own: bool = True) -> Grown:
        found = grow(record, arrays, keep, given=given, teacher=teacher, student=student)
        if own:
            prove(found, arrays)
        return found

    def growing_again(found: Grown, arrays: Arrays) -> Grown:
        other = again(found, arrays, student, given or {})
        prove(other, arrays)
        return other

    with drafting(target, force=force, read=(checkpoint, *read)) as draft:
        if source.suffix == ".safetensors":
            if optimizer:
                hint = "pass the checkpoint that torch.save wrote"
                raise GrowthError("a safetensors file holds no optimizer", hint=hint)
            found, write = safetensors_files.grown(growing, checkpoint)
        else:
            ways = Growing(record, growing, growing_again, optimizer, keep, orders, verify)
            found, write = torch_files.grown(ways, source)
        try:
            write(draft.path)
        except (OSError, RuntimeError) as failure:  # PyTorch raises the latter where the disk is full
            raise unwritten(target, failure) from failure
        draft.publish()
    return found
