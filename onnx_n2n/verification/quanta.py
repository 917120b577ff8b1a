"""How far a teacher is from itself when what goes into its decisions is a few rounding steps off.

Inputs that are one rounding step off may reach no entry that lies between two quanta. So the tensors that go into a
quantiser are moved too, wherever it stands: at random, by as much as rounding may move them on the way, and by as much
as is granted to any tensor, so that a quantum flips where few numbers are quantised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
from onnx import helper, inliner, shape_inference

from onnx_n2n.errors import ModelError, RunError
from onnx_n2n.graph.inference import infer
from onnx_n2n.graph.passthrough import REARRANGERS
from onnx_n2n.graph.subgraphs import body_protos
from onnx_n2n.io.messages import replace
from onnx_n2n.verification.decisions import Kind, kind_of
from onnx_n2n.verification.sessions import Feed, SessionModel, Timed, run, session
from onnx_n2n.verification.yardstick import NOISE_FACTOR, Grain

TIMES = 3  # that the teacher is moved by as much, each time otherwise

# Types that are moved: ONNX Runtime draws random numbers of the first two, and casts the others to the first.
REAL = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
# Operators that make whole numbers, and those that keep them exact: rounding does not get there, so nothing is moved.
WHOLE = {"Ceil", "Floor", "Round", "Sign"}
KEEP = REARRANGERS | {
    "Abs", "Add", "Clip", "Concat", "Flatten", "Gather", "Max", "Min", "Neg", "Relu", "Slice", "Split", "Sub",
}  # fmt: skip
NARROW = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}


def inlined(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its functions written out.

    Raises:
        ModelError: They cannot be.
    """
    if not proto.functions:
        return proto
    try:
        return inliner.inline_local_functions(proto)
    except Exception as failure:  # onnx raises of everything
        raise ModelError(f"the functions of the model cannot be written out: {failure}") from failure


def moved_inside(
    teacher: SessionModel,
    feeds: Sequence[Feed],
    names: Sequence[str],
    provider: str,
    grain: Grain,
    seed: int,
    limit: float,
) -> list[list[list[Any]]] | None:
    """The teacher's outputs, per feed, for each time that it was moved; none where nothing decides.

    None where it does not run then.

    Raises:
        TimeLimitError: A run takes longer than it may.
    """
    answers = []
    try:
        proto = inlined(teacher.proto())
        kinds = _told(teacher.holding(proto), provider)
        for size in (min(NOISE_FACTOR * grain.epsilon, grain.floor), grain.floor):
            copy = infer(proto)
            if not _move(copy.graph, kinds, size, seed):
                return []
            moved = Timed(session(teacher.holding(copy), provider), limit)
            answers += [[run(moved, feed, names) for feed in feeds] for _ in range(TIMES)]
    except (RunError, ModelError, shape_inference.InferenceError):
        return None
    return answers


def _told(model: SessionModel, provider: str) -> dict[str, int]:
    """Types of what goes into the main graph's decisions, by ONNX Runtime, which knows operators of its own."""
    graph = model.proto().graph
    made = {name for node in graph.node for name in node.output} - {value.name for value in graph.output}
    names = list(dict.fromkeys(name for node in graph.node if kind_of(node) for name in node.input if name in made))
    kinds = {f"tensor({onnx.TensorProto.DataType.Name(kind).lower()})": kind for kind in REAL}
    outputs = session(model.exposing(names), provider).get_outputs() if names else []
    return {value.name: kinds[value.type] for value in outputs if value.type in kinds}


def _move(graph: onnx.GraphProto, around: Mapping[str, int], size: float, seed: int) -> int:
    """Move what goes into the decisions of a graph and its bodies; returns how many tensors that are."""
    kinds = {**around, **{name: kind for name, kind in _kinds(graph) if kind}}
    nodes, count = [], 0
    whole = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        for body in body_protos(node):
            count += _move(body, kinds, size, seed + 1000 * count + 1)
        if node.op_type in {*WHOLE, "Constant"} or (
            node.op_type in KEEP and whole.issuperset(filter(None, node.input))
        ):
            whole.update(node.output)
        kind = kind_of(node)
        if kind is not None:
            for slot, name in enumerate(node.input):
                if kinds.get(name) in REAL and (name not in whole or kind is Kind.INSIDE):
                    count += 1
                    made = f"{name}.moved.{seed + count}"
                    nodes += _noise(name, made, kinds[name], size, seed + count)
                    node.input[slot] = made
        nodes.append(node)
    replace(graph.node, nodes)
    return count


def _noise(name: str, made: str, kind: int, size: float, seed: int) -> list[onnx.NodeProto]:
    """Nodes that add to each entry a random fraction of the largest one, of at most ``size``."""
    draw, own, most, step, wide, total = (f"{made}.{part}" for part in ("draw", "own", "most", "step", "wide", "total"))
    nodes = [helper.make_node("Cast", [name], [wide], to=onnx.TensorProto.FLOAT)] if kind in NARROW else []
    source, end = (wide, total) if nodes else (name, made)
    nodes += [
        helper.make_node("RandomUniformLike", [source], [draw], low=-size, high=size, seed=float(seed)),
        helper.make_node("Abs", [source], [own]),
        helper.make_node("ReduceMax", [own], [most], keepdims=0),
        helper.make_node("Mul", [draw, most], [step]),
        helper.make_node("Add", [source, step], [end]),
    ]
    return [*nodes, helper.make_node("Cast", [total], [made], to=kind)] if kind in NARROW else nodes


def _kinds(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    """The type of each tensor of a graph, as far as it is known."""
    for value in (*graph.value_info, *graph.input, *graph.output):
        yield value.name, value.type.tensor_type.elem_type
    yield from ((tensor.name, tensor.data_type) for tensor in graph.initializer)
