"""Laws of decisions: where rounding decides, right students pass, wrong ones do not, and doubt is named."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.graphs import model
from onnx_n2n.errors import InputError
from onnx_n2n.verification import Verdict, verify

STEP = np.float32(2.0**-22)  # two rounding steps, which any right student may be off by

# Every second score is equal to the one before, so that rounding decides which comes first.
SCORES = np.repeat(np.array([[1, 2, 3], [2, 1, 1], [0.5, 3, 2], [1, 1, 4]], np.float32), 2, axis=1)
BOXES = np.array([[[0, 0, n + 1, n + 1] for n in range(6)]], np.float32)
UNEVEN = np.array([0, 1] * 3, np.float32)  # which of the scores a student has a little larger


def scored(body: str, outputs: str, factor: Any = 1.0, **constants: Any) -> onnx.ModelProto:
    """A model that decides on ``s``, its scores, of which ``factor`` are the student's own."""
    weights = (SCORES * np.asarray(factor, np.float32)).astype(np.float32)
    heads = {"heads": np.random.default_rng(7).standard_normal((4, 6)).astype(np.float32)}
    defaults = {"k": [2], "zero": 0.0, "axes": [1], "pair": [1, 1, 2], "flat": [-1]}
    used = {name: value for name, value in (defaults | heads | constants).items() if name in body}
    return model(f"s = MatMul(x, w) {body}", "float[1,4] x", outputs, opset=18, w=weights, **used)


NEXT = "b = MatMul(x, heads) y = GatherElements<axis=1>(b, i)"  # what hangs on a selection
FIRST = "lo = Slice(s, l0, l1, axes) hi = Slice(s, l1, l2, axes) "
LENGTHS = {"l0": [0], "l1": [1], "l2": [2], "axes": [1]}

DECISIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "TopK": (f"v, i = TopK(s, k) {NEXT}", "float[1,2] v, int64[1,2] i, float[1,2] y", {}),
    "TopK, seen through values": ("v, i = TopK(s, k) y = Gather<axis=0>(g, i)", "float[1,2,3] y", {"g": (6, 3)}),
    "ArgMax": (f"i = ArgMax<axis=1>(s) {NEXT}", "int64[1,1] i, float[1,1] y", {}),
    "ArgMin": (f"n = Neg(s) i = ArgMin<axis=1>(n) {NEXT}", "int64[1,1] i, float[1,1] y", {}),
    "Hardmax": ("i = Hardmax(s) b = MatMul(x, heads) y = Mul(i, b)", "float[1,6] i, float[1,6] y", {}),
    "Unique": ("f = Reshape(s, flat) y, i, v, c = Unique(f)", "float[N] y, int64[N] c", {}),
    "NonZero": (f"{FIRST} d = Sub(hi, lo) i = NonZero(d)", "int64[2,N] i, float[1,1] hi", LENGTHS),
    "NonMaxSuppression": (
        "c = Unsqueeze(s, one) i = NonMaxSuppression(boxes, c, many)",
        "int64[N,3] i, float[1,6] s",
        {"boxes": BOXES, "many": np.array([3]), "one": [1]},
    ),
    "Greater": (
        f"{FIRST} c = Greater(hi, lo) b = MatMul(x, heads) n = Neg(b) y = Where(c, b, n)",
        "bool[1,1] c, float[1,6] y",
        LENGTHS,
    ),
    "Sign": (
        f"{FIRST} d = Sub(hi, lo) c = Sign(d) b = MatMul(x, heads) p = Mul(c, b) y = Add(p, b)",
        "float[1,6] y",
        LENGTHS,
    ),
}


def decided(name: str, factor: Any = 1.0) -> onnx.ModelProto:
    body, outputs, constants = DECISIONS[name]
    return scored(body, outputs, factor, **constants)


FEEDS = [{"x": np.array([row], np.float32)} for row in ([1, 2, 1, 1], [3, 1, 1, 2], [1, 1, 5, 1])]


def judged(teacher: onnx.ModelProto, student: onnx.ModelProto, **options: Any) -> Verdict:
    return verify(teacher, student, inputs=FEEDS, **options)


@pytest.mark.parametrize("name", DECISIONS)
def test_a_tie_that_comes_out_otherwise_is_no_fault_of_the_student(name: str) -> None:
    right = judged(decided(name), decided(name, 1 + STEP * UNEVEN))
    assert right
    assert [each.operator for each in right.rounded] == [name.split(",")[0]]
    assert right.to_json()["rounded"] == [{"node": "", "operator": name.split(",")[0]}]


@pytest.mark.parametrize("name", DECISIONS)
def test_scores_that_differ_by_more_than_rounding_are_wrong_and_named(name: str) -> None:
    wrong = judged(decided(name), decided(name, 1 + 0.01 * UNEVEN))
    assert not wrong
    assert wrong.wrong is not None or not all(output.ok for output in wrong.outputs)


@pytest.mark.parametrize("name", DECISIONS)
def test_what_follows_a_decision_has_to_be_right_too(name: str) -> None:
    right = decided(name, 1 + STEP * UNEVEN)
    student = onnx.ModelProto.FromString(right.SerializeToString())
    for tensor in student.graph.initializer:
        if tensor.name in ("heads", "g"):
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name)
            )
            assert not judged(decided(name), student)


@pytest.mark.parametrize("operator", ["TopK", "ArgMax"])
def test_what_follows_a_decision_that_any_rounding_turns_is_compared_all_the_same(operator: str) -> None:
    """The first output moves as far by a rounding step as by another input, so that at first sight anything passes."""
    tied = np.array(list(itertools.permutations((1, 2, 4)))).T  # all scores of a feed of equal numbers are equal
    heads = np.random.default_rng(7).standard_normal((3, 6)).astype(np.float32)
    body = {"TopK": "v, i = TopK(s, k)", "ArgMax": "i = ArgMax<axis=1>(s)"}[operator]
    made = f"s = MatMul(x, w) {body} {NEXT}"

    def built(factor: float) -> onnx.ModelProto:
        constants = {"w": tied.astype(np.float32), "heads": (heads * np.float32(factor)).astype(np.float32)}
        constants |= {"k": [2]} if operator == "TopK" else {}
        return model(made, "float[1,3] x", "float[1,M] y, float[1,6] s", opset=18, **constants)

    feeds = [{"x": np.full((1, 3), number, np.float32)} for number in (1.1, 0.3, -0.7)]
    right = verify(built(1.0), built(1.0), inputs=feeds)
    assert right
    assert not right.vacuous
    for factor in (1.01, -1.0):
        wrong = verify(built(1.0), built(factor), inputs=feeds)
        assert not wrong
        assert [output.name for output in wrong.outputs if not output.ok] == ["y"]


@given(st.integers(0, 99), st.floats(-8, -1))
@settings(max_examples=8)
def test_a_student_passes_as_long_as_its_scores_are_within_the_noise(seed: int, digits: float) -> None:
    off = 10.0**digits * np.random.default_rng(seed).choice((-1.0, 1.0), SCORES.shape)
    off[0, :2] = 10.0**digits * np.array([-1, 1])  # never by the same factor
    found = judged(decided("TopK"), decided("TopK", 1 + off))
    if digits < -6:
        assert found
    if digits > -4:
        assert not found


@pytest.mark.parametrize(
    "body", ["v, i = TopK<largest=0>(s, k)", "v, i = TopK(s, one)", "n = Neg(s) v, i = TopK(n, k)"]
)
def test_another_selection_is_wrong_even_with_the_same_scores(body: str) -> None:
    outputs, apart = "int64[1,M] i, float[1,M] y", 1 + 0.3 * UNEVEN
    teacher = scored(f"v, i = TopK(s, k) {NEXT}", outputs, apart)
    assert not judged(teacher, scored(f"{body} {NEXT}", outputs, apart, one=[1]))


def test_a_selection_without_a_counterpart_is_left_open_or_refused() -> None:
    """Here the student calls the tensors otherwise, so that nothing that goes in can be compared."""
    outputs, other = "int64[1,2] i, float[1,2] y", f"o, p = TopK(s, k) i = Identity(p) {NEXT}"
    with pytest.raises(InputError, match="cannot be told from rounding: output 'i'"):
        judged(scored(f"v, i = TopK(s, k) {NEXT}", outputs), scored(other, outputs, 1 + STEP * UNEVEN))
    apart = 1 + 0.3 * UNEVEN
    teacher = scored(f"v, i = TopK(s, k) {NEXT}", outputs, apart)
    assert judged(teacher, scored(other, outputs, apart))
    assert not judged(teacher, scored(other, outputs, 2 - apart))


def test_a_selection_in_a_body_is_left_open() -> None:
    def inside(factor: Any) -> onnx.ModelProto:
        body = (
            "m = ReduceMax<keepdims=0>(s) c = Greater(m, zero) "
            "i = If(c) <then_branch = a () => (int64[1,2] p) { u, p = TopK(s, k) },"
            " else_branch = b () => (int64[1,2] p) { u, p = TopK(s, k) }> "
        )
        return scored(body + NEXT, "int64[1,2] i, float[1,2] y", factor)

    with pytest.raises(InputError, match="cannot be told from rounding"):
        judged(inside(1), inside(1 + STEP * UNEVEN))
    apart = 1 + 0.3 * UNEVEN
    assert judged(inside(apart), inside(apart * (1 + STEP * UNEVEN)))
    assert not judged(inside(apart), inside(2 - apart))


# Quanta


WIDTH = 2048
HIDDEN = np.random.default_rng(3).standard_normal((16, WIDTH)).astype(np.float32)
WEIGHTS = np.random.default_rng(4).integers(-100, 100, (WIDTH, 8)).astype(np.int8)

QUANTISERS = {
    "DynamicQuantizeLinear": "q, scale, z = DynamicQuantizeLinear(h)",
    "QuantizeLinear": "q = QuantizeLinear(h, scale, z)",
    "Round": "d = Div(h, scale) r = Round(d) c = Clip(r, low, high) q = Cast<to=2>(c)",
    "Floor": "d = Div(h, scale) r = Floor(d) c = Clip(r, low, high) q = Cast<to=2>(c)",
    "Cast": "d = Div(h, scale) c = Clip(d, low, high) q = Cast<to=2>(c)",
}


def quantised(
    name: str, hidden: np.ndarray = HIDDEN, weights: np.ndarray = WEIGHTS, prefix: str = ""
) -> onnx.ModelProto:
    body = f"{prefix} f = MatMul(x, a) h = Relu(f) {QUANTISERS[name]} i = MatMulInteger(q, w, z) t = Cast<to=1>(i) "
    constants = {"scale": 0.03, "z": np.array(0, np.uint8), "low": 0.0, "high": 255.0}
    used = {key: constants[key] for key in constants if key in QUANTISERS[name] or key in ("scale", "z")}
    if name == "DynamicQuantizeLinear":
        used = {}
    return model(f"{body} y = Mul(t, scale)", "float[4,16] x", "float[4,8] y", a=hidden, w=weights, **used)


def off(by: float, seed: int = 0) -> np.ndarray:
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), HIDDEN.shape)
    return (HIDDEN * (1 + by * signs)).astype(np.float32)


INDEX = np.concatenate([np.arange(WIDTH), [5, 6, -1, -1]])


def widened(hidden: np.ndarray, fresh: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Two copied channels, of which one takes over half of the weight, and two fresh ones that nothing reads."""
    a = np.concatenate([hidden, hidden[:, 5:7], np.full((16, 2), fresh, np.float32)], axis=1)
    w = np.concatenate([WEIGHTS, WEIGHTS[5:7] // 2, np.zeros((2, 8), np.int8)])
    w[5:7] -= w[WIDTH : WIDTH + 2]
    return a, w


TRACE = dict.fromkeys(("f", "h", "q", "d", "r", "c"), (None, INDEX)) | {"i": (None, None), "y": (None, None)}


@pytest.mark.parametrize("name", QUANTISERS)
def test_quanta_that_flip_are_no_fault_of_the_student(name: str) -> None:
    right = verify(quantised(name), quantised(name, *widened(off(2.0**-17))), trace=TRACE)
    assert right
    assert right.rounded
    assert right.error < 1e-4
    assert not verify(quantised(name), quantised(name, *widened(off(0.01))), trace=TRACE)
    hidden, weights = widened(off(2.0**-17))
    weights[3] += 1
    wrong = verify(quantised(name), quantised(name, hidden, weights), trace=TRACE)
    assert not wrong
    assert wrong.wrong is not None
    assert wrong.wrong.tensor != "q"


def test_a_fresh_channel_may_not_widen_the_range_of_all() -> None:
    """Its own entries have no counterpart, and nothing reads them; but the scale is that of all entries."""
    name = "DynamicQuantizeLinear"
    wrong = verify(quantised(name), quantised(name, *widened(off(2.0**-17), fresh=100)), trace=TRACE)
    assert not wrong
    assert wrong.wrong is not None
    assert (wrong.wrong.tensor, wrong.wrong.operator) == ("scale", name)


@pytest.mark.parametrize("name", QUANTISERS)
def test_without_an_index_a_student_may_be_as_far_off_as_flipped_quanta_put_the_teacher(name: str) -> None:
    right = verify(quantised(name), quantised(name, *widened(off(2.0**-17))))
    assert right
    assert right.outputs[0].error <= right.outputs[0].tolerance < 0.05
    assert not verify(quantised(name), quantised(name, *widened(off(0) * np.float32(1.05))))


# What is imposed on a student is what its own node would decide, but for rounding


@pytest.mark.parametrize("operator", ["Round", "Floor", "Sign"])
def test_an_index_that_changes_within_a_decision_is_no_excuse(operator: str) -> None:
    """A wrong rule says that the copies behind the node are those of others, and the weights follow it."""
    copies, others = (np.concatenate([np.arange(6), more]) for more in ([0, 1], [2, 3]))
    hidden = (3 * np.random.default_rng(0).standard_normal((4, 6))).astype(np.float32)
    weights = np.random.default_rng(1).standard_normal((6, 3)).astype(np.float32)

    def net(a: np.ndarray, w: np.ndarray) -> onnx.ModelProto:
        body = f"h = MatMul(x, a) r = {operator}(h) y = MatMul(r, w)"
        return model(body, "float[2,4] x", "float[2,3] y", a=a, w=w.astype(np.float32))

    teacher, trace = net(hidden, weights), {"h": (None, copies), "y": (None, None)}
    for behind, right in ((copies, True), (others, False)):
        student = net(hidden[:, copies], weights[behind] / np.bincount(behind)[behind][:, None])
        assert bool(verify(teacher, student, trace=trace | {"r": (None, behind)})) is right
