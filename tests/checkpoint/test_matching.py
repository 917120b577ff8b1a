"""Which parameters weights are: by prefixes, by values in any order of axes, by what folding leaves; or not at all."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import onnx_n2n
from helpers.graphs import STABLE
from helpers.graphs import model as written
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.checkpoint.match_names import matched
from onnx_n2n.record.layouts import SAME, Layout, arrangements, permuted
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.record import Record

CHANNELS = 6
Arrays = dict[str, np.ndarray]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).uniform(0.3, 1.7, shape).astype(np.float32)


def model(nodes: list[Any], weights: Arrays, shape: list[Any], out: list[Any]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def convolutions(weights: Arrays) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "const_1", "const_2"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "const_3", "const_4"], ["y"], "second"),
    ]
    return model(nodes, weights, ["n", 3, 5, 5], ["n", 4, 5, 5])


PLAIN = {
    "const_1": numbers(CHANNELS, 3, 3, 3), "const_2": numbers(CHANNELS), "const_3": numbers(4, CHANNELS, 1, 1),
    "const_4": numbers(4),
}  # fmt: skip


def widened(teacher: onnx.ModelProto, **options: Any) -> tuple[Record, Arrays]:
    result = onnx_n2n.widen(teacher, 1.5, noise=0, **{"init": "net2net", **options})
    return result.growth, {each.name: numpy_helper.to_array(each) for each in result.model.graph.initializer}


def named(**origins: str) -> Record:
    return Record((), "", {weight: (Origin((name,), SAME, "", "name"),) for weight, name in origins.items()})


# Layouts --------------------------------------------------------------------------------------------------------------


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Layout, tuple[int, ...]]:
    lengths = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=5)))
    order = draw(st.permutations(range(len(lengths))))
    groups: list[list[int]] = []
    for axis in order:
        match draw(st.sampled_from(["alone", "alone", "joined", "behind one"])):
            case "joined" if groups and groups[-1]:
                groups[-1].append(axis)
            case "behind one":
                groups += [[], [axis]]
            case _:
                groups.append([axis])
    return permuted(groups, lengths), lengths


@STABLE
@given(layouts())
def test_a_layout_packs_and_unpacks_and_is_read_as_it_is_written(drawn: tuple[Layout, tuple[int, ...]]) -> None:
    layout, lengths = drawn
    array = numbers(*lengths)
    weight = layout.pack([array])
    assert np.array_equal(layout.unpack(weight)[0], array)
    assert Layout.read(str(layout)) == layout
    assert weight.size == array.size


@STABLE
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5).flatmap(lambda found: st.permutations(found)))
def test_arrangements_give_the_shape_that_was_asked_for(lengths: list[int]) -> None:
    for shape in {tuple(order) for order in permutations(lengths)}:
        found = list(arrangements(lengths, shape))
        assert found
        assert all(layout.pack([numbers(*lengths)]).shape == shape for layout in found)


@pytest.mark.parametrize("cell", ["LSTM", "RNN"])
def test_cells_with_units_as_columns(cell: str) -> None:
    gates = {"LSTM": 4, "RNN": 1}[cell]
    kernels = [numbers(3, gates * 5, seed=seed) for seed in range(2)]
    biases = [numbers(gates * 5, seed=seed) for seed in range(2)]
    columns, bias = Layout.read(f"columns:{cell}"), Layout.read(f"bias:{cell}")
    packed, joined = columns.pack(kernels), bias.pack(biases)
    assert packed.shape == (2, gates * 5, 3)
    assert joined.shape == (2, gates * 10)
    for layout, weight, parts in ((columns, packed, kernels), (bias, joined, biases)):
        assert all(map(np.array_equal, layout.unpack(weight), parts))
    names = {f"cell{at}/kernel": array for at, array in enumerate(kernels)}
    names |= {f"cell{at}/bias": array for at, array in enumerate(biases)}
    teacher = ir.from_proto(model([helper.make_node("Identity", ["x"], ["y"])], {"W": packed, "B": joined}, [1], [1]))
    origins = matched(named(), names, teacher=teacher).origins
    assert origins["W"][0].names == ("cell0/kernel", "cell1/kernel")
    assert origins["B"][0].names == ("cell0/bias", "cell1/bias")


# Prefixes -------------------------------------------------------------------------------------------------------------


ALIKE = [
    ("a.fc.weight", "a.fc.weight"),
    ("a.fc.weight", "module.a.fc.weight"),
    ("net.a.fc.weight", "a.fc.weight"),
    ("a/fc/weight:0", "a.fc.weight"),
    ("a.fc.weight", "model/a/fc/weight:0"),
    ("net/a/fc/weight", "a/fc/weight"),
]


@pytest.mark.parametrize(("ours", "theirs"), ALIKE)
def test_prefixes_and_separators_do_not_matter(ours: str, theirs: str) -> None:
    ends = ("weight", "bias")
    arrays = {name: numbers(2) for name in (*(theirs.replace("weight", end) for end in ends), "other.fc.weight")}
    found = matched(named(**{end: ours.replace("weight", end) for end in ends}), arrays).origins
    assert {end: found[end][0].names for end in ends} == {end: (theirs.replace("weight", end),) for end in ends}


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain_growth() -> tuple[Record, Arrays]:
    return widened(convolutions(PLAIN))


@settings(max_examples=24)
@given(order=st.permutations(range(4)))
def test_kernels_are_found_in_any_order_of_their_axes(plain_growth: tuple[Record, Arrays], order: list[int]) -> None:
    record, student = plain_growth
    arrays = {f"layer{name[-1]}/p": array for name, array in PLAIN.items()}
    for name in ("layer1/p", "layer3/p"):
        arrays[name] = arrays[name].transpose(order)
    found = grow(record, arrays, teacher=ir.from_proto(convolutions(PLAIN))).arrays
    for name, array in student.items():
        ours = found[f"layer{name[-1]}/p"]
        assert np.array_equal(ours, array.transpose(order) if array.ndim == 4 else array), name


def test_what_is_equal_to_two_parameters_is_neither(plain_growth: tuple[Record, Arrays]) -> None:
    record, _ = plain_growth
    arrays = {**PLAIN, "ema": PLAIN["const_1"].copy()}
    with pytest.raises(onnx_n2n.GrowthError, match="no parameter for 1 of the weights that grew: 'const_1'"):
        grow(record, {f"p{name}": array for name, array in arrays.items()}, teacher=ir.from_proto(convolutions(PLAIN)))
    # One that shares its memory with another is the same.
    shared = {f"p{name}": array for name, array in {**PLAIN, "ema": PLAIN["const_1"]}.items()}
    assert matched(record, shared, teacher=ir.from_proto(convolutions(PLAIN))).origins["const_1"][0].names == (
        "pconst_1",
    )


def test_axes_that_may_be_either_are_refused_if_they_grew() -> None:
    square = numbers(CHANNELS, CHANNELS)
    weights = {"const_1": (square + square.T).astype(np.float32), "const_2": numbers(CHANNELS, 4)}
    nodes = [
        helper.make_node("MatMul", ["x", "const_1"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "const_2"], ["y"]),
    ]
    teacher = model(nodes, weights, ["n", CHANNELS], ["n", 4])
    record, _ = widened(teacher)
    with pytest.raises(onnx_n2n.GrowthError, match="no parameter for 1 of the weights that grew: 'const_1'"):
        grow(record, {"a": weights["const_1"], "b": weights["const_2"]}, teacher=ir.from_proto(teacher))


def test_a_bias_of_zeros_is_the_one_beside_its_weight() -> None:
    weights = {**PLAIN, "const_2": np.zeros(CHANNELS, np.float32)}
    record, student = widened(convolutions(weights))
    arrays = {f"{'ab'[name in {'const_3', 'const_4'}]}/{name}": array for name, array in weights.items()}
    others = {"c/bias": np.zeros(CHANNELS, np.float32)}
    found = grow(record, {**arrays, **others}, ["c/*"], teacher=ir.from_proto(convolutions(weights)))
    assert found.arrays["a/const_2"].shape == student["const_2"].shape
    with pytest.raises(onnx_n2n.GrowthError, match="does not know 2 tensors"):
        grow(record, {**arrays, "a/more": others["c/bias"]}, teacher=ir.from_proto(convolutions(weights)))


# Norms ----------------------------------------------------------------------------------------------------------------

KERAS = ("bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance")
FLAX = ("params/bn/scale", "params/bn/bias", "batch_stats/bn/mean", "batch_stats/bn/var")
TORCH = ("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
OWN = ("n.p", "n.q", "n.r", "n.s")


def norm(names: tuple[str, ...]) -> Arrays:
    return {name: numbers(CHANNELS, seed=seed) for seed, name in enumerate(names, 10)}


def of(vectors: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return by what a norm multiplies, and what it adds."""
    scale, shift, mean, variance = vectors.values()
    factor = scale / np.sqrt(variance + np.float32(1e-3))
    return factor, shift - mean * factor


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("names", [KERAS, FLAX, TORCH, OWN])
def test_folded_norms_are_found_whatever_they_are_called(names: tuple[str, ...], biased: bool) -> None:
    vectors = norm(names)
    factor, offset = of(vectors)
    layer = {"conv/kernel": PLAIN["const_1"].transpose(2, 3, 1, 0)} | (
        {"conv/bias": PLAIN["const_2"]} if biased else {}
    )
    bias = offset + PLAIN["const_2"] * factor if biased else offset
    weights = {**PLAIN, "const_1": PLAIN["const_1"] * factor[:, None, None, None], "const_2": bias}
    rest = {"head/kernel": PLAIN["const_3"].transpose(2, 3, 1, 0), "head/bias": PLAIN["const_4"]}
    teacher = convolutions(weights)
    record, student = widened(teacher)
    found = grow(record, {**vectors, **layer, **rest}, teacher=ir.from_proto(teacher)).arrays
    factor, offset = of({name: found[name] for name in names})
    kernel = found["conv/kernel"].transpose(3, 2, 0, 1)
    assert np.allclose(kernel * factor[:, None, None, None], student["const_1"], rtol=1e-4)
    ours = offset + found["conv/bias"] * factor if biased else offset
    assert np.allclose(ours, student["const_2"], rtol=1e-4)
    # The same numbers once more, and it is not known which norm it was.
    again = {f"z{name}": array.copy() for name, array in vectors.items()}
    with pytest.raises(onnx_n2n.GrowthError):
        grow(record, {**vectors, **again, **layer, **rest}, teacher=ir.from_proto(teacher))


@pytest.mark.parametrize("names", [KERAS, FLAX, OWN])
def test_norms_are_found_that_are_a_product_and_a_sum(names: tuple[str, ...]) -> None:
    vectors = norm(names)
    factor, offset = of(vectors)
    weights = {**PLAIN, "f": factor.reshape(1, -1, 1, 1), "o": offset.reshape(-1, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "const_1", "const_2"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["a", "f"], ["m"], "mul"),
        helper.make_node("Add", ["m", "o"], ["s"], "add"),
        helper.make_node("Relu", ["s"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "const_3", "const_4"], ["y"], "second"),
    ]
    teacher = model(nodes, weights, ["n", 3, 5, 5], ["n", 4, 5, 5])
    record, student = widened(teacher)
    arrays = {**vectors, **{f"p/{name}": array for name, array in PLAIN.items()}}
    found = grow(record, arrays, teacher=ir.from_proto(teacher)).arrays
    factor, offset = of({name: found[name] for name in names})
    assert np.allclose(factor, student["f"].reshape(-1), rtol=1e-4)
    assert np.allclose(offset, student["o"].reshape(-1), rtol=1e-4, atol=1e-5)


# Axes that are one, and what users say --------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["heads", "dim"])
def test_axes_that_are_one_in_the_weight_grow_apart(group: str) -> None:
    """Heads and their channels are one axis of a projection; which of the two grew is in the places."""
    heads, length = 2, 4
    kernel, head = numbers(5, heads, length), numbers(heads, length, 3)
    weights = {"const_1": kernel.reshape(5, -1), "const_2": head.reshape(-1, 3)}
    nodes = [
        helper.make_node("MatMul", ["x", "const_1"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "const_2"], ["y"]),
    ]
    teacher = model(nodes, weights, ["n", 5], ["n", 3])
    record, _ = widened(teacher)
    places = np.arange(8).reshape(heads, length)
    grown = places[[0, 1, 1]] if group == "heads" else places[:, [0, 1, 2, 3, 1, 0]]
    recast = [_with_index(each, grown.reshape(-1)) for each in record.steps[0].remade]
    record = Record((type(record.steps[0])("", None, "", tuple(recast)),), "", record.origins)
    found = grow(record, {"q": kernel, "o": head}, teacher=ir.from_proto(teacher)).arrays
    wanted = kernel[:, [0, 1, 1]] if group == "heads" else kernel[:, :, [0, 1, 2, 3, 1, 0]]
    assert np.array_equal(found["q"], wanted)
    assert found["o"].shape == ((3, 4, 3) if group == "heads" else (2, 6, 3))
    mixed = np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, 5, 6, 3])
    recast = [_with_index(each, mixed) for each in record.steps[0].remade]
    record = Record((type(record.steps[0])("", None, "", tuple(recast)),), "", record.origins)
    with pytest.raises(onnx_n2n.GrowthError, match="axes 1 and 2 of 'q' are one in the weight"):
        grow(record, {"q": kernel, "o": head}, teacher=ir.from_proto(teacher))


def _with_index(remade: Any, index: np.ndarray) -> Any:
    """Return what becomes of a weight, with other places along the axis that grew."""
    from dataclasses import replace

    axis = next(axis for axis, old in enumerate(remade.recipe.index) if old is not None)
    counts = np.bincount(index)[index]
    summed = tuple(replace(each, share=1.0 / counts, key=index) for each in remade.recipe.summed)
    recipe = replace(remade.recipe, index=tuple(index if at == axis else None for at in (0, 1)), summed=summed)
    return replace(remade, recipe=recipe, dual=(None, None))


def test_users_can_give_layouts(plain_growth: tuple[Record, Arrays]) -> None:
    record, student = plain_growth
    arrays = {
        "a:0": PLAIN["const_1"].transpose(2, 3, 1, 0),
        "b:0": PLAIN["const_2"],
        "c": PLAIN["const_3"],
        "d": PLAIN["const_4"],
    }
    names = {"const_1": "a:0:permuted:3201", "const_2": "b:0", "const_3": "c:same"}
    found = grow(record, arrays, ["d"], given=names).arrays
    assert np.array_equal(found["a:0"], student["const_1"].transpose(2, 3, 1, 0))
    for wrong, reason in (
        ("a:0:permuted:320", "does not name each of the 4 axes"),
        ("a:0:permuted:x", "a layout is 'same', 'transposed' or 'permuted:3201', not 'permuted:x'"),
        ("a:0:gates:LSTM", "a layout is"),
        ("e:same", "there is no 'e' in the checkpoint"),
    ):
        with pytest.raises(onnx_n2n.N2NError, match=reason):
            grow(record, arrays, ["d"], given={**names, "const_1": wrong})


def test_a_parameter_that_two_nodes_read_grows_for_both_or_is_refused() -> None:
    """A vector that is added in two places is found by value; where these grow differently it cannot stay one."""
    names = {"W": (4, 6), "V": (6, 6), "b": (6,), "U": (6, 3)}
    weights = {name: numbers(*shape, seed=seed) for seed, (name, shape) in enumerate(names.items())}
    teacher = written(
        "u = MatMul(x, W) v = Add(u, b) r = Relu(v) p = MatMul(r, V) q = Add(p, b) s = Relu(q) y = MatMul(s, U)",
        "float[2,4] x", "float[2,3] y", **weights,
    )  # fmt: skip
    record = onnx_n2n.widen(teacher, 1.5, init="net2net", noise=0).growth
    unnamed = Record(record.steps, record.student, {})
    arrays = {f"net.{name}": array for name, array in weights.items()}
    with pytest.raises(onnx_n2n.GrowthError, match="grew differently"):
        grow(unnamed, arrays, teacher=ir.from_proto(teacher))
