"""Weights that are looked up by index, as those of experts: they carry the shares of what is summed over them."""

from __future__ import annotations

import onnx
import pytest

from helpers.bodies import same, shapes
from helpers.graphs import model, opened
from onnx_n2n.analysis.walk import analyze

# How weights of 2 experts with 5 x 8 and 8 x 3 numbers are stored, and looked up for 4 places.
LOOKUPS = {
    "rows": ("int64[4] e", "a = Gather(w, e)", "b = Gather(v, e)", (2, 5, 8), (2, 8, 3)),
    "columns": (
        "int64[4] e", "p = Gather<axis=1>(w, e) a = Transpose<perm=[1,0,2]>(p)",
        "q = Gather<axis=-2>(v, e) b = Transpose<perm=[1,0,2]>(q)", (5, 2, 8), (8, 2, 3),
    ),
    "last": (
        "int64[4] e", "p = Gather<axis=2>(w, e) a = Transpose<perm=[2,0,1]>(p)",
        "q = Gather<axis=-1>(v, e) b = Transpose<perm=[2,0,1]>(q)", (5, 8, 2), (8, 3, 2),
    ),
    "one expert for all": ("int64 e", "a = Gather(w, e)", "b = Gather(v, e)", (2, 5, 8), (2, 8, 3)),
    "one of the last axis": ("int64 e", "a = Gather<axis=-1>(w, e)", "b = Gather<axis=-1>(v, e)", (5, 8, 2), (8, 3, 2)),
    "two axes": (
        "int64[2,2] e", "p = Gather(w, e) a = Reshape(p, shaped)", "b = GatherND(v, f)", (2, 5, 8), (2, 8, 3),
    ),
    "indices": ("int64[4] e", "a = GatherND(w, f)", "b = GatherND(v, f)", (2, 5, 8), (2, 8, 3)),
    "pairs of indices": ("int64[4,2] e", "a = GatherND(w, e)", "b = GatherND(v, e)", (2, 2, 5, 8), (2, 2, 8, 3)),
    "of each batch": (
        "int64[2,2,1] e", "p = GatherND<batch_dims=1>(w, e) a = Reshape(p, shaped)",
        "q = GatherND<batch_dims=1>(v, e) b = Reshape(q, back)", (2, 3, 5, 8), (2, 3, 8, 3),
    ),
}  # fmt: skip


def experts(way: str) -> onnx.ModelProto:
    index, first, second, shape, other = LOOKUPS[way]
    flat = "f = Reshape(e, flat)" if " f)" in first + second else ""
    body = f"{flat} {first} h = MatMul(x, a) r = Relu(h) {second} y = MatMul(r, b)"
    numbers = {"flat": [4, 1], "shaped": [4, 5, -1], "back": [4, -1, 3]}
    used = {name: value for name, value in numbers.items() if f" {name})" in body}
    return model(body, f"float[4,2,5] x, {index}", "y", w=shape, v=other, **used)


@pytest.mark.parametrize("way", LOOKUPS)
def test_no_product_is_added_for_weights_that_are_looked_up(way: str) -> None:
    proto = experts(way)
    student = same(proto, factor=2)
    assert not any(node.op_type == "Mul" for node in student.graph.node)
    grown = dict(shapes(student))
    for name, before in zip("wv", LOOKUPS[way][3:], strict=True):
        assert grown[name][before.index(8)] == 16


def test_what_is_looked_up_twice_gets_a_node() -> None:
    """A scale that one reader needs must not show in what another reads."""
    body = "a = Gather(w, e) h = MatMul(x, a) b = Gather(v, e) z = MatMul(h, b) s = ReduceMean(b) y = Add(z, s)"
    proto = model(body, "float[4,2,5] x, int64[4] e", "y", w=(2, 5, 8), v=(2, 8, 3))
    student = same(proto, factor=2)
    assert sum(node.op_type == "Mul" for node in student.graph.node) >= 1


def test_a_token_goes_to_two_experts_at_lengths_known_at_run_time() -> None:
    """Both operands have two rows a token, one by its experts and one by repeating it: what follows stays known."""
    body = (
        "g = MatMul(x, router) s, e = TopK<axis=-1>(g, two) f = Reshape(e, flat) a = Gather(w, f) "
        "u = Unsqueeze(x, one) twice = Expand(u, pair) t = Reshape(twice, rows) h = MatMul(t, a) r = Relu(h) "
        "b = Gather(v, f) o = MatMul(r, b) m = Reshape(o, pairs) z = ReduceSum(m, one) c = MatMul(z, last) k = Relu(c) "
        "y = MatMul(k, out)"
    )
    proto = model(
        body, "float[N,5] x", "y", router=(5, 3), two=[2], flat=[-1], one=[1], pair=[1, 2, 1], rows=[-1, 1, 5],
        w=(3, 5, 8), v=(3, 8, 5), pairs=[-1, 2, 5], last=(5, 6), out=(6, 3),
    )  # fmt: skip
    found = analyze(opened(proto))
    (made,) = (node.outputs[0] for node in found.model.graph if node.outputs[0].name == "z")
    tokens, (start, *_) = found.axes[made][0], found.axes[found.model.graph.inputs[0]]
    assert tokens is start
    grown = dict(shapes(same(proto, factor=2)))
    assert (grown["w"], grown["v"], grown["last"]) == ([3, 10, 16], [3, 16, 10], [10, 12])
