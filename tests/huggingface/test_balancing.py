"""Where a node multiplies by another number, weights of other factors give the same outputs, or none are found."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from helpers.graphs import model, opened
from onnx_n2n.huggingface.balancing import DEEPEST, LIMIT, Balance, number
from onnx_n2n.huggingface.carrying import _holds
from onnx_n2n.record.recipe import Recipe, Summed

HALF, PLACES = np.full(2, 0.5), np.arange(2)
EMBEDDED = "h = Gather(E, i) s = Mul(h, c) "
NORM = "q = Mul(s, s) m = ReduceMean<axes=[-1]>(q) e = Add(m, o) r = Sqrt(e) n = Div(s, r) "
HEAD = "T = Transpose<perm=[1, 0]>(E) y = MatMul(k, T)"
CASES: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "a table": (EMBEDDED + NORM + "k = Mul(n, g) y = MatMul(k, V)", {"g": (6,), "V": (6, 3)}, {"E"}),
    "a table that is the head": (EMBEDDED + NORM + "k = Mul(n, g) " + HEAD, {"g": (6,)}, {"E", "g"}),
    "a gain beside one": (EMBEDDED + NORM + "a = Add(g, o) k = Mul(n, a) " + HEAD, {"g": (6,)}, {"E", "g"}),
    "a gain and a bias": (
        "h = Gather(E, i) l = LayerNormalization<axis=-1>(h, g, b) k = Mul(l, c) " + HEAD, {"g": (6,), "b": (6,)},
        {"g", "b"},
    ),
    "a divisor": ("h = Gather(E, i) s = Div(h, c) r = Relu(s) y = MatMul(r, V)", {"V": (6, 3)}, {"E"}),
    "a layer behind": (
        "h = Gather(E, i) s = Relu(h) k = Mul(s, c) f = Reshape(k, z) y = Gemm(f, V, b)",
        {"V": (6, 3), "b": (3,), "z": np.array([-1, 6])}, {"V"},
    ),
    "sums": (
        "h = Gather(E, i) p = Add(h, P) s = Mul(p, c) r = Relu(s) y = MatMul(r, V)", {"P": (5, 6), "V": (6, 3)},
        {"E", "P"},
    ),
}  # fmt: skip
HOPELESS: dict[str, tuple[str, dict[str, Any]]] = {
    "no weight": ("h = Gather(E, i) r = Relu(h) k = Mul(r, c) y = Relu(k)", {}),
    "a table that an output shows": ("y = Gather(E, i) s = Mul(y, c) r = Relu(s) z = MatMul(r, V)", {"V": (6, 3)}),
    "a number added to what others read": (
        EMBEDDED + NORM + "a = Add(g, o) k = Mul(n, a) T = Transpose<perm=[1, 0]>(E) l = MatMul(k, T) w = Mul(g, g) "
        "u = ReduceSum<keepdims=0>(w) y = Add(l, u)", {"g": (6,)},
    ),
}  # fmt: skip


def built(body: str, weights: dict[str, Any], by: float) -> onnx.ModelProto:
    outputs, numbers = "y, z" if "z = " in body else "y", {"c": np.float32(by), "o": np.float32(1)}
    return model(body, "int64[2,5] i", outputs, E=(7, 6), **numbers, **weights)


def found(teacher: onnx.ModelProto, names: set[str], by: Fraction) -> dict[str, Fraction]:
    """Return the factors of weights by name, where the node that reads the number multiplies by more."""
    graph = opened(teacher).graph
    weights = [value for name, value in graph.initializers.items() if name in names]
    (node,) = (node for node in graph if any(value is not None and value.name == "c" for value in node.inputs))
    balance = Balance(weights, {node: by if node.op_type == "Mul" else 1 / by})
    factors = balance.found()
    assert balance.tried < 2 * LIMIT
    return {str(value.name): factor for value, factor in factors.items() if value in weights}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("by", [Fraction(2), Fraction(3, 4)], ids=str)
def test_weights_make_up_for_a_number(case: str, by: Fraction) -> None:
    body, weights, expected = CASES[case]
    teacher = built(body, weights, 1.5)
    student = built(body, weights, 1.5 * float(by))
    factors = found(teacher, {"E", "g", "b", "V", "P"}, by)
    assert factors.keys() == expected
    feeds = {"i": np.arange(10).reshape(2, 5) % 7}
    before = ReferenceEvaluator(teacher).run(None, feeds)[0]
    assert not np.allclose(ReferenceEvaluator(student).run(None, feeds)[0], before, rtol=1e-2)
    for tensor in student.graph.initializer:
        if tensor.name in factors:
            array, beside = onnx.numpy_helper.to_array(tensor), float(tensor.name == "g" and "Add(g, o)" in body)
            array = (array + beside) * np.float32(factors[tensor.name]) - beside
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), tensor.name))
    np.testing.assert_allclose(ReferenceEvaluator(student).run(None, feeds)[0], before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", HOPELESS)
def test_where_no_weights_do_none_are_found(case: str) -> None:
    assert found(built(*HOPELESS[case], 1.5), {"E", "g", "V"}, Fraction(2)) == {}


def test_only_what_may_change_does() -> None:
    """The table may not, so the layer behind it does."""
    body = "h = Gather(E, i) s = Mul(h, c) y = MatMul(s, V)"
    assert found(built(body, {"V": (6, 3)}, 1.5), {"V"}, Fraction(2)) == {"V": Fraction(1, 2)}


def test_a_search_that_takes_too_long_is_given_up() -> None:
    """Each term can change in two ways, and the last one in none."""
    terms = " ".join(f"a{n} = MatMul(h, A{n}) b{n} = MatMul(a{n}, B{n})" for n in range(16))
    total = ", ".join(f"b{n}" for n in range(16))
    weights = {f"{letter}{n}": (6, 6) for letter in "AB" for n in range(16)}
    body = f"h = Gather(E, i) r = Relu(h) {terms} t = Sum({total}, r) s = Mul(t, c) y = Relu(s)"
    assert found(built(body, weights, 1.5), {*weights}, Fraction(2)) == {}
    body = body.replace(", r)", ")")
    assert len(found(built(body, weights, 1.5), {*weights}, Fraction(2))) == 16


def test_a_change_that_reaches_too_far_is_given_up() -> None:
    for length, expected in ((DEEPEST // 2, {"E"}), (4 * DEEPEST, set())):
        chain = " ".join(f"h{n + 1} = Identity(h{n})" for n in range(length))
        body = f"h0 = Gather(E, i) {chain} s = Mul(h{length}, c) y = Relu(s)"
        assert found(built(body, {}, 1.5), {"E"}, Fraction(2)).keys() == expected


def test_a_number_is_a_floating_point_one() -> None:
    values = opened(model("a = Mul(x, c) b = Mul(a, d) y = Mul(b, z)", "float[2] x", "y", c=2.5, d=(2,),
                          z=np.float32([[3]]))).graph.initializers  # fmt: skip
    assert [number(values[name]) for name in "cdz"] == [2.5, None, 3.0]
    assert number(None) is None


@pytest.mark.parametrize(("kind", "by", "recipe", "holds"), [
    (np.float32, Fraction(2, 3), Recipe((None,), squared=(4, 9)), True),
    (np.float32, Fraction(2, 3), Recipe((None,), squared=(4, 9), offset=1.0), True),
    (np.float32, Fraction(2, 3), Recipe((None,), squared=(2**64, 9)), False),
    (np.float32, Fraction(2, 3), Recipe((None,), (Summed(0, HALF, PLACES),), squared=(4, 9), offset=1.0), False),
    (np.float16, Fraction(2, 3), Recipe((None,), squared=(4, 9)), False),
    (np.float16, Fraction(1, 4), Recipe((None,), squared=(1, 16)), True),
    (np.float16, Fraction(1, 4), Recipe((None,), squared=(1, 16), offset=1.0), False),
])  # fmt: skip
def test_a_factor_holds_if_the_record_can_say_it_and_nothing_of_16_bits_is_rounded(
    kind: type, by: Fraction, recipe: Recipe, holds: bool
) -> None:
    weight = ir.Value(name="w", type=ir.TensorType(ir.DataType.from_numpy(np.dtype(kind))))
    assert _holds(weight, by, recipe) == holds
