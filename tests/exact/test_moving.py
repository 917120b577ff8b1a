"""Operators that move numbers, and look them up or put them by indices: lies over fields, and what is read."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from helpers.exactly import W, both, net, never_equal, one_node, over_doubles
from onnx_n2n.exact import check
from onnx_n2n.exact.files import File
from onnx_n2n.exact.reals import RealLine
from onnx_n2n.exact.run import Run
from onnx_n2n.exact.tensor import Tensor

POSITIONS = "s = Shape(x) n = Gather(s, zero) q = Range(zero, n, one)"
AT = {"zero": np.int64(0), "one": np.int64(1)}
ORIGIN = np.array([0])
TABLE = np.random.default_rng(1).normal(size=(64, 8)).astype("f4")
OTHER = np.concatenate([TABLE[:16], -TABLE[16:]])
ZERO, ONE, HIGH = (np.float32(each) for each in (0, 1, 6))


def limited(limit: int) -> onnx.ModelProto:
    """Return a model that looks at the positions below a limit."""
    body = f"{POSITIONS} c = Less(q, k) u = Unsqueeze(c, i) y = Where(u, a, z)"
    return net(body, k=np.int64(limit), z=ZERO, i=np.array([1]), **AT)


# Pairs of models that differ for some input, though only there.
LIES = {
    "one row of a position table": (
        net(f"{POSITIONS} p = Gather(P, q) y = Add(a, p)", P=TABLE, **AT),
        net(f"{POSITIONS} p = Gather(P, q) y = Add(a, p)", P=OTHER, **AT),
    ),
    "a part of a position table": (
        net("s = Shape <end=1>(x) p = Slice(P, o, s) y = Add(a, p)", P=TABLE, o=np.array([0])),
        net("s = Shape <end=1>(x) p = Slice(P, o, s) y = Add(a, p)", P=OTHER, o=np.array([0])),
    ),
    "a part of a table that is calculated": (
        net("t = Cos(P) s = Shape <end=1>(x) p = Slice(t, o, s) y = Add(a, p)", P=TABLE, o=np.array([0])),
        net("t = Cos(P) s = Shape <end=1>(x) p = Slice(t, o, s) y = Add(a, p)", P=np.abs(OTHER) + 1, o=np.array([0])),
    ),
    "a part of a table that a length is a factor of": tuple(
        net("s = Shape <end=1>(x) f = Cast <to=1>(s) t = Mul(P, f) p = Slice(t, o, s) y = Add(a, p)", P=t, o=ORIGIN)
        for t in (TABLE, OTHER)
    ),
    "positions beyond a limit": (limited(40), limited(400)),
    "added for put": both(
        'y = ScatterND <reduction="add">(a, i, V)', "y = ScatterND(a, i, V)", i=np.array([[0], [1]]), V=W[:2]
    ),
    "put on another row": (
        net("y = ScatterND(a, i, V)", i=np.array([[0], [1]]), V=W[:2]),
        net("y = ScatterND(a, i, V)", i=np.array([[1], [0]]), V=W[:2]),
    ),
    "what is outside": (
        net("y = Pad(a, p, v)", "float[N, 9] y", p=np.array([0, 0, 0, 1]), v=ONE),
        net("y = Pad(a, p, v)", "float[N, 9] y", p=np.array([0, 0, 0, 1]), v=HIGH),
    ),
    "what an old version has outside": both(
        "y = Pad <pads=[0, 0, 0, 1], value=1.0>(a)", "y = Pad <pads=[0, 0, 0, 1]>(a)", "float[N, 9] y", opset=10
    ),
    "rare row": (
        net("i = Cast <to=7>(a) y = Gather(P, i)", "float[N, 8, 8] y", P=TABLE),
        net("i = Cast <to=7>(a) y = Gather(P, i)", "float[N, 8, 8] y", P=OTHER),
    ),
    "rare element": (
        net("i = Cast <to=7>(a) y = GatherElements(P, i)", P=TABLE),
        net("i = Cast <to=7>(a) y = GatherElements(P, i)", P=OTHER),
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_lies(name: str) -> None:
    one, two = LIES[name]
    never_equal(one, two)
    assert not check(two, one)


# Ways to leave out a part of a table of 64 rows by a length that is drawn.
PARTS = {
    "Split": "r = Sub(rows, n) c = Concat <axis=0>(n, r) p, q = Split(t, c)",
    "Slice": "p = Slice(t, start, n)",
    "CenterCropPad": "p = CenterCropPad <axes=[0]>(t, n)",
    "Pad": "d = Sub(n, rows) c = Concat <axis=0>(start, start, d, start) p = Pad(t, c)",
    "GatherND": "e = Squeeze(n) q = Range(zero, e, one) u = Unsqueeze(q, onwards) p = GatherND(t, u)",
    "Gather": "e = Squeeze(n) q = Range(zero, e, one) p = Gather(t, q)",
}


@pytest.mark.parametrize("made", ["Identity(P)", "Mul(P, P)", "Cos(P)", "Mul(P, f)", "whole"])
@pytest.mark.parametrize("part", PARTS)
def test_rows_that_a_length_leaves_out_are_noticed(part: str, made: str) -> None:
    before, after = (f"t = {made}", "y = Add(a, p)")
    table = TABLE
    if made == "whole":
        before, after = "t = Add(P, P)", "v = Cast <to=1>(p) y = Add(a, v)"
        table = np.arange(64 * 8).reshape(64, 8)
    body = f"n = Shape <end=1>(x) f = Cast <to=1>(n) {before} {PARTS[part]} {after}"
    used = {"rows": np.array([64]), "start": np.array([0]), "onwards": np.array([1]), **AT}
    used = {name: value for name, value in used.items() if name in PARTS[part]}
    other = np.concatenate([table[:40], table[40:] + 1])
    right, wrong = net(body, P=table, **used), net(body, P=other, **used)
    assert not check(right, wrong)
    own = check(right, right)
    assert own or (part not in {"Gather", "Slice"} and "part" in own.reason), own


def test_elements_are_read_where_they_are_after_a_transpose() -> None:
    constants = {"P": TABLE, "first": np.array([0]), "third": np.array([3]), "axis": np.array([0])}
    made = net("t = Transpose(P) y = Slice(t, first, third, axis)", "float[3, 64] y", **constants)
    run = Run(RealLine(0), File(made))
    (found,) = run.outputs({}).values()
    assert isinstance(found, Tensor)
    run.read(found)
    assert run.reads.unread()["P"] == 64 * 5
    read = run.reads._read[run.reads.names.index("P")]
    assert read is not None
    assert (np.argwhere(read.reshape(64, 8))[:, 1] < 3).all()


def test_one_number_as_often_as_is_asked_for() -> None:
    for lengths in ([], [2, 3], [0]):
        model, _ = one_node("ConstantOfShape", [np.array(lengths, np.int64)], opset=9, given=[])
        (found,) = over_doubles(model, {})
        assert isinstance(found, Tensor)
        assert found.shape == tuple(lengths)
