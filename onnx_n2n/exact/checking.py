"""The exact check of two models: their interfaces, and then their functions."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from onnx_n2n.errors import OptionError
from onnx_n2n.exact import growth
from onnx_n2n.exact import operators as _operators  # registers them
from onnx_n2n.exact.files import File, load
from onnx_n2n.exact.growth import Growth
from onnx_n2n.exact.interface import difference
from onnx_n2n.exact.limit import TooLong, too_long, within
from onnx_n2n.exact.pair import Pair
from onnx_n2n.exact.trying import compared
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.verdict import Verdict

Model = onnx.ModelProto | Path | str | File

__all__ = ["Model", "check"]
assert _operators


def check(
    teacher: Model,
    student: Model,
    *,
    record: Path | str | Mapping[str, Any] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    gained: Collection[str] = (),
    seconds: float = math.inf,
    trace: bool = False,
) -> Verdict:
    """Say whether two models compute the same for every input of some shapes, in exact arithmetic.

    >>> from onnx_n2n.exact import check
    >>> assert check("teacher.onnx", "student.onnx")

    Args:
        teacher: The model that is right: a path or an ``onnx.ModelProto``.
        student: The model to judge.
        record: What the student's constants were before they were rounded: a growth record, by its path, or its
            document with ``arrays``. Without one, that in the folder of the student's file is taken, if there is one.
        shapes: Shapes of inputs, for free axes; those of others are chosen.
        gained: Outputs in which the student may say more along one axis, behind what the teacher says.
        seconds: How long it may take, or it is undecided.
        trace: Whether to say of each tensor of the student what it is in the teacher. This takes another run.

    Raises:
        ModelError: If a model or the record cannot be read.
        OptionError: If a shape does not fit its input, or there is no output that has gained.
    """
    started = time.monotonic()
    one, two = (each if isinstance(each, File) else load(each) for each in (teacher, student))
    names = {each.name for each in one.proto.graph.output}
    if strange := sorted(set(gained) - names):
        raise OptionError(f"the teacher has no output {strange[0]!r}", hint=f"there is {', '.join(sorted(names))}")
    output, reason = difference(one, two)
    if reason:
        found = Verdict("different", output=output, reason=reason)
    else:
        pair = Pair(one, two, gained, _growth(student, record), trace=trace)
        try:
            with within(seconds):
                found = compared(pair, shapes or {}, started)
            if trace and found.relations is None and found.shapes:
                found = replace(found, relations=pair.relations(found.shapes[0]))
        except TooLong:
            found = Verdict("undecided", reason=too_long(seconds))
        except Undecided as why:
            found = Verdict("undecided", node=why.node, operator=why.operator, reason=why.reason)
        except MemoryError:
            found = Verdict("undecided", reason="there is not enough memory to run the models")
    return replace(found, seconds=time.monotonic() - started)


def _growth(student: Model, record: Path | str | Mapping[str, Any] | None) -> Growth | None:
    """Return what a growth record says of constants before rounding: the one given, or that beside the student."""
    if record is not None:
        return growth.read(record)
    return growth.beside(student) if isinstance(student, str | Path) else None
