"""Grown weights are written in parts as they are written whole, and read back only from what was written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnx_n2n
from helpers.graphs import STABLE, model
from onnx_n2n.errors import ModelError
from onnx_n2n.graph import grown
from onnx_n2n.graph.constants import SMALL
from onnx_n2n.graph.grown import Grown, Part
from onnx_n2n.record.recipe import Recipe
from onnx_n2n.width import rewrite


def weight(array: np.ndarray, axis: int, length: int) -> Grown:
    """Return a weight that is made in parts of some length along an axis."""

    def parts() -> Iterator[Part]:
        for start in range(0, array.shape[axis], length):
            yield axis, start, np.moveaxis(np.moveaxis(array, axis, 0)[start : start + length], 0, axis)

    tensor = ir.Tensor(array, name="w")
    return Grown(lambda: tensor, parts, tensor, tensor.shape, "w")


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4).flatmap(
        lambda shape: st.tuples(st.just(shape), st.integers(0, len(shape) - 1))
    ),
    st.integers(1, 6),
    st.sampled_from([np.float32, np.float64, ml_dtypes.bfloat16, np.int8]),
)
@STABLE
def test_parts_are_written_where_they_belong(where: tuple[list[int], int], length: int, dtype: type) -> None:
    shape, axis = where
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grown, "WHOLE", -1)
        file = io.BytesIO()
        file.write(b"before")
        weight(array, axis, length).tofile(file)
        file.write(b"after")
    assert file.getvalue() == b"before" + array.tobytes() + b"after"


@pytest.mark.parametrize("options", [{}, {"init": "net2net"}, {"init": "zero"}], ids=str)
@pytest.mark.parametrize("external", [False, True])
def test_a_student_written_in_parts_has_the_same_bytes(
    options: dict[str, str], external: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "a = Conv(x, w) b = Relu(a) c = Flatten(b) d = MatMul(c, v) e = Relu(d) y = MatMul(e, u)"
    teacher = model(body, "float[1,3,3,3] x", "y", w=(512, 3, 3, 3), v=(512, 512), u=(512, 8))
    onnx.save(teacher, tmp_path / "teacher.onnx", save_as_external_data=external, size_threshold=0)
    written, given_ = [], []
    parts = Recipe.parts

    def watched(self: Recipe, teacher: np.ndarray, elements: float = np.inf) -> Iterator[Part]:
        for part in parts(self, teacher, elements):
            given_.append(part)
            yield part

    monkeypatch.setattr(Recipe, "parts", watched)
    for whole, elements in ((1 << 28, 1 << 18), (1 << 12, 1 << 18)):
        monkeypatch.setattr(grown, "WHOLE", whole)
        monkeypatch.setattr(rewrite, "PART", elements)
        place = tmp_path / str(whole)
        place.mkdir()
        onnx_n2n.widen(tmp_path / "teacher.onnx", 2, output=place / "student.onnx", verify=False, **options)
        written.append({path.name: path.read_bytes() for path in place.iterdir()})
    assert written[0] == written[1]
    assert len(written[0]) == 1 + external
    assert [number for _, number, _ in given_ if number] == [256, 512, 768]


@pytest.mark.parametrize("size", [SMALL, SMALL + 1])
@pytest.mark.parametrize("kept", [False, True])
def test_small_and_kept_weights_are_made_once(size: int, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grown, "WHOLE", -1)
    made = []

    def make() -> ir.TensorProtocol:
        made.append(1)
        return like

    like = ir.Tensor(np.ones(size, np.float32), name="w")
    weight = Grown(make, lambda: iter([(0, 0, make().numpy())]), like, like.shape, "w")
    if kept:
        weight.keep()
    for _ in range(2):
        assert weight.numpy().all()
        weight.tofile(io.BytesIO())
    assert len(made) == (1 if kept or size == SMALL else 4)


def test_what_is_stored_is_read_and_made_again_only_where_that_fails() -> None:
    made = weight(np.zeros(5000, np.float32), 0, 7)
    stored = ir.Tensor(np.ones(5000, np.float32))
    made.store(lambda: stored)
    assert made.numpy().all()

    def gone() -> ir.TensorProtocol:
        raise ModelError("it has changed")

    made.store(gone)
    assert not made.numpy().any()
    made.store(lambda: stored)
    made.store(None)
    assert not made.numpy().any()
