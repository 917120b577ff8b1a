"""What a caller of two models sees: the names, order, types and axes of inputs and outputs."""

from __future__ import annotations

import onnx

from onnx_n2n.exact.files import File
from onnx_n2n.exact.tensor import named


def difference(teacher: File, student: File) -> tuple[str, str]:
    """Say at which output, and in what the models differ for a caller: two empty texts if in nothing.

    An input of the student may take more than the teacher's: an axis may be free that is fixed there. It may not take
    less. Shapes of outputs are what comes out when the models are run; what is declared only has to fit.
    """
    for what, one, two in (
        ("input", list(teacher.inputs), list(student.inputs)),
        ("output", list(teacher.proto.graph.output), list(student.proto.graph.output)),
    ):
        names = [[each.name for each in side] for side in (one, two)]
        if names[0] != names[1]:
            said = [", ".join(map(repr, side)) or "none" for side in names]
            return "", f"the teacher's {what}s are {said[0]}; the student's are {said[1]}"
        for old, new in zip(one, two, strict=True):
            if not _takes(old, new, lengths=what == "input"):
                sides = f"{_described(old)} in the teacher and {_described(new)} in the student"
                return (old.name if what == "output" else ""), f"{what} {old.name!r} is {sides}"
    shadowed = [_overridable(each) for each in (teacher, student)]
    if missing := sorted(shadowed[0] - shadowed[1]):
        return "", f"{missing[0]!r} is an input with a default in the teacher, and none in the student"
    return "", ""


def _takes(old: onnx.ValueInfoProto, new: onnx.ValueInfoProto, *, lengths: bool) -> bool:
    """Return whether a value may be whatever another may be, as far as declarations say."""
    kinds = [each.type.WhichOneof("value") for each in (old, new)]
    if not lengths and None in kinds:  # an output may be declared without a type
        return True
    if kinds != ["tensor_type", "tensor_type"]:
        return bool(old.type == new.type)
    one, two = old.type.tensor_type, new.type.tensor_type
    if one.elem_type != two.elem_type:
        return not lengths and 0 in {one.elem_type, two.elem_type}
    if not two.HasField("shape"):
        return True
    if not one.HasField("shape"):
        return not lengths
    if len(one.shape.dim) != len(two.shape.dim):
        return False
    return not lengths or all(
        not b.HasField("dim_value") or (a.HasField("dim_value") and a.dim_value == b.dim_value)
        for a, b in zip(one.shape.dim, two.shape.dim, strict=True)
    )


def _overridable(file: File) -> set[str]:
    """Return the inputs that a caller may leave out; before version 4 of the IR all constants had to be inputs."""
    if file.proto.ir_version < 4:
        return set()
    needed = {each.name for each in file.inputs}
    return {each.name for each in file.proto.graph.input if each.name not in needed}


def _described(value: onnx.ValueInfoProto) -> str:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return " ".join(str(value.type).split())
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return named(tensor.elem_type).lower()
    axes = [str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim]
    return f"{named(tensor.elem_type).lower()}[{','.join(axes)}]"
