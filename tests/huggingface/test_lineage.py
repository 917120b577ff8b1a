"""A record that names parameters as a class does is followed by its checkpoint, whatever the exporter left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.sharded import arrays, record
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.errors import GrowthError
from onnx_n2n.huggingface.lineage import owned


def test_parameters_follow_by_the_names_of_the_class() -> None:
    bare = replace(record(), origins={})
    with pytest.raises(GrowthError, match="there is no parameter for"):
        grow(bare, arrays())
    names = {name: name for name in arrays()}
    found, wanted = grow(owned(bare, names), arrays()), grow(record(), arrays())
    assert sorted(found.grown) == sorted(wanted.grown) == sorted(arrays())
    assert all(np.array_equal(found.arrays[name], wanted.arrays[name]) for name in wanted.arrays)


def test_another_name_of_the_same_parameter_follows_too() -> None:
    bare = replace(record(), origins={})
    names = {**{name: name for name in arrays()}, "head.weight": "b.weight"}
    alone = grow(owned(bare, names), arrays())
    assert sorted(alone.arrays) == sorted(arrays())
    both = {**arrays(), "head.weight": arrays()["b.weight"]}
    found = grow(owned(bare, names), both)
    assert np.array_equal(found.arrays["head.weight"], found.arrays["b.weight"])
    assert found.arrays["head.weight"].shape == (16, 20)
