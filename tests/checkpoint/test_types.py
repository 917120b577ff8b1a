"""Types of the tensors in a checkpoint: all are kept, and narrow ones are rounded no more than they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from helpers.needing import needs
from helpers.sharded import SHAPES, arrays, load, record, same, save, split
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.errors import GrowthError
from onnx_n2n.io.tensorfile import DTYPES
from onnx_n2n.record.record import Record

FLOATS = ("BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ")


def scaled() -> Record:
    """Return a growth that multiplies all weights by a number that rounds, as a gain is under a norm."""
    (step,) = record(2).steps
    remade = tuple(replace(each, recipe=replace(each.recipe, scale=0.8)) for each in step.remade)
    return replace(record(2), steps=(replace(step, remade=remade),))


@pytest.mark.parametrize("kind", FLOATS)
def test_types_are_kept_to_the_last_bit(tmp_path: Path, kind: str) -> None:
    numbers = np.arange(256, dtype=np.uint8).repeat(DTYPES[kind].itemsize).view(DTYPES[kind])  # all there are of a byte
    save(tmp_path / "old.safetensors", {**arrays(), "other": numbers})
    grow_file(record(), tmp_path / "old.safetensors", tmp_path / "new.safetensors", keep=["other"])
    wanted = {**grow(record(), arrays()).arrays, "other": numbers}
    assert same(load(tmp_path / "new.safetensors"), wanted)
    torch = needs("torch")
    from onnx_n2n.checkpoint.torch.arrays import to_numpy, to_torch

    torch.save({name: to_torch(array) for name, array in {**arrays(), "other": numbers}.items()}, tmp_path / "old.pt")
    grow_file(record(), tmp_path / "old.pt", tmp_path / "new.pt", keep=["other"])
    found = torch.load(tmp_path / "new.pt", weights_only=True)
    assert same({name: to_numpy(each) for name, each in found.items()}, wanted)


@pytest.mark.parametrize("kind", ["F16", "BF16", "F32"])
@pytest.mark.parametrize("noise", [0, 0.1])
def test_a_narrow_type_grows_as_a_wide_one_and_says_what_it_rounds(kind: str, noise: float) -> None:
    narrow = arrays(kind)
    found = grow(record(3, noise), narrow)
    wide = grow(record(3, noise), {name: array.astype(np.float32) for name, array in narrow.items()}).arrays
    eps = float(ml_dtypes.finfo(DTYPES[kind]).eps)
    for name, array in found.arrays.items():
        assert array.dtype == DTYPES[kind]
        most = 16 * eps if noise and kind != "F32" else 0  # noise is rounded to what the type can hold
        assert np.allclose(array.astype(np.float32), wide[name], rtol=0, atol=most)
    assert not found.rounded


def test_a_combination_of_channels_is_rounded_and_told() -> None:
    found = grow(scaled(), arrays("BF16"))
    assert found.rounded == dict.fromkeys(SHAPES, 2**-8)


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"])
def test_eight_bits_grow_by_halves_and_are_rounded_no_further(tmp_path: Path, kind: str) -> None:
    tensors = {name: (array * 16).astype(DTYPES[kind]) for name, array in arrays().items()}
    wide = grow(record(2), {name: array.astype(np.float32) for name, array in tensors.items()}).arrays
    least = float(ml_dtypes.finfo(DTYPES[kind]).smallest_normal)
    for name, array in grow(record(2), tensors).arrays.items():
        assert np.allclose(array.astype(np.float32), wide[name], rtol=0, atol=least / 4)
        assert np.array_equal(array[np.abs(wide[name]) >= least], wide[name][np.abs(wide[name]) >= least])
    assert not grow(record(3, 0.1), tensors).rounded
    (tmp_path / "old").mkdir()
    index = split(tmp_path / "old", dict.fromkeys(SHAPES, "model-1.safetensors"), tensors)
    with pytest.raises(GrowthError, match=rf"a weight of {DTYPES[kind].name} would be rounded"):
        grow_file(scaled(), index, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]  # it was found while the folder was made
