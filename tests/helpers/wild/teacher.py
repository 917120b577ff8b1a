"""A whole teacher, drawn from a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from helpers.wild import around, heads, language, layers, networks, parts, positive, sequences, shaping, ways
from helpers.wild.sheet import FREE, OTHER, Sheet, Skip, Value, read_by, typed
from onnx_n2n.graph.inference import infer

TABLE = {**layers.STEPS, **shaping.STEPS, **sequences.STEPS, around.carried: 4}
STEPS = [step for step, often in TABLE.items() for _ in range(often)]
# They came later: seeds that failed once without them draw what they drew.
LATER = {**networks.STEPS, **parts.STEPS, **positive.STEPS, **ways.STEPS, **heads.STEPS, **language.STEPS}
PIECES = [step for step, often in LATER.items() for _ in range(often)]
MOST = 16  # steps


def teacher(seed: int, *, pieces: bool = False) -> onnx.ModelProto:
    """Draw a model; the same one for the same seed. With ``pieces``, much of it is of the later kinds."""
    s = Sheet(seed)
    _inputs(s)
    for _ in range(int(s.rng.integers(3, MOST))):
        if len(s.values) == len(s.inputs) or s.chance(25):  # so that much of it can grow
            with s.attempt():
                s.one_of([layers.linear, layers.linear, layers.convolution, layers.residual])(s)
        with s.attempt():
            s.one_of(PIECES if pieces and s.chance() else STEPS)(s)
    outputs = _outputs(s)
    if s.chance(90):
        _prune(s, outputs)
    for _ in range(s.one_of([0, 0, 1, 1, 2, 3])):
        with s.attempt():
            around.wrap(s, outputs)
    return finished(s, outputs)


def _inputs(s: Sheet) -> None:
    """One tensor of floats, or two, or whole numbers beside it; with none, one or two free axes."""
    free = s.one_of([0, 1, 1, 1, 2])
    rank = s.one_of([2, 3, 3, 4, 4])
    lengths = [s.length() for _ in range(rank)]
    if rank == 4:
        lengths[2:] = [s.one_of([4, s.length()])] * 2
    for number in range(s.one_of([1, 1, 2])):
        shapes: tuple[list[int], list[int]] = (list(lengths), list(lengths))
        for axis, pair in list(zip(range(rank - 1), (FREE, OTHER), strict=False))[:free]:
            shapes[0][axis], shapes[1][axis] = pair
        arrays = tuple(s.rng.standard_normal(shape).astype(np.float32) for shape in shapes)
        s.inputs[f"x{number}"] = s.values[f"x{number}"] = Value(f"x{number}", arrays, False)  # type: ignore[arg-type]
        if s.chance(30):
            lengths = [*lengths[:-1], s.length()]
    if s.chance(10):
        shapes = ([FREE[0], 4], [FREE[1], 4]) if free else ([2, 4], [2, 4])
        ids = tuple(s.rng.integers(0, 6, shape) for shape in shapes)
        s.inputs["ids"] = s.values["ids"] = Value("ids", ids, False)  # type: ignore[arg-type]
        with s.attempt():
            around.embedded(s, s.values["ids"])


def _outputs(s: Sheet) -> list[str]:
    """End what nothing reads yet in layers, and look at some tensors in the middle from outside."""
    read = set(read_by(s.nodes)) | {name for node in s.nodes for name in node.input}
    ends = [v for v in s.values.values() if v.name not in read and v.floating and not v.given]
    found = []
    for value in ends[-s.one_of([1, 2, 3]) :]:
        made = [value.name]
        places = [i for i, n in enumerate(value.shape) if n]
        if places and s.chance(75):
            with s.attempt():
                made.append(s.layer(value, s.one_of(places), 3))
        found.append(made[-1])
    if s.chance(25):
        found.append(s.one_of([v for v in s.values.values() if v.name not in s.inputs]).name)
    if not found:
        raise Skip
    return list(dict.fromkeys(found))


def _prune(s: Sheet, outputs: Sequence[str]) -> None:
    """Drop what no output needs."""
    needed, kept = set(outputs), []
    for node in reversed(s.nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(read_by([node]))
    s.nodes = kept[::-1]


def finished(s: Sheet, outputs: Sequence[str]) -> onnx.ModelProto:
    """Return what has been drawn as a model."""
    read = {*read_by(s.nodes), *outputs}
    weights = {name: array for name, array in s.weights.items() if name in read}
    nodes = []
    for name in list(weights):
        if s.chance(15):
            array = numpy_helper.from_array(weights.pop(name))
            nodes.append(helper.make_node("Constant", [], [name], value=array))
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    inputs = [_info(s.values[name]) for name in s.inputs]
    inputs += [typed(s.values[name]) for name in weights if s.chance(3)]
    ends = [typed(s.values[name]) for name in outputs]
    graph = helper.make_graph([*nodes, *s.nodes], "wild", inputs, ends, tensors)
    model = helper.make_model(graph, opset_imports=s.imports, ir_version=10, functions=s.functions)
    return infer(model) if s.chance(60) else model


def _info(value: Value) -> onnx.ValueInfoProto:
    """Return the type of an input, whose free axes have names."""
    names = {FREE: "N", OTHER: "M"}
    lengths = [array.shape for array in value.arrays]
    shape = [a if a == b else names[a, b] for a, b in zip(*lengths, strict=True)]
    return helper.make_tensor_value_info(value.name, typed(value).type.tensor_type.elem_type, shape)
