"""Another recurrent layer behind a recurrent layer adds zero and learns, however sequences are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onnx_n2n
from helpers.deepening import added, check_learning, deepen
from helpers.graphs import Judge, model, opened, run
from onnx_n2n import exact
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.depth.places import places

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
HIDDEN, READ, LENGTH, BATCH = 5, 3, 6, 2
BOTH = {"forward": 1, "reverse": 1, "bidirectional": 2}


@dataclass(frozen=True)
class Layer:
    """A recurrent layer, and what is read of it.

    Attributes:
        kind: Its operator.
        direction: How it reads.
        biased: Whether it has biases.
        lengths: Whether each sequence says how long it is.
        state: Whether its first state is given, by a constant.
        last: Whether only the last hidden state is read, and of all places nothing.
        more: Further attributes.
    """

    kind: str = "LSTM"
    direction: str = "forward"
    biased: bool = True
    lengths: bool = False
    state: bool = False
    last: bool = False
    more: str = ""

    def teacher(self, opset: int = 17) -> onnx.ModelProto:
        ways, gates = BOTH[self.direction], GATES[self.kind]
        constants: dict[str, object] = {"W": (ways, gates * HIDDEN, READ), "R": (ways, gates * HIDDEN, HIDDEN)}
        operands = ["x", "W", "R", "", "", ""]
        if self.biased:
            constants["B"], operands[3] = (ways, 2 * gates * HIDDEN), "B"
        if self.lengths:
            constants["lengths"], operands[4] = np.array([LENGTH, LENGTH - 2], np.int32), "lengths"
        if self.state:
            constants["h0"], operands[5] = (ways, BATCH, HIDDEN), "h0"
        while not operands[-1]:
            operands.pop()
        out = "_, h" if self.last else "h"
        attributes = f'hidden_size={HIDDEN}, direction="{self.direction}"{self.more}'
        node = f"{out} = {self.kind}<{attributes}>({', '.join(operands)})"
        teacher = model(
            f"{node} y = MatMul(h, V)",
            f"float[{LENGTH},{BATCH},{READ}] x",
            "y",
            opset=opset,
            V=(HIDDEN, 4),
            **constants,
        )
        for each in teacher.graph.node:
            for place, name in enumerate(each.output):
                if name == "_":
                    each.output[place] = ""
        return teacher


LAYERS = st.builds(
    Layer,
    kind=st.sampled_from(sorted(GATES)),
    direction=st.sampled_from(sorted(BOTH)),
    biased=st.booleans(),
    lengths=st.booleans(),
    state=st.booleans(),
    last=st.booleans(),
    more=st.sampled_from(["", ", clip=0.7"]),
)


@settings(deadline=None, max_examples=15)
@given(layer=LAYERS, opset=st.sampled_from([7, 11, 14, 17, 22]))
def test_another_layer_adds_exactly_zero(layer: Layer, opset: int) -> None:
    teacher = layer.teacher(opset)
    judge = Judge(teacher)
    assert judge.meaningful
    student = onnx_n2n.deepen(teacher, verify=False).model
    onnx.checker.check_model(student, full_check=True)
    assert added(teacher, student) == sorted(["Add", layer.kind, "MatMul", "Reshape", "Transpose"])
    assert judge.error(student) == 0
    assert exact.check(teacher, student).state == "equal"


@settings(deadline=None, max_examples=10)
@given(layer=LAYERS)
def test_another_layer_learns(layer: Layer) -> None:
    teacher = layer.teacher()
    check_learning(teacher, deepen(teacher), Judge(teacher))


def test_several_layers() -> None:
    teacher = Layer("GRU").teacher()
    student = deepen(teacher, count=3)
    assert added(teacher, student).count("GRU") == 3
    assert Judge(teacher).error(student) == 0


def test_an_activation_that_is_not_bounded_is_not_taken_over() -> None:
    """A state that feeds itself by weights above 1 would overflow, and infinity times zero is no number."""
    teacher = Layer("RNN", more=', activations=["Relu"]').teacher()
    for tensor in teacher.graph.initializer:
        if tensor.name == "W":
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * 1e30, "W"))
    student = deepen(teacher)
    new = [node for node in student.graph.node if node.op_type == "RNN"][1]
    assert "activations" not in [attribute.name for attribute in new.attribute]
    feed = {"x": np.full((LENGTH, BATCH, READ), 1e7, np.float32)}
    one, other = run(teacher, feed)[0], run(student, feed)[0]
    assert np.isfinite(one).all()
    assert np.array_equal(one, other)


REFUSED = {
    "its state comes from outside": (
        "a = Slice(state, from, to) y = GRU<hidden_size=5>(x, W, R, , , a)",
        "float[6,2,3] x, float[2,2,5] state", {"from": [0], "to": [1]}, "its state comes from outside"),
    "only its cells are read": (
        "p, q, y = LSTM<hidden_size=5>(x, W4, R4)", "float[6,2,3] x", {}, "only its cell state"),
    "the batch comes first": ("y = GRU<hidden_size=5, layout=1>(x, W, R)", "float[2,6,3] x", {}, "batch comes first"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_where_no_layer_fits(name: str) -> None:
    body, inputs, constants, reason = REFUSED[name]
    weights = {"W": (1, 15, 3), "R": (1, 15, 5), "W4": (1, 20, 3), "R4": (1, 20, 5)}
    used = {key: value for key, value in weights.items() if f" {key}," in body or f" {key})" in body}
    teacher = model(body, inputs, "y", **used, **constants)
    found = places(analyze(opened(teacher)))
    assert not found.found
    assert reason in found.barred[0].reason
