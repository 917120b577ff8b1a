"""Laws of lengths: whatever measures an axis, or counts its places, follows it, or the axis does not grow.

Every table maps a name to a teacher and to the sizes of its groups. No student here is verified by the product itself.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest

import onnx_n2n
from helpers.graphs import TOLERANCE, Judge, model, opened, run
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.axes.algebra import Limit

Teacher = tuple[tuple[int, ...], onnx.ModelProto]

ROOT = "f = Cast<to=1>(n) r = Sqrt(f) q = Div(h, r) y = MatMul(q, V)"
SIX = {"W": (6, 6), "V": (6, 2), "U": (6, 6), "one": np.array([1]), "last": np.array([-1])}


def used(body: str, constants: dict[str, Any]) -> dict[str, Any]:
    """Return those of some constants that a graph names."""
    return {name: constant for name, constant in constants.items() if name in re.findall(r"\w+", body)}


def measured(body: str, *groups: int, x: str = "float[6,6] x", y: str = "y", opset: int = 17, **more: Any) -> Teacher:
    """Return a teacher with the constants that the graph names."""
    return groups, model(body, x, y, opset=opset, **used(body, SIX), **more)


OF_WEIGHTS = {
    "the root of a length": measured(f"h = MatMul(x, W) s = Shape(W) n = Gather(s, one) {ROOT}"),
    "the root of a count": measured(f"h = MatMul(x, W) n = Size(W) {ROOT}"),
    "the root of a length of a bias": measured(
        f"m = MatMul(x, W) h = Add(m, b) n = Shape(b) {ROOT}", 6, b=(6,)),
    "the root of a length of a moved weight": measured(
        f"t = Transpose<perm=[1,0]>(W) h = MatMul(x, t) s = Shape(t) n = Gather(s, one) {ROOT}"),
    "the root of a length of a filled tensor": measured(
        f"h = MatMul(x, W) c = ConstantOfShape(six) k = Add(h, c) n = Shape(c) {ROOT}", six=np.array([6])),
    "the target of an Expand": measured(
        "z = Gather(W, i) h = MatMul(z, U) r = Relu(h) s = Shape(W) e = Expand(r, s) t = Transpose<perm=[1,0]>(e) "
        "y = MatMul(t, V)", 6, x="int64[6] i"),
    "the target of a Reshape": measured(
        "h = MatMul(x, W) s = Shape(W) n = Gather(s, one) l = Concat<axis=0>(last, n) q = Reshape(x, l) "
        "z = MatMul(q, V) u = MatMul(h, V2) y = Add(z, u)", 6, V2=(6, 2)),
    "the target of a Reshape of what grows": measured(
        "h = MatMul(x, W) s = Shape(W) n = Gather(s, one) l = Concat<axis=0>(last, n) q = Reshape(h, l) "
        "y = MatMul(q, V)", 6),
    "zeros of that length": measured(
        "h = MatMul(x, W) s = Shape(W) n = Gather(s, one) c = ConstantOfShape(n) k = Add(h, c) y = MatMul(k, V)", 6),
    "zeros beside an input": measured(
        "h = MatMul(x, W) s = Shape(W) n = Gather(s, one) c = ConstantOfShape(n) k = Add(x, c) z = MatMul(k, V) "
        "u = MatMul(h, V2) y = Add(z, u)", V2=(6, 2)),
    "places that are counted": measured(
        "h = MatMul(x, W) s = Shape(W) n = Gather(s, at) r = Range(zero, n, step) f = Cast<to=1>(r) k = Mul(h, f) "
        "y = MatMul(k, V)", at=1, zero=0, step=1),
    "the largest few": measured(
        "h = MatMul(x, W) k = MatMul(h, U) s = Shape(W) n = Gather(s, one) v, i = TopK(k, n) y = Add(v, x)"),
    "a weight that is cast to a target": measured(
        "h = MatMul(x, W) t = Cast<to=7>(b) k = Reshape(h, t) y = MatMul(k, V)", 6, b=np.array([6, 6], np.float32)),
    "a length in a branch": measured(
        "h = MatMul(x, W) d = ReduceMax<keepdims=0>(x) c = Cast<to=9>(d) q = If(c) <"
        "then_branch=a () => (p) { s = Shape(W) n = Gather(s, one) f = Cast<to=1>(n) p = Div(h, f) }, "
        "else_branch=b () => (o) { o = Relu(h) }> y = MatMul(q, V)"),
}  # fmt: skip


def check(teacher: onnx.ModelProto, **options: Any) -> None:
    """Grow without verification, and compare."""
    judge = Judge(teacher)
    assert judge.meaningful
    for init in ("zero", "net2net"):
        for factor in (1.5, 2):
            student = onnx_n2n.widen(teacher, factor=factor, init=init, verify=False, **options).model
            assert judge.error(student) < TOLERANCE


def sizes(teacher: onnx.ModelProto) -> tuple[int, ...]:
    return tuple(sorted(group.size for group in analyze(opened(teacher)).groups if group.members))


def check_groups(groups: tuple[int, ...], teacher: onnx.ModelProto) -> None:
    """Make sure that a teacher has groups of just these sizes, and that it grows by them."""
    assert sizes(teacher) == groups
    if groups:
        check(teacher)


@pytest.mark.parametrize("name", OF_WEIGHTS)
def test_the_length_of_a_weight_follows_it(name: str) -> None:
    check_groups(*OF_WEIGHTS[name])


EIGHT = {"W": (4, 8), "V": (8, 2)}
FREE = {
    "an output that merges what nobody else reads so": (
        (), model("h = MatMul(x, W) f = Flatten<axis=0>(h) y = MatMul(f, V)", "float[N,4] x", "f, y", W=(4, 8),
                  V=(16, 2))),
    "an output beside": (
        (), model("h = MatMul(x, W) f = Reshape(h, to) y = MatMul(h, V)", "float[N,4] x", "f, y", to=[-1], **EIGHT)),
    "a mean": (
        (8,), model("h = MatMul(x, W) f = Flatten<axis=0>(h) m = ReduceMean<axes=[1]>(f) y = MatMul(h, V)",
                    "float[N,4] x", "m, y", **EIGHT)),
}  # fmt: skip


@pytest.mark.parametrize("name", FREE)
def test_channels_merged_with_a_free_length(name: str) -> None:
    """Where they are in the merged axis is known only at run time, so nothing constant may have to say it."""
    check_groups(*FREE[name])


GIVEN_OUT = {
    "as it is": "n = Shape(h) z = Cast<to=1>(n)",
    "one of it": "n = Shape(h) f = Cast<to=1>(n) z = Gather(f, one)",
    "one of what is sliced": "k = Slice(h, one, far, one) n = Shape(k) f = Cast<to=1>(n) z = Gather(f, one)",
    "one before it is cast": "n = Shape(h) f = Gather(n, one) z = Cast<to=1>(f)",
    "of a weight": "n = Shape(W) f = Cast<to=1>(n) z = Gather(f, one)",
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN_OUT)
def test_a_length_that_is_given_out_as_a_number_stays(name: str) -> None:
    body = f"h = MatMul(x, W) i = MatMul(h, V) r = MatMul(i, U) y = MatMul(r, T) {GIVEN_OUT[name]}"
    arrays = {"one": np.array([1]), "far": np.array([2**40])}
    teacher = model(body, "float[3,4] x", "y, z", **used(body, arrays), **EIGHT, U=(2, 5), T=(5, 2))
    student = onnx_n2n.widen(teacher, verify=False).model
    feed = {"x": np.ones((3, 4), np.float32)}
    np.testing.assert_array_equal(run(student, feed)[1], run(teacher, feed)[1])


FROM_THE_END = {
    "Gather": "p = Gather<axis=1>(h, from_end) q = Gather<axis=1>(h, from_start)",
    "Gather in a branch": (
        "m = ReduceMax<keepdims=0>(x) c = Cast<to=9>(m) p = If(c) <then_branch=a () => (v) { v = Gather<axis=1>(h, "
        "from_end) }, else_branch=b () => (w) { s = Gather<axis=1>(h, from_end) w = Neg(s) }> "
        "q = Gather<axis=1>(h, from_start)"),
    "Slice": "p = Slice(h, begin, middle, one) q = Slice(h, middle, far, one)",
    "Slice beyond the ends": "p = Slice(h, before, middle, last) q = Slice(h, middle, behind, last)",
    "Split": "p, q = Split<axis=-1>(h)",
}  # fmt: skip


@pytest.mark.parametrize("name", FROM_THE_END)
def test_places_counted_from_the_end(name: str) -> None:
    """The first half of the channels keeps its length, and the other half grows behind it."""
    body = f"h = MatMul(x, W) {FROM_THE_END[name]} z = Softmax<axis=1>(p) y = MatMul(q, V)"
    places = {
        "from_end": [-8, -7, -6, -5], "from_start": [4, 5, 6, 7], "begin": [-8], "middle": [-4], "far": [2**40],
        "before": [-100], "behind": [100], "one": [1], "last": [-1],
    }  # fmt: skip
    arrays = {name: np.array(n) for name, n in places.items()}
    teacher = model(body, "float[3,4] x", "z, y", W=(4, 8), V=(4, 2), **used(body, arrays))
    check_groups((4,), teacher)


OF_KEYS = {
    "a constant key behind a cache": "y, o, r = Attention(q, K, P, , c, v)",
    "a cache before a key": "y, o, r = Attention(q, c, v, , K, P)",
    "a constant cache and a constant key": "y, o, r = Attention(q, K, P, , L, v)",
    "a key that is given out": "k = MatMul(x, M) s = Softplus(q) y, o, r = Attention(s, k, x) u = MatMul(o, V)",
}


@pytest.mark.parametrize("name", OF_KEYS)
def test_shares_of_attention_are_those_of_the_query_where_keys_are_joined(name: str) -> None:
    shapes = {"K": (1, 2, 3, 8), "L": (1, 2, 3, 8), "P": (1, 2, 3, 4), "M": (4, 8), "V": (8, 2)}
    body = f"q = MatMul(x, W) c = MatMul(p, U) {OF_KEYS[name]}"
    outputs = "y, u" if "u =" in body else "y"
    teacher = model(body, "float[1,2,3,4] x, float[1,2,3,4] p, float[1,2,3,4] v", outputs, opset=23, W=(4, 8), U=(4, 8),
                    **used(body, shapes))  # fmt: skip
    assert 8 in sizes(teacher)
    check(teacher)


BESIDE = {
    "Conv": ("y = Conv(c, V)", {"V": (2, 10, 1, 1)}),
    "Conv in groups": ("y = Conv<group=2>(c, V)", {"V": (2, 5, 1, 1)}),
    "Conv by channel": ("d = Conv<group=10>(c, D) y = Conv(d, V)", {"D": (10, 1, 1, 1), "V": (2, 10, 1, 1)}),
    "ConvTranspose": ("y = ConvTranspose(c, V)", {"V": (10, 2, 1, 1)}),
    "BatchNormalization": ("y = BatchNormalization(c, a, b, a, v)",
                           {"a": (10,), "b": (10,), "v": np.full(10, 0.7, np.float32)}),
    "GroupNormalization": ("y = GroupNormalization<num_groups=2>(c, a, a)", {"a": (10,)}),
    "DepthToSpace": ("d = Concat<axis=1>(c, c) e = DepthToSpace<blocksize=2>(d) y = Conv(e, V)", {"V": (2, 5, 1, 1)}),
    "Add": ("d = Add(c, a) y = Conv(d, V)", {"a": (10, 1, 1), "V": (2, 10, 1, 1)}),
    "Split": ("y, z = Split<axis=1>(c, n)", {"n": [4, 6]}),
    "a branch": ("m = ReduceMax<keepdims=0>(x) i = Cast<to=9>(m) y = If(i) <then_branch=a () => (p) { p = Neg(c) }, "
                 "else_branch=b () => (o) { o = Expand(B, n) }>", {"B": (10, 1, 1), "n": [1, 1, 4, 4]}),
}  # fmt: skip


@pytest.mark.parametrize("name", BESIDE)
def test_nothing_grows_on_either_side_of_what_does_not_line_up(name: str) -> None:
    """The channels of ``h`` lie beside channels whose number is free, on one axis."""
    body, constants = BESIDE[name]
    teacher = model(f"h = Conv(x, W) c = Concat<axis=1>(h, k) {body}", "float[1,3,4,4] x, float[1,C,4,4] k", "y",
                    opset=18, W=(8, 3, 1, 1), **constants)  # fmt: skip
    assert sizes(teacher) == ()


DIFFERENCE = (
    "h = Conv(x, W) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(h) u = Conv(p, U) s = Shape(h) t = Shape(u) "
    "a = Gather(s, up) b = Gather(t, up) d = Sub(a, b) e = Gather(s, along) f = Gather(t, along) g = Sub(e, f)"
)
PADS = {
    "joined": "n = Concat<axis=0>(four, two, d, g)",
    "turned round in a table, as PyTorch does": (
        "l = Concat<axis=0>(one, g, one, d, four) r = Reshape(l, pairs) v = Slice(r, last, far, one, last) "
        "w = Transpose<perm=[1,0]>(v) m = Reshape(w, last) n = Cast<to=7>(m)"),
}  # fmt: skip


@pytest.mark.parametrize("name", PADS)
def test_channels_grow_where_only_places_are_padded_by_what_is_computed(name: str) -> None:
    """A skip and an upsampled branch of a U-Net; run with a side of 2, so that one row and one column are added."""
    numbers = {"up": [2], "along": [3], "one": [0], "two": [0, 0], "four": [0] * 4, "pairs": [-1, 2], "last": [-1],
               "far": [-(2**63) + 1]}  # fmt: skip
    body = f"{DIFFERENCE} {PADS[name]} z = Pad(u, n) c = Concat<axis=1>(h, z) y = Conv(c, V)"
    arrays = {key: np.array(value) for key, value in numbers.items()}
    weights = {"W": (8, 3, 1, 1), "U": (6, 8, 1, 1), "V": (2, 14, 1, 1)}
    teacher = model(body, "float[1,3,H,I] x", "y", **weights, **used(body, arrays))
    check_groups((6, 8), teacher)


STRETCHED = {
    "Add": "s = Add(p, q)",
    "Where": "i = Greater(p, q) s = Where(i, p, q)",
    "MatMul": "a = Unsqueeze(p, last) b = Unsqueeze(q, last) s = MatMul(a, b)",
    "Expand": "t = Shape(q) s = Expand(p, t)",
}


@pytest.mark.parametrize("name", STRETCHED)
def test_a_free_length_may_turn_out_to_be_1_and_be_stretched(name: str) -> None:
    """What has been stretched from N places to M is M long, so that a Reshape by its length may cut channels."""
    body = (f"h = MatMul(x, W) {STRETCHED[name]} u = Shape(s) n = Gather(u, zero) l = Concat<axis=0>(n, last) "
            "r = Reshape(h, l) e = Relu(r) z = ReduceSum(e, one) y = MatMul(h, V)")  # fmt: skip
    teacher = model(body, "float[N,4] x, float[N,1] p, float[M,1] q", "y, z", W=(4, 8), V=(8, 2), zero=np.array([0]),
                    one=np.array([1]), last=np.array([-1]))  # fmt: skip
    students = [onnx_n2n.widen(teacher, factor=factor, verify=False).model for factor in (1.5, 2)]
    rng = np.random.default_rng(0)
    for length, other in ((1, 2), (1, 4), (2, 2), (3, 1)):
        feeds = {each: rng.standard_normal((n, width)).astype(np.float32)
                 for each, n, width in (("x", length, 4), ("p", length, 1), ("q", other, 1))}  # fmt: skip
        expected = run(teacher, feeds)
        for student in students:
            for found, wanted in zip(run(student, feeds), expected, strict=True):
                np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_indices_that_were_cast_keep_their_number_or_are_copied() -> None:
    """Runs of places follow what is indexed; single places, which new ones might miss, are copied."""
    numbers = np.array([4, 3, 2, 1, 0, 1, 2, 3], np.float32)
    runs = model("c = Cast<to=7>(b) e = Gather(E, c) t = Transpose(e) z = MatMul(t, V) y = MatMul(x, z)",
                 "float[3,4] x", "y", E=(5, 4), V=(8, 2), b=numbers)  # fmt: skip
    assert sizes(runs) == ()
    single = model("h = MatMul(x, W) g = HardSigmoid(h) r = Mul(g, n) c = Cast<to=7>(r) e = Gather(E, c) "
                   't = Einsum<equation="abc,bd->acd">(e, V) y = Identity(t)', "float[3,4] x", "y", E=(5, 4), W=(4, 8),
                   V=(8, 2), n=4.0)  # fmt: skip
    (group,) = analyze(opened(single)).groups
    assert (group.size, group.limit) == (8, Limit.COPIES)
    check(single)
