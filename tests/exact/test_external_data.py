"""Lies about numbers that lie in files of their own: another number, another place, another name, too few bytes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from helpers.lying import Pair, but, normal, pair
from onnx_n2n.exact import check
from onnx_n2n.exact import pair as both
from onnx_n2n.exact.files import File, let_go, load
from onnx_n2n.exact.operators import casts

ROWS = "(float[N, 8] x) => (float[N, 5] y)"
NET = "a = MatMul(x, W) b = Relu(a) y = MatMul(b, V)"
SQUARE = {"W": normal(8, 8), "V": normal(8, 5)}
Edit = Callable[[onnx.ModelProto], None]


def _external(folder: Path, name: str, arrays: dict[str, np.ndarray], edit: Edit | None = None) -> Path:
    model = pair("", ROWS, NET, **arrays).models()[0]
    (folder / name).mkdir()
    path = folder / name / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="data.bin", size_threshold=0)
    if edit is not None:
        loaded = onnx.load(path, load_external_data=False)
        edit(loaded)
        onnx.save(loaded, path)
    return path


def _exchanged(model: onnx.ModelProto) -> None:
    one, two = model.graph.initializer
    one.name, two.name = two.name, one.name


def _no_offset(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        kept = [each for each in tensor.external_data if each.key != "offset"]
        del tensor.external_data[:]
        tensor.external_data.extend(kept)


def test_external_data_that_is_the_same_is_equal(tmp_path: Path) -> None:
    assert check(_external(tmp_path, "t", SQUARE), _external(tmp_path, "s", SQUARE)).state == "equal"
    assert check(_external(tmp_path, "u", SQUARE), pair("", ROWS, NET, **SQUARE).models()[0]).state == "equal"


@pytest.mark.parametrize(("name", "place"), [("V", (7, 4)), ("V", (0, 0)), ("W", (7, 7)), ("W", (0, 0))])
def test_one_number_of_external_data(tmp_path: Path, name: str, place: tuple[int, int]) -> None:
    other = SQUARE | {name: but(SQUARE[name], place, SQUARE[name][place] * 1.0001)}
    assert check(_external(tmp_path, "t", SQUARE), _external(tmp_path, "s", other)).state != "equal"


@pytest.mark.parametrize("kind", ["int4", "uint4", "int2", "uint2", "float4_e2m1fn"])
def test_one_number_of_external_data_that_shares_its_byte(tmp_path: Path, kind: str) -> None:
    """Types of a few bits are unpacked alike from a file of their own and from the model's, to the last number."""
    weights = np.array([1, 0, 1, 1, 0]).astype(np.dtype(getattr(ml_dtypes, kind)))
    saved = numpy_helper.from_array(weights, "W")
    (tmp_path / "data.bin").write_bytes(b"\xff" * 8 + saved.raw_data)
    lying = onnx.TensorProto(name="W", dims=[5], data_type=saved.data_type, data_location=onnx.TensorProto.EXTERNAL)
    lying.external_data.add(key="location", value="data.bin")
    lying.external_data.add(key="offset", value="8")
    found = File(onnx.ModelProto(), tmp_path).array(lying)
    assert found.astype(np.float32).tolist() == weights.astype(np.float32).tolist() == [1, 0, 1, 1, 0]


def test_external_data_exchanged_and_read_from_another_place(tmp_path: Path) -> None:
    square = {"W": normal(8, 8), "V": normal(8, 8, seed=1)}
    text = "(float[N, 8] x) => (float[N, 8] y) { a = MatMul(x, W) y = MatMul(a, V) }"
    paths = []
    for name, edit in (("t", None), ("s", _exchanged), ("o", _no_offset)):
        model = Pair("", text, text, square).models()[0]
        (tmp_path / name).mkdir()
        onnx.save(model, tmp_path / name / "m.onnx", save_as_external_data=True, location="d.bin", size_threshold=0)
        if edit is not None:
            loaded = onnx.load(tmp_path / name / "m.onnx", load_external_data=False)
            edit(loaded)
            onnx.save(loaded, tmp_path / name / "m.onnx")
        paths.append(tmp_path / name / "m.onnx")
    assert check(paths[0], paths[1]).state != "equal"
    assert check(paths[0], paths[2]).state != "equal"


def test_external_data_that_is_cut_off(tmp_path: Path) -> None:
    teacher, student = _external(tmp_path, "t", SQUARE), _external(tmp_path, "s", SQUARE)
    data = student.parent / "data.bin"
    data.write_bytes(data.read_bytes()[:-4])
    try:
        assert check(teacher, student).state != "equal"
    except Exception as why:
        assert "data" in str(why)  # noqa: PT017


def _resident(path: Path) -> int:
    """Return how many KiB of a file's mapped pages are in memory."""
    found, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if not line.startswith(tuple("0123456789abcdef")):
            found += int(line.split()[1]) if ours and line.startswith("Rss:") else 0
        else:
            ours = line.endswith(str(path))
    return found


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells which pages are in memory")
def test_pages_of_constants_are_given_back_once_a_node_has_read_them(tmp_path: Path) -> None:
    arrays = {"W": np.ones((8, 1 << 15), np.float32), "V": np.ones((1 << 15, 5), np.float32)}
    file, place = load(_external(tmp_path, "t", arrays)), tmp_path / "t" / "data.bin"
    first, second = (file.array(each) for each in file.proto.graph.initializer)
    assert np.all(first == 1)
    assert _resident(place) >= first.nbytes >> 10
    let_go(first)
    assert _resident(place) < 64
    assert np.all(second == 1)
    assert np.all(first == 1)
    both.Pair(file, file).survey({"x": (2, 8)}, 0)
    assert _resident(place) < 64


def test_what_is_cast_of_stored_numbers_goes_when_it_was_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network in 16 bits would take four bytes more for each of its weights, and for each run again."""
    made: list[weakref.ref[np.ndarray]] = []
    constant_in_type = casts.constant_in_type

    def watching(*given: Any) -> np.ndarray | None:
        alive.append(sum(each() is not None for each in made))
        array = constant_in_type(*given)
        assert array is not None
        made.append(weakref.ref(array))
        return array

    alive = list[int]()
    monkeypatch.setattr(casts, "constant_in_type", watching)
    body = " ".join(f"c{n} = Cast<to = 1>(W{n}) y{n + 1} = MatMul(y{n}, c{n})" for n in range(4))
    weights = {f"W{n}": normal(8, 8).astype(ml_dtypes.bfloat16) for n in range(4)}
    model = pair("", "(float[N, 8] y0) => (float[N, 8] y4)", body, **weights).models()[0]
    assert check(model, model).state == "equal"
    assert max(alive) <= 1
    assert len(made) >= 16
