"""What a caller of two models sees: the names, order, types and axes of inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from onnx_n2n.exact.files import File
from onnx_n2n.exact.tensor import named


def difference(teacher: File, student: File, gained: Iterable[str] = ()) -> str:
    """Say in what the models differ for a caller, or return nothing.

    Args:
        teacher: One model.
        student: The other one.
        gained: Outputs of the student that may be longer than the teacher's along one axis.
    """
    free = set(gained)
    for what, one, two in (
        ("input", list(teacher.inputs), list(student.inputs)),
        ("output", list(teacher.proto.graph.output), list(student.proto.graph.output)),
    ):
        names = [[each.name for each in side] for side in (one, two)]
        if names[0] != names[1]:
            return f"the teacher's {what}s are {', '.join(names[0])}; the student's are {', '.join(names[1])}"
        for old, new in zip(one, two, strict=True):
            described = [_described(each, lengths=what == "input" or each.name not in free) for each in (old, new)]
            if described[0] != described[1]:
                return f"{what} {old.name!r} is {described[0]} in the teacher and {described[1]} in the student"
    return ""


def _described(value: onnx.ValueInfoProto, *, lengths: bool) -> str:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return str(value.type).replace("\n", " ").strip()
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return named(tensor.elem_type)
    axes = [str(dim.dim_value) if dim.HasField("dim_value") and lengths else "?" for dim in tensor.shape.dim]
    return f"{named(tensor.elem_type)}[{', '.join(axes)}]"
