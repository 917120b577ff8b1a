"""The exact check of models as a caller has them."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx

from onnx_n2n import exact
from onnx_n2n.errors import OptionError, told
from onnx_n2n.exact.files import File, load
from onnx_n2n.io.rooms import room
from onnx_n2n.record.record import Record
from onnx_n2n.verification.runtime import TIME_LIMIT
from onnx_n2n.verification.sessions import AnyModel, give, opened

AnyRecord = Record | str | os.PathLike[str] | Mapping[str, Any]


def exactly(
    teacher: AnyModel,
    student: AnyModel,
    *,
    shapes: Mapping[str, tuple[int, ...]],
    gained: Collection[str],
    record: AnyRecord | None,
    folder: Path | None,
    running: Mapping[str, Any],
    seconds: float = math.inf,
    trace: bool = False,
    tensors: Collection[str] = (),
) -> exact.Verdict:
    """Compare two models in finite fields; see `onnx_n2n.verify`.

    Args:
        teacher: The model that is right.
        student: The model to judge.
        shapes: Shapes by input, for free dimensions.
        gained: Outputs in which the student may say more.
        record: What constants were before rounding.
        folder: Where the external data of models in memory is.
        running: Options of running models, none of which may be given.
        seconds: How long it may take, or it is undecided.
        trace: Whether to say of each tensor of the student what it is in the teacher.
        tensors: Names of tensors that the student gives in place of the teacher's outputs.

    Raises:
        OptionError: If one is.
        ModelError: If a model or the record cannot be read.
    """
    usual = {
        "inputs": None, "provider": "auto", "seed": 0, "time_limit": TIME_LIMIT, "custom_ops": (),
        "session_options": None, "rows": False,
    }  # fmt: skip
    if wrong := [name for name, value in running.items() if value != usual[name]]:
        raise OptionError(
            f"`{wrong[0]}=` does not go with `exact=`", hint="nothing is run in ONNX Runtime, and no input is needed"
        )
    with _file(teacher, folder) as old, _file(student, folder) as new, _record(record) as said:
        old, new = _cut(old, new, tensors) if tensors else (old, new)
        return exact.check(old, new, record=said, shapes=shapes, gained=gained, seconds=seconds, trace=trace)


def _cut(old: Path | File, new: Path | File, tensors: Collection[str]) -> tuple[File, File]:
    """Return a teacher that gives other tensors, and a student that takes all that the teacher takes.

    Raises:
        ModelError: The teacher has no such tensor.
    """
    one, two = (load(each) if isinstance(each, Path) else each for each in (old, new))
    wanted, own = onnx.GraphProto(), list(two.proto.graph.input)
    there = {each.name for each in own}
    for each in one.inputs:  # those that it lacks stand where the teacher has them
        wanted.input.append(own.pop(0) if each.name in there and own else each)
    wanted.input.extend(own)
    two.proto.graph.ClearField("input")
    two.proto.graph.MergeFrom(wanted)
    give(one.proto.graph, tensors)
    return one, two


@contextlib.contextmanager
def _file(model: AnyModel, folder: Path | None) -> Iterator[Path | File]:
    """Lend a model as the check reads it: a file as it is written, else what would be in one."""
    if isinstance(model, str | os.PathLike):
        yield Path(model)
        return
    with opened(model, folder) as source:
        if isinstance(source.data, Path):
            yield source.data
            return
        with told("the model cannot be read"):
            proto = onnx.load_model_from_string(source.data)
        yield File(proto, source.folder or Path())


@contextlib.contextmanager
def _record(record: AnyRecord | None) -> Iterator[Path | Mapping[str, Any] | None]:
    """Lend a growth record as the check reads it."""
    if not isinstance(record, Record):
        yield Path(record) if isinstance(record, str | os.PathLike) else record
        return
    with room(Path(tempfile.gettempdir())) as inside:
        record.save(inside / "growth.safetensors")
        yield inside / "growth.safetensors"
