"""How far a teacher is from itself when what goes into its decisions is a few rounding steps off.

Inputs that are one rounding step off may reach no entry that lies between two quanta. So the tensors that go into a
quantiser are moved too, wherever it stands: at random, by as much as rounding may move them on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
from onnx import helper, inliner, shape_inference

from onnx_n2n.errors import ModelError, RunError
from onnx_n2n.verify.compare import NOISE_FACTOR, Grain
from onnx_n2n.verify.decisions import bodies, kind_of
from onnx_n2n.verify.sessions import Feed, Source, Timed, run, session

TIMES = 4  # that the teacher is moved, each time otherwise

REAL = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE}  # of which ONNX Runtime draws random numbers


def inlined(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its functions written out."""
    return inliner.inline_local_functions(proto) if proto.functions else proto


def moved_inside(
    teacher: Source, feeds: Sequence[Feed], names: Sequence[str], provider: str, grain: Grain, seed: int, limit: float
) -> list[list[list[Any]]] | None:
    """The teacher's outputs, per feed, for each time that it was moved; none where nothing decides.

    None where it does not run then.

    Raises:
        TimeLimitError: A run takes longer than it may.
    """
    try:
        proto = shape_inference.infer_shapes(inlined(teacher.proto()))
        size = min(NOISE_FACTOR * grain.epsilon, grain.floor)
        if not _move(proto.graph, {}, size, seed):
            return []
        moved = Timed(session(teacher.holding(proto), provider), limit)
        return [[run(moved, feed, names) for feed in feeds] for _ in range(TIMES)]
    except (RunError, ModelError, shape_inference.InferenceError):
        return None


def _move(graph: onnx.GraphProto, around: Mapping[str, int], size: float, seed: int) -> int:
    """Move what goes into the decisions of a graph and its bodies; returns how many tensors that are."""
    kinds = {**around, **dict(_kinds(graph))}
    nodes, count = [], 0
    for node in graph.node:
        for body in bodies(node):
            count += _move(body, kinds, size, seed + 1000 * count + 1)
        if kind_of(node) is not None:
            for slot, name in enumerate(node.input):
                if kinds.get(name) in REAL:
                    count += 1
                    made = f"{name}.moved.{seed + count}"
                    nodes += _noise(name, made, size, seed + count)
                    node.input[slot] = made
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return count


def _noise(name: str, made: str, size: float, seed: int) -> list[onnx.NodeProto]:
    """Nodes that add to each entry a random fraction of the largest one, of at most ``size``."""
    parts = [f"{made}.{part}" for part in ("draw", "abs", "most", "step")]
    return [
        helper.make_node("RandomUniformLike", [name], parts[:1], low=-size, high=size, seed=float(seed)),
        helper.make_node("Abs", [name], parts[1:2]),
        helper.make_node("ReduceMax", parts[1:2], parts[2:3], keepdims=0),
        helper.make_node("Mul", [parts[0], parts[2]], parts[3:]),
        helper.make_node("Add", [name, parts[3]], [made]),
    ]


def _kinds(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    """The type of each tensor of a graph, as far as it is known."""
    for value in (*graph.value_info, *graph.input, *graph.output):
        yield value.name, value.type.tensor_type.elem_type
    yield from ((tensor.name, tensor.data_type) for tensor in graph.initializer)
