"""Reasons name the cause: the first operator at which a shape, a length or a tie was lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.graphs import STABLE, model, opened
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.passes import Widen
from onnx_n2n.passes.report import Change

HIDDEN = {  # what may stand behind a tensor ``{x}`` of unknown shape, none of which says anything about its rank
    "relu": "{y} = Relu({x})",
    "bias": "{y} = Add({x}, b{n})",
    "bias first": "{y} = Mul(b{n}, {x})",
    "layer": "{y} = MatMul({x}, w{n})",
    "twice": "{y} = Concat<axis=-1>({x}, {x})",
    "turn": "{y} = Transpose({x})",
    "norm": "{y} = BatchNormalization({x}, b{n}, b{n}, b{n}, b{n})",
    "layer norm": "{y} = LayerNormalization({x}, b{n}, b{n})",
    "sum": "{y} = ReduceSum<keepdims=0>({x}, v)",
    "fused": "{y} = com.microsoft.BiasGelu({x}, b{n})",
    "branch": "{y} = If(c) <then_branch = t{n} () => (p{n}) {{ p{n} = Relu({x}) }}, "
    "else_branch = e{n} () => (q{n}) {{ q{n} = Add({x}, b{n}) }}>",
    "loop": "{y} = Loop(trips, , {x}) <body = l{n} (i{n}, k{n}, s{n}) => (o{n}, r{n}) "
    "{{ o{n} = Identity(k{n}) r{n} = Mul(s{n}, b{n}) }}>",
}


@STABLE
@given(st.lists(st.sampled_from(list(HIDDEN)), min_size=1, max_size=6))
def test_behind_a_tensor_whose_shape_was_lost_every_pin_names_the_operator_that_lost_it(kinds: list[str]) -> None:
    body, value = "h = MatMul(x, a) t0 = local.Lost(h)", "t0"
    constants = {"a": (3, 4), "v": [0], "c": [True], "trips": 2}
    for n, kind in enumerate(kinds):
        body, value = f"{body} {HIDDEN[kind].format(x=value, y=f't{n + 1}', n=n)}", f"t{n + 1}"
        constants |= {f"w{n}": (5, 5), f"b{n}": (5,)}
    teacher = model(f"{body} y = MatMul({value}, z)", "float[N,3] x", "float[N,2] y", z=(5, 2), **constants)
    analysis = analyze(opened(teacher))
    found = {(pin.reason.text.split(",")[0], pin.reason.node) for pin in analysis.pins if pin.weight != "v"}
    inputs_and_outputs = {("graph input 'x'", ""), ("graph output 'y'", "")}
    assert found - inputs_and_outputs == {("Lost: no rule for local::Lost at version 1", "-> t0")}


def reasons(body: str, x: str = "float[N,3] x", **constants: object) -> set[tuple[str, str]]:
    """Return the reasons and nodes of all pins, but for those of the interface."""
    analysis = analyze(opened(model(body, x, "y", **constants)))
    return {
        (str(pin.reason.text), pin.reason.node) for pin in analysis.pins if not pin.reason.text.startswith("graph ")
    }


FOLLOWED = ["{y} = Identity({x})", "{y} = Mul({x}, one)", "{y} = Add({x}, none)", "{y} = Concat<axis=0>({x})"]


@STABLE
@given(st.lists(st.sampled_from(FOLLOWED), max_size=4), st.sampled_from(["Reshape(h, {x})", "Expand(h, {x})"]))
def test_a_length_that_is_lost_on_the_way_is_blamed_on_the_operator_that_lost_it(steps: list[str], use: str) -> None:
    body, value = "h = MatMul(x, a) s = Shape(h) f = Cast<to=1>(s) g = Sqrt(f) q = Mul(g, g) t0 = Cast<to=7>(q)", "t0"
    for n, step in enumerate(steps):
        body, value = f"{body} {step.format(x=value, y=f't{n + 1}')}", f"t{n + 1}"
    found = reasons(f"{body} k = {use.format(x=value)} y = MatMul(k, z)", a=(3, 4), z=(4, 2), one=[1], none=[0])
    assert [node for _, node in found] == ["-> g"]


@pytest.mark.parametrize(
    ("body", "node"),
    [
        ("s = Shape(h) g = Gather(s, one) o = Min(g, three) k = Slice(h, zero, o, one) y = MatMul(k, z)", "-> o"),
        ("n = NonZero(h) c = Shape(n) g = Gather(c, one) k = Expand(h, g) j = Relu(k) y = MatMul(j, z)", "-> n"),
    ],
)
def test_what_is_cut_by_a_lost_length_names_who_lost_it(body: str, node: str) -> None:
    found = reasons(f"h = MatMul(x, a) {body}", a=(3, 4), z=(3, 2), one=[1], zero=[0], three=[3])
    assert {each for _, each in found} == {node}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (  # a border of a Concat inside a group, and a part that cannot have copies beside its channels
            "c = Concat<axis=-1>(h, k) g = Reshape(c, to) n = InstanceNormalization(g, s, s) z = Reshape(n, back)",
            "Reshape: it makes groups for InstanceNormalization '-> n' across a border in 4 + 2 (Concat '-> c')",
        ),
        (
            "c = Concat<axis=-1>(h, k) z = GroupNormalization<num_groups=2>(c, s, s)",
            "GroupNormalization: 4 + 2 (Concat '-> c') does not split into 2 parts",
        ),
        (
            "c = Concat<axis=-1>(h, k) g = Reshape(m, split) t = Transpose<perm=[0,2,1]>(g) q = Reshape(t, back) "
            "z = Add(c, q)",
            "Add: broadcast operands do not line up: 4 + 2 (Concat '-> c') and 2 x 3 (Reshape '-> q')",
        ),
    ],
)
def test_where_axes_do_not_line_up_it_is_said_what_each_is_and_who_made_it(body: str, said: str) -> None:
    weights = {"a": (3, 4), "b": (3, 2), "d": (3, 6), "V": (6, 2), "s": (2,), "to": [0, 2, -1], "back": [0, 6]}
    first = "g0 = MatMul(x, a) h = Softmax(g0) k = MatMul(x, b) m = MatMul(x, d)"
    teacher = model(f"{first} {body} y = MatMul(z, V)", "float[N,3] x", "y", opset=21, split=[0, 3, 2], **weights)
    found = analyze(opened(teacher)).pins
    assert {pin.reason.text.split(", so")[0] for pin in found if pin.weight == "b" and pin.reason.node} == {said}


def test_that_nothing_grows_is_blamed_on_the_operator_at_the_root_of_it() -> None:
    body = "h = MatMul(x, a) u = local.Lost(h) r = Relu(u) k = Add(r, b) y = MatMul(k, z)"
    teacher = model(body, "float[N,3] x", "float[N,2] y", a=(3, 4), b=(5,), z=(5, 2))
    why, _ = Widen().nothing(opened(teacher), Change(()))
    cause = "Lost: no rule for local::Lost at version 1, so the shape of 'u' is not known (node '-> u')"
    assert why == f"nothing in the model can grow, mostly for this reason: {cause}"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("t = Transpose<perm=[1,0]>(h) z = MatMul(t, k) s = Mul(z, h) y = MatMul(s, v)",
         "Mul: it meets an axis whose length is not known before run time: ? (graph input 'x')"),
        ("z = MatMul(h, k) y = MatMul(z, v)",
         "MatMul: axes that must be equal do not line up: 4 (MatMul '-> h') and ? (graph input 'x')"),
    ],
)  # fmt: skip
def test_a_length_that_is_not_known_is_said_to_be_whose_it_is(body: str, said: str) -> None:
    """What belongs to an input of the model was lost nowhere: the reason names that input."""
    found = reasons(f"h = MatMul(x, a) k = MatMul(x, b) {body}", a=(3, 4), b=(3, 5), v=(5, 2))
    assert {text for text, _ in found if "line up" in text or "before run time" in text} == {said}


@pytest.mark.parametrize(
    ("body", "weight", "said"),
    [
        ("p, q, r = Split<axis=1>(h, ones) z = Concat<axis=1>(r, p, q)", "a", "Split: {cut} (node '-> p')"),
        ("p, q, r = Split<axis=1>(h, ones) z = Concat<axis=1>(r, p, q)", "v", "Split: {cut} (node '-> p')"),
        ("p = Slice(h, zero, one, one) q = Slice(h, one, three, one) t, u = Split<axis=1>(q, pair) "
         "z = Concat<axis=1>(u, t, p)", "a", "Slice: {cut} (node '-> p')"),
        ("p = MatMul(x, k) z = Concat<axis=1>(p, p, p)", "v", "Concat: {join} (node '-> z')"),
        ("p = MatMul(x, k) s = Concat<axis=1>(p, p, p) z = Add(h, s)", "a", "Concat: {join} (node '-> s')"),
        ("p, q = Split<axis=1>(h, first) r, s = Split<axis=1>(h, second) g = Relu(q) z = Concat<axis=1>(r, g)", "a",
         "Split: {cut} (node '-> p')"),
        ("s = Softmax(h) p, q, r = Split<axis=1>(s, ones) z = Concat<axis=1>(r, p, q)", "a",
         "Softmax: it normalises over this axis (node '-> s')"),
        ("p, q, r = Split<axis=1>(h, ones) s = Concat<axis=1>(r, p, q) z = Softmax(s)", "a",
         "Split: {cut} (node '-> p')"),
    ],
)  # fmt: skip
def test_who_made_single_channels_of_an_axis_is_named(body: str, weight: str, said: str) -> None:
    """Both of what makes the channels, and of what reads them."""
    numbers = {"ones": [1, 1, 1], "pair": [1, 1], "zero": [0], "one": [1], "three": [3], "first": [1, 2]}
    weights = numbers | {"second": [2, 1], "a": (3, 3), "k": (3, 1), "v": (3, 2)}
    teacher = model(f"h = MatMul(x, a) {body} y = MatMul(z, v)", "float[N,3] x", "y", opset=18, **weights)
    found = {(pin.weight, pin.axis): str(pin.reason) for pin in analyze(opened(teacher)).pins}
    cut, join = "it cuts out single channels, which cannot move", "it joins single channels, which cannot move"
    assert found[weight, weight == "a"] == said.format(cut=cut, join=join)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("k = Cast<to=1>(whole) m = MatMul(x, k) y = MatMul(m, v)",
         ("constant 'whole' holds neither floating-point nor quantised numbers", "-> k")),
        ("k = Slice(w, zero, three, zero) m = MatMul(x, k) y = MatMul(m, v)",
         ("Slice: nothing reads what it cuts away", "-> k")),
    ],
)  # fmt: skip
def test_a_constant_that_stays_names_who_reads_it(body: str, said: tuple[str, str]) -> None:
    weights = {"whole": np.ones((3, 4), np.int64), "w": (10, 4), "v": (4, 2), "zero": [0], "three": [3]}
    assert said in reasons(body, **weights)
