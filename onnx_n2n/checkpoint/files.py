"""Checkpoints in files and folders: safetensors, and what ``torch.save`` writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import onnx_ir as ir

from onnx_n2n.checkpoint.folders import SIZES, Companions, Location, check_growing, growing_folder
from onnx_n2n.checkpoint.globs import check_keep
from onnx_n2n.checkpoint.growth import Grown, again, grow
from onnx_n2n.checkpoint.making import Arrays
from onnx_n2n.checkpoint.shards import Shards
from onnx_n2n.checkpoint.torch import files
from onnx_n2n.checkpoint.torch.growing import Growing
from onnx_n2n.checkpoint.torch.shards import TorchShards
from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.io import safetensors_files, space
from onnx_n2n.io.atomic import check, drafting, unwritten
from onnx_n2n.io.lazy import specs_of
from onnx_n2n.io.sources import Source
from onnx_n2n.progress import Progress, unheard
from onnx_n2n.record.record import Record

SAFETENSORS = ".safetensors"
TORCH = (".bin", ".pt", ".pth", ".ckpt")


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
    untie: Sequence[str] = (),
    prove: Callable[[Grown, Arrays], None] = lambda *_: None,
    verify: bool = True,
    progress: Progress = unheard,
) -> Grown:
    """Grow the checkpoint in a file or folder, and write it to another, in the same format and with all else in it.

    Args:
        record: What became of the weights.
        source: A ``.safetensors`` file, or one of ``torch.save`` with a dictionary of tensors, perhaps as an entry; the
            index of several such files, ``model.safetensors.index.json``; or a folder with one of these.
        target: Where to write: a file for a file, a folder for a folder or an index. These can become one file too, if
            it is called as such files are.
        force: Whether to replace what is there.
        read: Other files that are read on the way, and are never written.
        optimizer: Whether to grow the state of optimizers too, of which one must be in the file.
        orders: For each optimizer that has no names a file with those of its parameters, in its order.
        keep: Globs of what stays as it is: of parameters, see :func:`onnx_n2n.checkpoint.growth.grow`, as for what
            follows; of whatever else the file holds, by path, ``optimizers.d*``.
        given: Parameters by weight.
        teacher: The model that was exported from this checkpoint.
        student: The model that has grown.
        untie: Globs of names that the network's code no longer ties to others.
        prove: Is given what has grown and what was there before anything is written; also for each copy of the network.
        verify: Whether to prove that grown moments are those of before, which needs no model.
        progress: Is told each stage as it begins, and how far the writing of safetensors is.

    Raises:
        ModelError: The checkpoint cannot be read, there are several, or the disk has no room for what it becomes.
        OptionError: Nothing can be written at the target; there are orders, and optimizers do not grow; or a glob names
            nothing, or only what grows.
        GrowthError: It does not fit the record, or has no optimizer, or one that cannot grow.
        N2NError: PyTorch is not installed, and the file needs it.
    """
    if orders and not optimizer:
        reason = "`optimizer_order=` is about optimizers, which stay as they are"
        raise OptionError(reason, hint="pass `optimizer=True` too")
    place, read = Location.of(source), tuple(read)
    single = _single(place, target)

    def growing(arrays: Arrays, keep: Sequence[str] = keep, own: bool = True) -> Grown:
        found = grow(record, arrays, keep, given=given, teacher=teacher, student=student, untie=untie)
        if own:
            prove(found, arrays)
        return found

    def growing_again(found: Grown, arrays: Arrays) -> Grown:
        other = again(found, arrays, student, given or {})
        prove(other, arrays)
        return other

    ways = Growing(record, growing, growing_again, optimizer, keep, orders, verify)
    if single:
        with drafting(target, force=force, read=(*place.read, *read)) as draft:
            found, write = _grown(place, ways, progress, single=single)
            _written(found, write, draft.path, target, progress)
            draft.publish()
        return found
    rest = Companions.of(place)
    with growing_folder(target, place, rest, force=force, read=read) as folder:
        found, write = _grown(place, ways, progress, single=single)
        _written(found, write, folder, target, progress)
    copied = tuple(each.path.name for each in rest.copied)
    stale = tuple(name for name in copied if name == SIZES and found.grown)
    return replace(found, copied=copied, stale=stale, left_out=rest.left_out)


def check_output(source: Path, target: Path, *, force: bool) -> None:
    """Make sure that a checkpoint is there, and that what becomes of it can be written.

    Raises:
        ModelError: There is no checkpoint, or there are several.
        OptionError: Nothing can be written at the target.
    """
    place = Location.of(source)
    if _single(place, target):
        check(target, force=force, read=place.read)
    else:
        check_growing(target, place, Companions.of(place), force=force)


def _single(place: Location, target: Path) -> bool:
    """Say whether a single file is to be written.

    Raises:
        OptionError: It would be of another format than its name says.
    """
    is_torch = place.suffix != SAFETENSORS
    if target.suffix in (TORCH, (SAFETENSORS,))[is_torch]:
        written = "what torch.save writes" if is_torch else "safetensors"
        raise OptionError(
            f"the checkpoint is {written}, and is written as it was read, but {target.name!r} names another format",
            hint=f"give the output a name that ends with {place.suffix!r}",
        )
    return place.folder is None or target.suffix in {SAFETENSORS, *TORCH}


def _grown(
    place: Location, ways: Growing, progress: Progress, *, single: bool
) -> tuple[Grown, Callable[[Path], object]]:
    """Grow, and return how to write what became of it: to a single file, or into a folder."""
    progress("growing the checkpoint")
    if place.index is None and place.suffix != SAFETENSORS:
        (source,) = place.files
        found, write = files.grown(ways, source)
        return found, write if single else lambda folder: write(folder / source.path.name)
    if ways.optimizer:
        what = "a safetensors file" if place.index is None else "a checkpoint in several files"
        raise GrowthError(f"{what} holds no optimizer", hint="pass the checkpoint that torch.save wrote")
    shards = Shards.open(place.files, safetensors_files if place.suffix == SAFETENSORS else TorchShards(), place.index)
    found = ways.grow(shards.arrays, ways.keep, True)
    was = {now: name for name, now in found.renamed.items()}
    check_keep(ways.keep, [was.get(name, name) for name in (*found.kept, *found.left)], shards.arrays)
    return found, partial(shards.write_one if single else shards.write_all, found, progress)


def _written(
    found: Grown, write: Callable[[Path], object], draft: Path, target: Path, progress: Progress
) -> None:
    progress("writing the checkpoint")
    space.suffices(target, draft.parent, sum(spec.nbytes for spec in specs_of(found.arrays).values()))
    try:
        write(draft)
    except (OSError, RuntimeError) as failure:  # PyTorch raises the latter where the disk is full
        raise unwritten(target, failure) from failure
