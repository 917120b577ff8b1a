"""Several passes over a folder, one after the other: what is between them is a folder too, and vanishes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import reduce
from os import PathLike
from pathlib import Path

from onnx_n2n.errors import OptionError
from onnx_n2n.huggingface import writing
from onnx_n2n.huggingface.card import name_of
from onnx_n2n.huggingface.configs import NOTHING, Fields
from onnx_n2n.huggingface.deepening import deepen
from onnx_n2n.huggingface.folder import opened
from onnx_n2n.huggingface.grown import Grown
from onnx_n2n.huggingface.output import Output
from onnx_n2n.huggingface.widening import widen
from onnx_n2n.io.folders import named
from onnx_n2n.io.rooms import room
from onnx_n2n.passes.base import Pass
from onnx_n2n.passes.deepen import Deepen
from onnx_n2n.passes.sequential import Sequential
from onnx_n2n.passes.widen import Widen


def run(folder: str | PathLike[str], change: Pass, output: Output, fields: Fields = NOTHING) -> Grown:
    """Apply a pass, or several in a row, to a model in a Hugging Face folder, and write it as a new folder.

    Args:
        folder: A folder as ``save_pretrained`` and the hub have it; nothing is written into it.
        change: ``Widen``, ``Deepen``, or a ``Sequential`` of these.
        output: The new folder.
        fields: Values of fields of the config that you choose; for the last ``Widen``.

    Returns:
        What all of them did; what was verified is of the last.

    Raises:
        N2NError: Of any kind; nothing was written then.
    """
    passes = _flat(change)
    for each in passes:
        if not isinstance(each, Widen | Deepen):
            raise OptionError(f"{type(each).__name__.lower()!r} does not go with a Hugging Face folder",
                              hint="'widen' and 'deepen' do")  # fmt: skip
    if fields and not any(isinstance(each, Widen) for each in passes):
        raise OptionError("fields of the config are chosen where a model grows wider", hint="leave them out")
    if not passes:
        raise OptionError("no pass is asked for", hint="'widen' and 'deepen' go with a Hugging Face folder")
    writing.check_output(opened(folder), output.path, force=output.force)
    last = max((at for at, each in enumerate(passes) if isinstance(each, Widen)), default=-1)
    with ExitStack() as stack:
        inside = stack.enter_context(room(named(Path(output.path)).parent)) if len(passes) > 1 else Path()
        source, done = Path(folder), list[Grown]()
        for at, each in enumerate(passes):
            place = replace(output, earlier=done[-1].record) if done else output
            if at + 1 < len(passes):
                apart = inside / str(at)
                apart.mkdir()
                name = name_of(Path(folder)).rpartition("/")[2]
                place = replace(place, path=apart / name, force=False, last=False)
            if isinstance(each, Widen):
                grown = widen(source, each, place, fields if at == last else NOTHING)
            else:
                assert isinstance(each, Deepen)
                grown = deepen(source, each, place)
            if at:
                shutil.rmtree(source)  # nobody needs it any more, and others need its room
            source = Path(place.path)
            done.append(grown)
    return reduce(lambda one, later: one.joined(later), done)


def _flat(change: Pass) -> Sequence[Pass]:
    if isinstance(change, Sequential):
        return [each for part in change.passes for each in _flat(part)]
    return [change]
