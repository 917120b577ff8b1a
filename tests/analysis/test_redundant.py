"""Clones: which channels training can never tell apart, by laws of growth, by hand and against a slow definition."""

from __future__ import annotations

import importlib
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnx_n2n
from helpers.graphs import STABLE, model
from onnx_n2n.analysis.redundant import BLOCK, _digests, _places, clones, count_clones
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.axes.algebra import Factor, Product, Sum
from onnx_n2n.io.model import open_model
from onnx_n2n.width.growth import Copies, Growth

MODELS = sorted((Path(__file__).parents[2] / "models").glob("*.onnx"))


def student(file: Path, factor: float, **options: Any) -> onnx.ModelProto:
    return onnx_n2n.widen(onnx.load(file), factor, verify=False, **{"init": "net2net", **options}).model


def dense(*, first: np.ndarray, bias: np.ndarray, second: np.ndarray) -> onnx.ModelProto:
    """Two layers: ``first`` [n, 3] and ``bias`` [n] make n channels, ``second`` [2, n] sums over them."""
    body = "h = Gemm<transB = 1>(x, w, b) r = Relu(h) y = Gemm<transB = 1>(r, v)"
    return model(body, "float[4,3] x", "y", w=first, b=bias, v=second)


def counts(proto: onnx.ModelProto) -> list[tuple[int | None, int | None, int]]:
    return [(found.incoming, found.outgoing, found.twins) for found in clones(proto).groups]


# --- laws of growth


@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.stem)
def test_trained_models_have_none(file: Path) -> None:
    found = clones(file)
    assert found.channels > 0
    assert (found.incoming, found.outgoing, found.twins) == (0, 0, 0)


@pytest.mark.parametrize("mapping", ["cyclic", "random"])
@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.stem)
def test_doubling_without_noise_makes_nothing_but_twins(file: Path, mapping: str) -> None:
    found = clones(student(file, 2, noise=0, mapping=mapping))
    assert found.incoming == found.outgoing == found.twins == found.channels


@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.stem)
def test_without_noise_copies_with_other_shares_are_no_twins(file: Path) -> None:
    """Three copies have 1/2, 1/4 and 1/4 of the outgoing weights."""
    found = clones(student(file, 3, noise=0))
    assert found.incoming == found.channels
    assert 3 * found.twins == 2 * found.channels


@pytest.mark.parametrize("factor", [1.5, 2])
@pytest.mark.parametrize("options", [{}, {"mapping": "cyclic"}, {"init": "zero"}], ids=str)
@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.stem)
def test_noise_or_fresh_channels_leave_no_twins(file: Path, options: dict[str, Any], factor: float) -> None:
    result = onnx_n2n.widen(onnx.load(file), factor, verify=False, **{"init": "net2net", **options})
    found = clones(result.model)
    assert found.twins == 0
    if "init" in options:
        copied = {group.name for group in result.change.grown if group.copies}
        assert {group.group for group in found.groups if group.incoming} == copied


def test_copies_of_channels_made_from_inputs_keep_their_incoming_weights() -> None:
    rng = np.random.default_rng(0)
    teacher = dense(first=rng.random((4, 3)), bias=rng.random(4), second=rng.random((2, 4)))
    assert counts(teacher) == [(0, 0, 0)]
    assert counts(onnx_n2n.widen(teacher, 1.5, init="net2net", verify=False).model) == [(4, 0, 0)]


# --- what counts

ROWS = np.array([[1, 2, 3], [4, 5, 6], [1, 2, 3], [1, 2, 3]])
COLUMNS = np.array([[1, 2, 1, 0], [3, 4, 3, -2]])


@pytest.mark.parametrize(
    ("first", "bias", "second", "expected"),
    [
        (ROWS, [0, 0, 0, 0], COLUMNS, (3, 2, 2)),
        (ROWS, [0, 0, 1, 2], COLUMNS, (0, 2, 0)),  # another bias is another channel
        (ROWS, [0, 0, 1, 0], COLUMNS, (2, 2, 0)),  # alike in pairs, but not the same pairs
        (ROWS, [0, 0, 0, 0], COLUMNS * [1, 1, 2, 1], (3, 0, 0)),  # proportional is not equal
        (ROWS, [0.0, 0, -0.0, 1], COLUMNS, (2, 2, 2)),  # there is only one zero
    ],
)
def test_channels_by_hand(first: Any, bias: Any, second: Any, expected: tuple[int, int, int]) -> None:
    arrays = (np.asarray(array, np.float32) for array in (first, bias, second))
    assert counts(dense(**dict(zip(("first", "bias", "second"), arrays, strict=True)))) == [expected]


@pytest.mark.parametrize(("kind", "dtype"), [("float16", np.float16), ("float", np.float32), ("double", np.float64)])
def test_every_place_counts(kind: str, dtype: type) -> None:
    """Channels that differ in one weight only are told apart, wherever it is; a sample would not see it."""
    for place in range(0, 90, 7):
        rows = np.zeros((2, 90), dtype)
        rows[1, place] = 1
        body = "h = MatMul(x, w) y = MatMul(h, v)"
        teacher = model(body, f"{kind}[4,90] x", "y", w=rows.T, v=np.ones((2, 5), dtype))
        assert counts(teacher) == [(0, 2, 0)]


def test_weights_behind_a_transpose_are_on_the_side_that_uses_them() -> None:
    teacher = model(
        "wt = Transpose(w) h = MatMul(x, wt) vt = Transpose<perm = [1, 0]>(v) y = MatMul(h, vt)",
        "float[4,3] x", "y", w=ROWS.astype(np.float32), v=np.random.default_rng(0).random((2, 4)),
    )  # fmt: skip
    assert counts(teacher) == [(3, 0, 0)]


def test_what_no_weight_makes_or_reads_is_unknown() -> None:
    """The channels of q and k are summed against each other, with no weight between."""
    teacher = model(
        "q = MatMul(x, w) k = MatMul(x, u) t = Transpose(k) y = MatMul(q, t)", "float[4,3] x", "y",
        w=ROWS.T.astype(np.float32), u=ROWS.T.astype(np.float32),
    )  # fmt: skip
    assert counts(teacher) == [(3, None, 3)]
    assert clones(teacher).outgoing == 0


def test_a_channel_of_a_product_is_all_its_places() -> None:
    """Two groups of three channels each: the three have two places each, on the first and on the second axis."""
    rng = np.random.default_rng(1)
    body = "h = Conv<group = 2>(x, w) y = Conv(h, v)"

    def found(weight: np.ndarray, reader: np.ndarray) -> tuple[int | None, int | None, int]:
        weights = weight.reshape(6, 2, 1, 1), reader.reshape(7, 6, 1, 1)
        teacher = model(body, "float[1,4,5,5] x", "y", **dict(zip("wv", map(np.float32, weights), strict=True)))
        (group,) = clones(teacher).groups
        return group.incoming, group.outgoing, group.twins

    weight, reader = rng.random((2, 3, 2, 1, 1)), rng.random((7, 2, 3, 1, 1))
    assert found(weight, reader) == (0, 0, 0)
    weight[:, 2], reader[:, :, 2] = weight[:, 0], reader[:, :, 0]
    assert found(weight, reader) == (2, 2, 2)
    weight[1, 2] += 1  # in one of the two groups they differ
    assert found(weight, reader) == (0, 2, 0)


@pytest.mark.parametrize("block", [BLOCK, 8])
def test_hashes_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(importlib.import_module("onnx_n2n.analysis.redundant"), "BLOCK", block)
    places = np.arange(60.0).reshape(5, 3, 4)[[0, 1, 0, 2]]
    digests = _digests(places, [0, 1, 2, 3])
    assert [digests.index(digest) for digest in digests] == [0, 1, 0, 3]


# --- against a slow definition


@st.composite
def axes(draw: st.DrawFn) -> tuple[list[Factor], Any]:
    """Factors, and an axis made of them."""
    factors = [Factor(size) for size in draw(st.lists(st.integers(2, 3), min_size=1, max_size=3))]

    def larger(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        parts = st.lists(part, min_size=1, max_size=3).map(tuple)
        return st.builds(Product, parts) | st.builds(Sum, parts)

    return factors, draw(st.recursive(st.sampled_from(factors), larger, max_leaves=5))


@STABLE
@given(axes(), st.sampled_from([(), (2,)]))
def test_places_are_what_an_index_would_take(drawn: tuple[list[Factor], Any], rest: tuple[int, ...]) -> None:
    """The places of channel c are those that change when another channel is put in its place."""
    factors, axis = drawn
    plain = Growth({}, (), ())
    length = plain.length(axis)
    array = np.arange(length * int(np.prod(rest, dtype=int))).reshape(length, *rest)
    for factor in factors:
        views = list(_places(array, axis, factor))
        for channel in range(factor.size or 0):
            swapped = np.arange(factor.size or 0)
            swapped[channel] = (channel + 1) % len(swapped)
            moved = Growth({factor: Copies(swapped, np.ones(len(swapped)))}, (), ()).index(axis)
            expected = array[moved != np.arange(length)]
            found = {int(n) for view in views for n in view[channel].ravel()}
            assert found == set(expected.ravel().tolist())


@STABLE
@given(st.data())
def test_counts_are_those_of_all_pairs(data: st.DataObject) -> None:
    def drawn(*shape: int) -> np.ndarray:
        numbers = st.lists(st.sampled_from([0.0, 1.0]), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))
        return np.asarray(data.draw(numbers), np.float32).reshape(shape)

    first, bias, second = drawn(5, 3), drawn(5), drawn(2, 5)
    made, read = np.c_[first, bias], second.T

    def copies(rows: np.ndarray) -> int:
        return sum(any(np.array_equal(rows[i], rows[j]) for j in range(5) if j != i) for i in range(5))

    expected = (copies(made), copies(read), copies(np.c_[made, read]))
    assert counts(dense(first=first, bias=bias, second=second)) == [expected]


# --- faces


def test_every_kind_of_model_has_the_same_clones(tmp_path: Path) -> None:
    import onnx_graphsurgeon as gs

    proto = student(MODELS[0], 2, noise=0)
    onnx.save(proto, tmp_path / "model.onnx")
    ways = [tmp_path / "model.onnx", str(tmp_path / "model.onnx"), open_model(proto).model, gs.import_onnx(proto)]
    assert all(onnx_n2n.clones(way).twins == onnx_n2n.clones(proto).twins > 0 for way in ways)


def test_report_counts_the_student() -> None:
    teacher = onnx.load(MODELS[0])
    for noise in (0.0, 0.1):
        result = onnx_n2n.widen(teacher, 2, init="net2net", noise=noise)
        assert result.report.clones == clones(result.model)
    unproven = onnx_n2n.widen(teacher, 2, init="net2net", noise=0.0, verify=False)
    assert unproven.report.clones == clones(unproven.model)
    assert onnx_n2n.widen(teacher, 1, verify=False).report.clones is None  # nothing has changed


def test_one_weight_is_in_memory_at_a_time(tmp_path: Path) -> None:
    side = 700
    w, v, u = (np.random.default_rng(n).standard_normal((side, side), np.float32) for n in range(3))
    body = "a = MatMul(x, w) b = Relu(a) c = MatMul(b, v) d = Relu(c) y = MatMul(d, u)"
    onnx.save(model(body, f"float[N,{side}] x", "y", w=w, v=v, u=u), tmp_path / "net.onnx")
    analysis = analyze(onnx_n2n.load(tmp_path / "net.onnx"))
    tracemalloc.start()
    try:
        assert count_clones(analysis).channels == 2 * side
        assert tracemalloc.get_traced_memory()[1] < 1.5 * w.nbytes
    finally:
        tracemalloc.stop()
