"""A table of embeddings and a head that are one parameter: both grow alike, or it is said that they are two now."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

import onnx_n2n
from helpers.graphs import STABLE, TOLERANCE, Judge, grow, model, opened
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.graph.constants import Constants
from onnx_n2n.graph.twins import Twins

D, V = 6, 10
TABLE = np.random.default_rng(0).standard_normal((V, D)).astype(np.float32)
BLOCK = "h{0} = MatMul({1}, A{0}) r{0} = Relu(h{0}) o{0} = MatMul(r{0}, B{0}) s{0} = Add({2}, o{0})"
NORMS = {
    "none": "n = Identity(s1)",
    "layer": "n = LayerNormalization<axis=-1, epsilon=0.1>(s1, g, c)",
    "layer without bias": "n = LayerNormalization<axis=-1, epsilon=0.1>(s1, g)",
    "root": "n = RMSNormalization<axis=-1, epsilon=0.1>(s1, g)",
    "written": "q = Mul(s1, s1) m = ReduceMean<keepdims=1>(q, last) a = Add(m, eps) t = Sqrt(a) u = Div(s1, t) "
               "n = Mul(g, u)",
    "dense": "d = MatMul(s1, W) e = Gelu(d) n = LayerNormalization<axis=-1, epsilon=0.1>(e, g, c)",
    "skip": "n = com.microsoft.SkipLayerNormalization<epsilon=0.1>(s0, o1, g, c)",
    "instance": "i = Transpose<perm=[0,2,1]>(s1) k = InstanceNormalization<epsilon=0.1>(i, g, c) "
                "n = Transpose<perm=[0,2,1]>(k)",
}  # fmt: skip
HEADS = {
    "turned": "w = Transpose<perm=[1,0]>(E) y = MatMul(n, w)",
    "copied": "y = MatMul(n, H)",
    "letters": 'y = Einsum<equation="btd,vd->btv">(n, E)',
    "letters of a copy": 'y = Einsum<equation="btd,vd->btv">(n, E2)',
}


def language(norm: str, head: str, inner: str = "none") -> onnx.ModelProto:
    """Return an embedding, two blocks of a stream, a norm, and the head."""
    before = "n0 = LayerNormalization<axis=-1, epsilon=0.1>(s0, g0, c0)" if inner == "layer" else "n0 = Identity(s0)"
    body = " ".join(
        ["z = Gather(E, x)", BLOCK.format(0, "z", "z"), before, BLOCK.format(1, "n0", "s0"), NORMS[norm], HEADS[head]]
    )
    weights: dict[str, Any] = {
        "E": TABLE, "E2": TABLE.copy(), "H": TABLE.T.copy(), "A0": (D, 4), "B0": (4, D), "A1": (D, 5), "B1": (5, D),
        "g": (D,), "c": (D,), "g0": (D,), "c0": (D,), "W": (D, D), "last": np.array([-1]), "eps": 0.1,
    }  # fmt: skip
    used = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    return model(body, "int64[2,5] x", "float[2,5,10] y", opset=23 if norm == "root" else 20,
                 **{name: each for name, each in weights.items() if name in used})  # fmt: skip


def arrays(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def readers(proto: onnx.ModelProto) -> tuple[np.ndarray, np.ndarray]:
    """Return the table that is looked up, and what the head reads, the same way round."""
    found = arrays(proto)
    table = next(found[node.input[0]] for node in proto.graph.node if "z" in node.output)
    heads = [node for node in proto.graph.node if {"w", "y"} & set(node.output)]
    (head,) = (found[name] for node in heads for name in node.input if name in found)
    return table, head.T if head.shape[1] == V else head


kinds = {"norm": st.sampled_from(sorted(NORMS)), "head": st.sampled_from(sorted(HEADS))}
ways = {"factor": st.sampled_from([1.5, 2, 3]), "init": st.sampled_from(["zero", "drawn", "net2net"])}


@settings(STABLE, max_examples=60)
@given(**kinds, **ways, inner=st.sampled_from(["none", "layer"]))
def test_what_is_one_parameter_stays_one_or_a_note_says_that_it_does_not(
    norm: str, head: str, inner: str, factor: float, init: Any
) -> None:
    teacher = language(norm, head, inner)
    result = onnx_n2n.widen(teacher, factor, init=init, noise=0.1 if init == "net2net" else 0)
    assert Judge(teacher).error(result.model) < TOLERANCE
    table, other = readers(result.model)
    assert table.shape[1] > D
    one = np.array_equal(table, other) and len(result.model.graph.node) == len(teacher.graph.node)
    assert one or (norm, inner) == ("none", "layer")
    assert one is (not result.report.change.notes)


@pytest.mark.parametrize("head", HEADS)
def test_a_head_that_must_be_scaled_is_named(head: str) -> None:
    """A norm in the middle wants the mean of the stream in new channels, and the head zeros: no way to both."""
    result = onnx_n2n.widen(language("none", head, "layer"), 2)
    (note,) = result.report.change.notes
    assert "is a table too, and cannot stay one parameter with it: for" in note


def test_new_channels_of_a_tied_table_can_learn() -> None:
    """They are zero in the stream, and the first layer that reads them is not."""
    student, growth = grow(language("none", "copied"), factor=2, init="zero")
    found = arrays(student)
    assert not readers(student)[0][:, D:].any()
    assert found["A0"][D:].any()
    assert growth.grown


def test_a_head_of_other_channels_grows_with_the_stream() -> None:
    """As BERT has it, whose head reads what a layer makes of the stream."""
    for head in HEADS:
        names = [group.size for group in analyze(opened(language("dense", head))).groups if group.size == D]
        assert names == [D]


@pytest.mark.parametrize(
    ("other", "one"),
    [
        (TABLE.copy(), True), (TABLE.T.copy(), True), (TABLE + 1e-6, False), (TABLE.astype(np.float64), False),
        (TABLE.T.copy() * 2, False),
    ],
)  # fmt: skip
def test_only_the_same_numbers_are_one_parameter(other: np.ndarray, one: bool) -> None:
    proto = model("z = Gather(E, x) k = Cast<to=1>(H) y = Gather(k, x)", "int64[3] x", "y", E=TABLE, H=other)
    constants = Constants(opened(proto))
    assert bool(Twins.of(constants).tables) is one


@pytest.mark.parametrize("numbers", [np.zeros, np.ones])
def test_one_number_throughout_is_nobodys_parameter(numbers: Any) -> None:
    both = {name: numbers((4, 4), np.float32) for name in ("E", "H")}
    proto = model("z = Gather(E, x) y = MatMul(z, H)", "int64[3] x", "y", **both)
    assert not Twins.of(Constants(opened(proto))).tables


def test_matrices_that_nobody_looks_rows_up_in_are_not_compared() -> None:
    """Layers that begin as copies are two, until an exporter merges them."""
    both = {"A": TABLE[:D], "B": TABLE[:D].copy()}
    proto = model("h = MatMul(x, A) r = Relu(h) y = MatMul(r, B)", f"float[2,{D}] x", "y", **both)
    assert not Twins.of(Constants(opened(proto))).tables


def test_a_head_that_gains_entries_parts_from_its_table_and_this_is_said() -> None:
    result = onnx_n2n.outputs(language("layer", "copied"), 12)
    (note,) = result.report.change.notes
    assert note == "'H' has the numbers of the table 'E', and grows from 10 to 12 rows where the table does not"
