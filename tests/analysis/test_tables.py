"""A table grows along the axis that indices carry along, however they and the shape of the table are computed."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.graphs import TOLERANCE, Judge, grow, model, opened
from onnx_n2n.analysis.walk import analyze

ATTENTION = """
    q = MatMul(x, wq) q1 = Reshape(q, apart) q2 = Transpose<perm=[0, 2, 1, 3]>(q1)
    k = MatMul(x, wk) k1 = Reshape(k, apart) k2 = Transpose<perm=[0, 2, 3, 1]>(k1)
    v = MatMul(x, wv) v1 = Reshape(v, apart) v2 = Transpose<perm=[0, 2, 1, 3]>(v1)
    s = MatMul(q2, k2) t = Add(s, bias) p = Softmax<axis=-1>(t) m = MatMul(p, v2)
    m1 = Transpose<perm=[0, 2, 1, 3]>(m) m2 = Reshape(m1, back) y = MatMul(m2, wo)
"""
WEIGHTS = {"wq": (5, 4), "wk": (5, 4), "wv": (5, 4), "wo": (4, 3)}
HEADS = {"apart": np.array([0, 0, 2, 2]), "back": np.array([0, 0, -1]), **WEIGHTS}
LISTED = (np.arange(3) - np.arange(3)[:, None] + 2).ravel()
BIASES = {
    "listed": "g = Gather(table, listed) g1 = Reshape(g, square) bias = Transpose<perm=[2, 0, 1]>(g1)",
    "listed, the table computed": """
        a = MatMul(places, w1) a1 = Relu(a) a2 = MatMul(a1, w2) a3 = Reshape(a2, rows)
        g = Gather(a3, listed) g1 = Reshape(g, square) bias = Transpose<perm=[2, 0, 1]>(g1)""",
    "by distance": """
        shape = Shape<start=1, end=2>(x) n = Squeeze(shape) i = Range(zero, n, one)
        column = Unsqueeze(i, ones) d = Sub(column, i) d1 = Max(d, least) d2 = Min(d1, two) d3 = Add(d2, two)
        g = Gather(table, d3) bias = Transpose<perm=[2, 0, 1]>(g)""",
}
PLACES = """
    first = Slice(table, none, ones, ones) rest = Slice(table, ones, end, ones)
    s = Shape(rest) c = Cast<to=1>(s) n = Gather(c, ones) {root} side = Cast<to=7>(r)
    d = Concat<axis=0>(ones, side, side, left) q = Reshape(rest, d) q1 = Transpose<perm=[0, 3, 1, 2]>(q)
    s1 = Shape(q1) lead = Slice(s1, none, twos) sizes = Concat<axis=0>(lead, twos, threes)
    z = Resize<mode="nearest">(q1, , , sizes) z1 = Transpose<perm=[0, 2, 3, 1]>(z) z2 = Reshape(z1, flat)
    p = Concat<axis=1>(first, z2) h = MatMul(x, w) g = Add(h, p) y = MatMul(g, v)
"""


@pytest.mark.parametrize("name", BIASES)
def test_heads_grow(name: str) -> None:
    tables = {"table": (5, 2)} if "(table" in BIASES[name] else {"w1": (2, 4), "w2": (4, 2), "rows": np.array([-1, 2])}
    places = {"places": np.linspace(-1, 1, 10, dtype=np.float32).reshape(1, 5, 2)} if "places" in BIASES[name] else {}
    numbers = {"listed": LISTED, "square": np.array([3, 3, -1]), "zero": np.array(0), "one": np.array(1),
               "ones": np.array([1]), "two": np.array(2), "least": np.array(-2)}  # fmt: skip
    used = {key: each for key, each in numbers.items() if key in BIASES[name]}
    teacher = model(BIASES[name] + ATTENTION, "float[2,3,5] x", "y", **HEADS, **tables, **places, **used)
    found = {(m.weight, m.axis) for group in analyze(opened(teacher)).groups for m in group.members}
    assert ("table" if "table" in tables else "w2", 1) in found
    student, growth = grow(teacher, factor=2.0)
    assert growth.grown
    judge = Judge(teacher)
    assert judge.meaningful
    assert judge.error(student) < TOLERANCE


@pytest.mark.parametrize("root", ["r = Sqrt(n)", "r = Pow(n, half)"])
def test_positions_of_a_square_grow(root: str) -> None:
    numbers = {"none": np.array([0]), "ones": np.array([1]), "end": np.array([99]), "twos": np.array([2])}
    flat = {"left": np.array([-1]), "flat": np.array([1, -1, 4]), "threes": np.array([3])}
    half = {"half": np.array(0.5, np.float32)} if "half" in root else {}
    teacher = model(PLACES.replace("{root}", root), "float[2,7,5] x", "y", table=(1, 5, 4), w=(5, 4), v=(4, 3),
                    **numbers, **flat, **half)  # fmt: skip
    groups = analyze(opened(teacher)).groups
    assert {("table", 2), ("w", 1), ("v", 0)} <= {(m.weight, m.axis) for group in groups for m in group.members}
    judge = Judge(teacher)
    assert judge.meaningful
    for init in ("net2net", "zero"):
        student, growth = grow(teacher, factor=1.5, init=init)
        assert growth.grown
        assert judge.error(student) < TOLERANCE


# A table of positions is cut to how many there are, as BERT's is, and the sum with it is split by that count.
POSITIONS = """
    s = Shape(x) b = Gather(s, none) n = Gather(s, ones) p = Slice(table, {start}, n, axis{step}) {meet}
    h = Add(x, e) q = MatMul(h, w) to = Concat<axis=0>(b, n, any, two) k = Reshape(q, to)
    r = Relu(k) back = Concat<axis=0>(b, n, any) m = Reshape(r, back) y = MatMul(m, v)
"""
CUTS = {
    "added": ({}, 2),
    "stretched": ({"meet": "t = Concat<axis=0>(ones, n, four) e = Expand(p, t)"}, 2),
    "from the second": ({"start": "ones"}, 0),
    "every other": ({"step": ", twos"}, 0),
}


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("rows", [7, 1])
def test_what_is_cut_to_a_length_has_that_length_where_both_meet(name: str, rows: int) -> None:
    """A table of one row could be repeated instead, and one that is cut elsewhere is shorter."""
    parts, groups = CUTS[name]
    body = POSITIONS.format(**{"start": "none", "step": "", "meet": "e = Identity(p)"} | parts)
    numbers = {"none": np.array([0]), "ones": np.array([1]), "axis": np.array([1]), "any": np.array([-1]),
               "two": np.array([2]), "twos": np.array([2]), "four": np.array([4])}  # fmt: skip
    used = {key: each for key, each in numbers.items() if f"{key})" in body or f"{key}," in body}
    teacher = model(body, "float[B,N,4] x", "y", table=(1, rows, 4), w=(4, 6), v=(6, 3), **used)
    groups_of = {group: {(m.weight, m.axis) for m in group.members} for group in analyze(opened(teacher)).groups}
    found = [group for group, axes in groups_of.items() if ("w", 1) in axes]
    assert len(found) == (groups if rows > 1 else 0), [group.name for group in found]
    if found:
        student, _ = grow(teacher, groups={group.name: 2 * group.size for group in found})
        assert Judge(teacher).error(student) < TOLERANCE
