"""Lengths for the free axes of a model's inputs: different ones for different names, and none of them 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import onnx

from onnx_n2n.exact.undecided import Undecided

Shapes = Mapping[str, tuple[int, ...]]
FIRST = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)
# What a free axis is tried with if the smallest lengths do not fit: windows, strides and patches need more.
SCALES = (1, 4, 8, 16, 32, 64)


def attempts(inputs: Sequence[onnx.ValueInfoProto]) -> Iterator[Shapes]:
    """Return shapes to try one after the other, the smallest first.

    Axes of one name have one length; an axis without a name has a length of its own. An axis that is the first of an
    input is taken for a batch and stays small.
    """
    names = list(dict.fromkeys(_name(each.name, place, dim) for each in inputs for place, dim in _free(each)))
    batches = {_name(each.name, 0, dim) for each in inputs for place, dim in _free(each) if place == 0}
    for scale in SCALES if names else (1,):
        lengths: dict[str, int] = {}
        others = 0
        for name in names:
            if name in batches:
                lengths[name] = FIRST[len(lengths) - others] if len(lengths) - others < len(FIRST) else 2
            else:
                number = others + 1
                lengths[name] = FIRST[number] if scale == 1 and number < len(FIRST) else scale * (number + 1)
                others += 1
        yield {each.name: _shape(each, lengths) for each in inputs}


def _free(value: onnx.ValueInfoProto) -> Iterator[tuple[int, onnx.TensorShapeProto.Dimension]]:
    tensor = value.type.tensor_type
    if value.type.WhichOneof("value") != "tensor_type" or not tensor.HasField("shape"):
        raise Undecided(f"input {value.name!r} is no tensor whose number of axes is known")
    return ((place, dim) for place, dim in enumerate(tensor.shape.dim) if not dim.HasField("dim_value"))


def _name(value: str, place: int, dim: onnx.TensorShapeProto.Dimension) -> str:
    return dim.dim_param or f"{value}[{place}]"


def _shape(value: onnx.ValueInfoProto, lengths: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else lengths[_name(value.name, place, dim)]
        for place, dim in enumerate(value.type.tensor_type.shape.dim)
    )
