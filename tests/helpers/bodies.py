"""What tests of control flow share: weights in bodies, their sizes, and growing in several ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from helpers.graphs import TOLERANCE, Judge, grow, opened
from onnx_n2n.analysis.walk import analyze

TRUE = np.array(True)
TRIPS = np.array(3)


def inside(proto: onnx.ModelProto, **constants: Any) -> onnx.ModelProto:
    """Give initializers to every body in a model that reads them by name; bodies side by side get different ones."""
    for number, graph in enumerate(graphs_of(proto.graph)):
        rng = np.random.default_rng(number)
        read = {name for node in graph.node for name in node.input}
        for name, value in constants.items():
            if graph is not proto.graph and name in read:
                array = rng.standard_normal(value, np.float32) / 2 if isinstance(value, tuple) else np.asarray(value)
                graph.initializer.append(numpy_helper.from_array(array, name))
    return proto


def graphs_of(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    bodies = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return [graph, *(inner for body in bodies for inner in graphs_of(body))]


def shapes(proto: onnx.ModelProto) -> list[tuple[str, list[int]]]:
    """Return every weight of a model, bodies included, with its shape."""
    return [(t.name, list(t.dims)) for graph in graphs_of(proto.graph) for t in graph.initializer if t.data_type == 1]


def sizes(proto: onnx.ModelProto) -> list[int]:
    return sorted(group.size for group in analyze(opened(proto)).groups if group.members)


def same(proto: onnx.ModelProto, **options: Any) -> onnx.ModelProto:
    """Grow a model in several ways, compare each student with the teacher, and return the last."""
    judges = [Judge(proto, seed) for seed in range(3)]
    assert any(judge.meaningful for judge in judges)
    for wanted in ({"init": "zero"}, {"factor": 1.5, "mapping": "cyclic"}, {"noise": 0.5, **options}):
        student, _ = grow(proto, **wanted)
        assert not valid(proto) or valid(student)
        for judge in judges:
            if judge.meaningful:
                assert judge.error(student) < TOLERANCE
    return student


def valid(proto: onnx.ModelProto) -> bool:
    """Say whether ONNX's checker accepts a model; it wants shapes that no inference finds behind a loop."""
    try:
        onnx.checker.check_model(proto, full_check=True)
    except onnx.checker.ValidationError:
        return False
    return True
