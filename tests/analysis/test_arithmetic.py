"""Arithmetic on lengths is followed, or what it measures is pinned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.graphs import STABLE, TOLERANCE, Judge, grow, model, opened
from onnx_n2n.analysis.walk import analyze

NUMBERS = [1, 2, 3, 4, 5, 7]
OPERATORS = ["Add", "Sub", "Mul", "Div", "Max", "Mod"]
STEPS = st.lists(st.tuples(st.sampled_from(OPERATORS), st.sampled_from(NUMBERS)), max_size=4)
FILLED = "ConstantOfShape<value=float[1] {{0.001}}>"
LENGTH = "s = Shape(h) t0 = Gather(s, c1)"
USES = [
    "g = Concat<axis=0>(c2, {t}) e = Expand(one, g) r = ReduceSum<keepdims=1>(e, c1) k = Add(h, r)",
    f"g = Concat<axis=0>(c2, {{t}}) e = {FILLED}(g) r = ReduceSum<keepdims=1>(e, c1) k = Add(h, r)",
    "k0 = Slice(h, c0, {t}, c1) r = ReduceMax<axes=[1], keepdims=1>(k0) k = Add(h, r)",
    "k0 = Slice(h, {t}, c12, c1) u = Concat<axis=1>(h, k0) r = ReduceMax<axes=[1], keepdims=1>(u) k = Add(h, r)",
    "a = Cast<to=1>({t}) k = Mul(h, a)",
    "a = Range(z, {t0}, i1) f = Cast<to=1>(a) r = ReduceSum<keepdims=1>(f, c0) k = Add(h, r)",
]


@pytest.mark.parametrize("use", USES)
@STABLE
@given(STEPS, st.sampled_from(["zero", "net2net"]), st.sampled_from([1.5, 2, 3]))
def test_whatever_is_computed_of_a_length_the_student_is_right(
    use: str, steps: list[tuple[str, int]], init: str, factor: float
) -> None:
    body = f"h = MatMul(x, W) {LENGTH}"
    for n, (operator, number) in enumerate(steps):
        body += f" t{n + 1} = {operator}(t{n}, c{number})"
    last = f"t{len(steps)}"
    if "{t0}" in use:
        body, use = f"{body} scalar = Squeeze({last})", use.replace("{t0}", "scalar")
    constants = {f"c{n}": [n] for n in [0, *NUMBERS, 12]} | {"one": [[0.001]], "z": 0, "i1": 1}
    body = f"{body} {use.format(t=last)} y = MatMul(k, V)"
    teacher = model(body, "float[2,3] x", "y", W=(3, 12), V=(12, 2), **constants)
    try:
        judge = Judge(teacher)
    except Exception:  # a length below 0, or a part that is empty: not a model
        return
    if not all(moved > 0 for moved in judge.movement):
        return
    assert judge.error(grow(teacher, factor=factor, init=init)[0]) < TOLERANCE


@STABLE
@given(st.integers(2, 5), st.integers(2, 5), st.booleans(), st.sampled_from(["zero", "net2net"]))
def test_equal_parts_stay_equal_parts_when_their_length_is_computed(
    parts: int, each: int, rest: bool, init: str
) -> None:
    """As PyTorch exports ``torch.chunk``: parts of the length divided and rounded up, with a free batch."""
    body, ends = f"{LENGTH.replace('c1', 'axis')} up = Add(t0, less) part = Div(up, parts) e0 = Mul(part, zero)", []
    for n in range(parts):
        body += f" e{n + 1} = Mul(part, n{n + 1}) k{n} = Slice(h, e{n}, e{n + 1}, axis) p{n} = Tanh(k{n})"
        ends.append(f"p{n}")
    width = parts * each - (rest and parts > 2)  # the last part is shorter, where there is a rest
    body += f" k = Concat<axis=-1>({', '.join(ends)}) m = Mul({ends[0]}, {ends[1]}) y = MatMul(k, V) z = MatMul(m, U)"
    numbers = {f"n{n}": [n] for n in range(1, parts + 1)}
    teacher = model(
        f"h = MatMul(x, W) {body}", "float[N,3] x", "y, z", W=(3, width), V=(width, 2), U=(each, 2), axis=[1],
        zero=[0], less=[parts - 1], parts=[parts], **numbers,
    )  # fmt: skip
    groups = [group.size for group in analyze(opened(teacher)).groups if group.members]
    student, growth = grow(teacher, factor=2, init=init)
    assert groups == ([] if width % parts else [each])
    assert bool(growth.grown) == bool(groups)
    assert Judge(teacher).error(student) < TOLERANCE


WINDOWS = {  # places in windows, as vision transformers cut them, with a free batch
    "of a batch that is counted": (
        "q = Reshape(t, cut) r = Transpose<perm=[0,1,3,2,4,5]>(q) s = Shape(x) n = Gather(s, zero) m = Mul(n, four) "
        "to = Concat<axis=0>(m, rest) f = Reshape(r, to) k = Reshape(f, back)",
        {"cut": [0, 2, 2, 2, 2, 6], "four": [4], "rest": [4, -1], "back": [-1, 6], "zero": [0]},
    ),
    "of places that are shifted": (
        "a = Slice(t, one, far, one) b = Slice(t, zero, one, one) u = Concat<axis=1>(a, b) q = Reshape(u, cut) "
        "k = Reshape(q, back)",
        {"cut": [-1, 2, 2, 2, 2, 6], "back": [-1, 6], "one": [1], "far": [9], "zero": [0]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WINDOWS)
def test_channels_grow_beside_places_that_are_cut_into_windows(name: str) -> None:
    body, numbers = WINDOWS[name]
    teacher = model(
        f"c = Conv(x, W) t = Transpose<perm=[0,2,3,1]>(c) {body} y = MatMul(k, V)", "float[N,3,4,4] x", "y",
        W=(6, 3, 1, 1), V=(6, 2), **numbers,
    )  # fmt: skip
    student, growth = grow(teacher, factor=1.5)
    assert [(grown.before, grown.after) for grown in growth.grown] == [(6, 9)]
    assert Judge(teacher).error(student) < TOLERANCE


LEFT = {  # what is left of twelve channels: the parts that are cut, and the groups that grow
    "all but a third": ("p = Div(n, three) q = Sub(n, p) e = Add(p, q) a = Slice(h, p, e, one) "
                        "b = Slice(h, zero, q, one) k = Add(a, b)", [4]),
    "all but two": ("q = Sub(n, two) b = Slice(h, zero, q, one) k = Slice(b, two, q, one)", None),
    "a half that is the rest": ("p = Div(n, two) q = Sub(n, p) c = Concat<axis=0>(p, q) a, b = Split<axis=1>(h, c) "
                                "k = Mul(a, b)", [6]),
    "padded to a multiple": ("r = Mod(n, three) e = Add(n, r) k = Slice(h, zero, e, one)", None),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
@pytest.mark.parametrize("init", ["zero", "net2net"])
def test_what_is_left_of_a_length_is_followed(name: str, init: str) -> None:
    body, groups = LEFT[name]
    numbers = {"one": [1], "two": [2], "three": [3], "zero": [0]}
    shapes = {"all but a third": 8, "all but two": 8, "a half that is the rest": 6, "padded to a multiple": 12}
    numbers = {word: number for word, number in numbers.items() if word in body or word == "one"}
    teacher = model(
        f"h = MatMul(x, W) s = Shape(h) n = Gather(s, one) {body} y = MatMul(k, V)", "float[N,3] x", "y",
        W=(3, 12), V=(shapes[name], 2), **numbers,
    )  # fmt: skip
    found = [group.size for group in analyze(opened(teacher)).groups if group.members]
    student, growth = grow(teacher, factor=1.5, init=init)
    assert found
    assert growth.grown
    assert groups is None or found == groups
    assert Judge(teacher).error(student) < TOLERANCE


@pytest.mark.parametrize("side", ["g = Pow(nine, half) r = Cast<to=7>(g)", "g = Sqrt(nine) r = Cast<to=7>(g)"])
def test_what_is_computed_of_constants_is_a_constant(side: str) -> None:
    """As a vision transformer arranges its table of positions: a square whose side is computed."""
    body = (
        f"h = MatMul(x, W) s = Shape(h) w = Gather(s, two) {side} q = Unsqueeze(r, zero) v = Unsqueeze(w, zero) "
        "to = Concat<axis=0>(one, q, q, v) grid = Reshape(pos, to) turned = Transpose<perm=[0,3,1,2]>(grid) "
        "back = Transpose<perm=[0,2,3,1]>(turned) flat = Concat<axis=0>(one, rest, v) p = Reshape(back, flat) "
        "z = Add(h, p) y = MatMul(z, V)"
    )
    numbers = {"two": 2, "zero": [0], "one": [1], "rest": [-1], "nine": 9.0, "half": 0.5}
    teacher = model(body, "float[N,9,5] x", "y", W=(5, 8), V=(8, 3), pos=(1, 9, 8), **numbers)
    student, growth = grow(teacher, factor=1.5)
    assert [(grown.before, grown.after) for grown in growth.grown] == [(8, 12)]
    assert Judge(teacher).error(student) < TOLERANCE
