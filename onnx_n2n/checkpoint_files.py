"""Checkpoints in files: safetensors, and what ``torch.save`` writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import onnx_ir as ir

from onnx_n2n import safetensors_files, torch_files
from onnx_n2n.checkpoint import Arrays, Grown, grow
from onnx_n2n.errors import GrowthError
from onnx_n2n.io.atomic import drafting, unwritten
from onnx_n2n.io.sources import Source
from onnx_n2n.record import Record


def grow_file(
    record: Record,
    source: Path,
    target: Path,
    *,
    force: bool = False,
    read: Iterable[Source] = (),
    optimizer: bool = False,
    keep: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
    teacher: ir.Model | None = None,
    student: ir.Model | None = None,
    untie: Sequence[str] = (),
    prove: Callable[[Grown, Arrays], None] = lambda *_: None,
) -> Grown:
    """Grow the checkpoint in a file, and write it to another, in the same format and with all else that is in it.

    Args:
        record: What became of the weights.
        source: A ``.safetensors`` file, or one of ``torch.save`` with a dictionary of tensors, perhaps as an entry.
        target: Where to write.
        force: Whether to replace a file that is there.
        read: Other files that are read on the way, and are never written.
        optimizer: Whether to grow the optimizer's state too, which must be in the file.
        keep: See :func:`onnx_n2n.checkpoint.grow`, as for what follows.
        given: Parameters by weight.
        teacher: The model that was exported from this checkpoint.
        student: The model that has grown.
        untie: Globs of names that the network's code no longer ties to others.
        prove: Is given what has grown and what was there before anything is written.

    Raises:
        ModelError: The file cannot be read.
        OptionError: Nothing can be written at the target.
        GrowthError: It does not fit the record, or has no optimizer, or one that cannot grow.
        N2NError: PyTorch is not installed, and the file needs it.
    """
    checkpoint = Source.of(source, f"the checkpoint {str(source)!r}")

    def growing(arrays: Arrays) -> Grown:
        found = grow(record, arrays, keep, given=given, teacher=teacher, student=student, untie=untie)
        prove(found, arrays)
        return found

    with drafting(target, force=force, read=(checkpoint, *read)) as draft:
        if source.suffix == ".safetensors":
            if optimizer:
                hint = "pass the checkpoint that torch.save wrote"
                raise GrowthError("a safetensors file holds no optimizer", hint=hint)
            found, write = safetensors_files.grown(growing, checkpoint)
        else:
            found, write = torch_files.grown(growing, source, optimizer=optimizer)
        try:
            write(draft.path)
        except (OSError, RuntimeError) as failure:  # PyTorch raises the latter where the disk is full
            raise unwritten(target, failure) from failure
        draft.publish()
    return found
