"""How the inputs and outputs of two models differ, which explains why one of them does not run or is not the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir


@dataclass(frozen=True)
class Difference:
    """One difference between the interfaces of teacher and student.

    Attributes:
        where: ``input`` or ``output``.
        name: Name of the tensor.
        what: ``missing`` in the student, ``added`` by it, or another ``type`` or ``shape``.
        teacher: What it is in the teacher, for people; empty if nothing.
        student: The same in the student.
    """

    where: str
    name: str
    what: str
    teacher: str = ""
    student: str = ""

    def __str__(self) -> str:
        """Say it as half a sentence."""
        if self.what == "missing":
            return f"the student has no {self.where} {self.name!r} ({self.teacher})"
        if self.what == "added":
            return f"the teacher has no {self.where} {self.name!r} ({self.student})"
        return f"{self.where} {self.name!r} is {self.teacher} in the teacher and {self.student} in the student"


def differences(teacher: ir.Model, student: ir.Model, gained: Collection[str] = ()) -> tuple[Difference, ...]:
    """Compare what two models declare.

    Sizes that one of them leaves open agree with any, and initializers that are listed as inputs need not be there.

    Args:
        teacher: The teacher.
        student: The student.
        gained: Outputs that may be longer along one axis.
    """
    given, student_given = (_inputs(model) for model in (teacher, student))
    made, student_made = ({value.name or "": value for value in model.graph.outputs} for model in (teacher, student))
    return (*_compared("input", given, student_given), *_compared("output", made, student_made, gained))


def unlike(name: str, truth: Sequence[Any], answers: Sequence[Any]) -> Difference | None:
    """Compare what two models gave; None where types, shapes, lengths and keys agree."""
    for old, new in zip(truth, answers, strict=True):
        before, after = formed(old), formed(new)
        if before != after:
            typed = before.split("[")[0] != after.split("[")[0]
            return Difference("output", name, "type" if typed else "shape", before, after)
    return None


def _inputs(model: ir.Model) -> dict[str, ir.Value]:
    return {value.name or "": value for value in model.graph.inputs if value.name not in model.graph.initializers}


def _compared(
    where: str, old: Mapping[str, ir.Value], new: Mapping[str, ir.Value], gained: Collection[str] = ()
) -> Iterator[Difference]:
    for name, value in old.items():
        other = new.get(name)
        if other is None:
            yield Difference(where, name, "missing", declared(value))
            continue
        sides = declared(value), declared(other)
        if None not in (value.type, other.type) and str(value.type) != str(other.type):
            yield Difference(where, name, "type", *sides)
        elif name not in gained and not _agree(value.shape, other.shape):
            yield Difference(where, name, "shape", *sides)
    yield from (Difference(where, name, "added", "", declared(new[name])) for name in new if name not in old)


def _agree(one: ir.Shape | None, other: ir.Shape | None) -> bool:
    if one is None or other is None:
        return True
    sizes = zip(one, other, strict=False)
    return len(one) == len(other) and not any(
        isinstance(a, int) and isinstance(b, int) and a != b and min(a, b) >= 0 for a, b in sizes
    )


def declared(value: ir.Value) -> str:
    """Return what a model declares of a tensor: ``float[N,3]``."""
    dtype = value.dtype if isinstance(value.type, ir.TensorType) else None
    kind = str(value.type) if dtype is None else dtype.name.lower()
    if value.shape is None:
        return kind
    return f"{kind}[{','.join(str(dim if isinstance(dim, int) else dim.value or '?') for dim in value.shape)}]"


def formed(value: Any) -> str:
    """The type and shape of an array, the length of a sequence, the keys of a map."""
    if isinstance(value, Mapping):
        return f"map[{', '.join(map(repr, value))}]"
    if isinstance(value, list | tuple):
        return f"sequence[{'; '.join(map(formed, value[:4]))}{'; ...' if len(value) > 4 else ''}] of {len(value)}"
    array = np.asarray([] if value is None else value)
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"
