"""A record that names parameters as a class does is followed by its checkpoint, whatever the exporter left."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.sharded import arrays, record
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.checkpoint.optimizer import grown_groups
from onnx_n2n.errors import GrowthError
from onnx_n2n.huggingface.layers import Deeper, _source, order
from onnx_n2n.huggingface.lineage import between, deepened, owned
from onnx_n2n.record.record import Record, Step, from_file


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


LAYER = {"norm.weight": (3,), "mlp.1.weight": (4, 3), "mlp.3.weight": (3, 4)}


def network(length: int) -> Any:
    """Return a class with an embedding, so many layers and a head, which is the embedding."""
    layers = {f"net.h.{at}.{name}": shape for at in range(length) for name, shape in LAYER.items()}
    shapes = {"net.embed.weight": (7, 3), **layers, "head.weight": (7, 3)}
    return SimpleNamespace(shapes=shapes, one={**{name: name for name in shapes}, "head.weight": "net.embed.weight"})


def deeper(length: int, layers: list[int], at: int) -> tuple[Record, Deeper]:
    """Return the record of so many layers that become others, the ``at``-th of a run, and how they do."""
    made, new = network(len(layers)), dict[str, int]()
    found = {name: _source(name, {"net.h": layers}) for name in made.shapes}
    added = {name: new.setdefault(layer, len(new) + 1) for name, (_, layer) in found.items() if layer}
    change = Deeper({}, made, {name: source for name, (source, _) in found.items()}, added)
    how = {name: "zero" if "mlp.3" in name else "copy" for name in added}
    plain = deepened(Record((Step(),), ""), "deepen", network(length), change, how)
    return between(owned(plain, network(length).one), f"{at:064x}", f"{at + 1:064x}"), change


def applied(change: Deeper, before: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: before[source] * ("mlp.3" not in name or name not in change.added)
            for name, source in change.sources.items()}  # fmt: skip


ORDERS = st.integers(1, 12).flatmap(lambda length: st.tuples(
    st.just(length), st.integers(0, 15), st.integers(1, length)))  # fmt: skip


@settings(max_examples=30)
@given(ORDERS, st.integers(0, 3), st.sampled_from(["", "module.", "net."]))
def test_layers_get_the_numbers_of_the_class_and_checkpoints_follow(
    asked: tuple[int, int, int], again: int, prefix: str
) -> None:
    """Also behind a prefix, or without one that the class has, and by two records that are joined."""

    def spelt(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        inner = {name.removeprefix("net."): array for name, array in tensors.items() if name.startswith("net.")}
        return inner if prefix == "net." else {f"{prefix}{name}": array for name, array in tensors.items()}

    rng = np.random.default_rng(0)
    layers = order(*asked)
    first, one = deeper(asked[0], layers, 0)
    begun = {name: rng.standard_normal(shape, np.float32) for name, shape in network(asked[0]).shapes.items()}
    begun["head.weight"] = begun["net.embed.weight"]
    after = applied(one, begun)
    grown = grow(from_file(first.to_bytes()), spelt(begun))
    check(grown.arrays, spelt(after))
    assert len(grown.added) == len(LAYER) * (len(layers) - asked[0])
    assert not grown.grown
    second, two = deeper(len(layers), order(len(layers), again, 1), 1)
    twice = grow(first.joined(second), spelt(begun))
    check(twice.arrays, spelt(applied(two, after)))
    assert grown_groups(twice, [list(spelt(begun))]) == [list(twice.arrays)]
    with_more = grow(first, {**spelt(begun), **spelt({"net.h.0.more": np.ones(3)})}, keep=["*more"])
    (moved,) = (name for name in with_more.arrays if name.endswith("more"))
    assert moved.endswith(f"h.{layers.count(0) - 1}.more")
    if not prefix:
        del begun["net.h.0.norm.weight"]
        with pytest.raises(GrowthError, match=r"'net\.h\.0\.norm\.weight'"):
            grow(first, spelt(begun))


def check(found: Any, wanted: dict[str, np.ndarray]) -> None:
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
