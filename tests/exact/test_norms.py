"""Norms and Softmax over doubles beside ONNX Runtime and onnx's node tests, and that what differs is never equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from onnx import helper, numpy_helper
from onnx.backend.test.case.test_case import TestCase

from helpers.exactly import as_expected, as_runtime, assert_near, cases, never_equal, one_node, over_doubles
from onnx_n2n.exact import check

MICROSOFT = "com.microsoft"
OPERATORS = (
    "BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "LogSoftmax",
    "LpNormalization", "LRN", "MeanVarianceNormalization", "RMSNormalization", "Softmax",
)  # fmt: skip
UNDECIDED = {
    "test_batchnorm_example_training_mode": "it is being trained",
    "test_batchnorm_epsilon_training_mode": "it is being trained",
}


def drawn(*shape: int, seed: int = 0, positive: bool = False) -> np.ndarray:
    """Return float32 numbers from a normal distribution."""
    values = np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)
    return np.abs(values) + np.float32(0.5) if positive else values


@pytest.mark.parametrize("case", cases(*OPERATORS), ids=lambda case: case.name)
def test_node_tests(case: TestCase) -> None:
    assert as_expected(case, rtol=2e-3) == UNDECIDED.get(case.name, "")


X, C = drawn(2, 6, 3, 4), [drawn(6, seed=seed) for seed in range(3)]
LAST, H = drawn(2, 3, 8), [drawn(8, seed=seed) for seed in range(4)]
MODELS: dict[str, tuple[Any, ...]] = {
    "batch 9": ("BatchNormalization", [X, *C, drawn(6, positive=True)], 1, {"opset": 9, "epsilon": 1e-3}),
    "batch 15": ("BatchNormalization", [X, *C, drawn(6, positive=True)], 1, {"opset": 15, "momentum": 0.5}),
    "instance": ("InstanceNormalization", [X, *C[:2]], 1, {"opset": 22, "epsilon": 1e-2}),
    "layer": ("LayerNormalization", [X, drawn(3, 4), drawn(3, 4, seed=1)], 3, {"opset": 17, "axis": 2}),
    "layer without bias": ("LayerNormalization", [X, drawn(4)], 1, {"opset": 17, "epsilon": 1e-2}),
    "root mean square": ("RMSNormalization", [X, drawn(3, 4)], 1, {"opset": 23, "axis": -2}),
    "simplified": ("SimplifiedLayerNormalization", [X, drawn(4)], 1, {"opset": 17, "axis": -1, "epsilon": 1e-2}),
    "groups 21": ("GroupNormalization", [X, *C[:2]], 1, {"opset": 21, "num_groups": 3}),
    "sum of magnitudes": ("LpNormalization", [X], 1, {"opset": 22, "p": 1, "axis": 1}),
    "root of squares": ("LpNormalization", [X], 1, {"opset": 1 + 12, "p": 2, "axis": -2}),
    "mean and variance": ("MeanVarianceNormalization", [X], 1, {"opset": 13, "axes": [0, -1]}),
    "response 3": ("LRN", [X], 1, {"opset": 13, "size": 3, "alpha": 0.1}),
    "softmax 11": ("Softmax", [X], 1, {"opset": 11}),
    "softmax 11 from -1": ("Softmax", [X], 1, {"opset": 11, "axis": -1}),
    "softmax 13": ("Softmax", [X], 1, {"opset": 13, "axis": 1}),
    "logarithm 11": ("LogSoftmax", [X], 1, {"opset": 11, "axis": 2}),
    "logarithm 13": ("LogSoftmax", [X], 1, {"opset": 13}),
    "skip": ("SkipLayerNormalization", [LAST, LAST[::-1], *H[:3]], 4, {"domain": MICROSOFT, "epsilon": 1e-2}),
    "skip of one sample": ("SkipLayerNormalization", [LAST, LAST[:1], H[0]], 1, {"domain": MICROSOFT}),
    "skip of all samples": ("SkipLayerNormalization", [LAST, LAST[0], *H[:2]], 1, {"domain": MICROSOFT}),
    "skip, simplified": ("SkipSimplifiedLayerNormalization", [LAST, LAST[::-1], *H[:2]], 1, {"domain": MICROSOFT}),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_as_the_runtime(name: str) -> None:
    operator, inputs, outputs, more = MODELS[name]
    more = {"opset": 1, **more} if more.get("domain") else more
    as_runtime(*one_node(operator, inputs, outputs, **more))


@pytest.mark.parametrize(("bias", "axis", "inner"), [((2, 1, 1, 4), 3, 1), ((1, 1, 3, 4), 2, 0), ((3, 4), 2, 0)])
def test_softmax_of_a_sum(bias: tuple[int, ...], axis: int, inner: int) -> None:
    model, feeds = one_node(
        "BiasSoftmax", [X, drawn(*bias)], domain=MICROSOFT, opset=1, axis=axis, is_inner_broadcast=inner
    )  # fmt: skip
    powers = np.exp(X + drawn(*bias))
    total = powers.sum(tuple(range(axis, 4)), keepdims=True)
    assert_near(over_doubles(model, feeds)[0], (powers / total).astype(np.float32), rtol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_response_of_channels_nearby(size: int) -> None:
    model, feeds = one_node("LRN", [X], opset=13, size=size, alpha=0.5, beta=0.6, bias=2.0)
    near = [X[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1] for c in range(6)]
    total = np.stack([(each.astype(np.float64) ** 2).sum(1) for each in near], 1)
    assert_near(over_doubles(model, feeds)[0], (X / (2 + 0.5 / size * total) ** 0.6).astype(np.float32), rtol=1e-4)


@pytest.mark.parametrize("mask", [None, np.array([[1, 1, 0], [1, 0, 0]], np.int32)], ids=["all", "masked"])
@pytest.mark.parametrize("segments", [True, False])
def test_embeddings_as_the_runtime(mask: np.ndarray | None, segments: bool) -> None:
    ids, kinds = np.array([[1, 4, 2], [0, 3, 3]], np.int32), np.array([[0, 1, 1], [1, 0, 0]], np.int32)
    tables = [drawn(5, 8), drawn(4, 8), drawn(2, 8)]
    inputs = [ids, kinds if segments else None, *tables[:2], tables[2] if segments else None, *H[:2], mask]
    as_runtime(*one_node("EmbedLayerNormalization", inputs, 3, domain=MICROSOFT, opset=1, given=(0, 1, 7)))


def grouped(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, groups: int) -> np.ndarray:
    """Return [n, ..., c] normalised in groups of channels."""
    parts = x.reshape(len(x), -1, groups, x.shape[-1] // groups).astype(np.float64)
    away = parts - parts.mean((1, 3), keepdims=True)
    found = away / np.sqrt((away**2).mean((1, 3), keepdims=True) + 1e-5)
    return found.reshape(x.shape) * gamma + beta


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("activation", [0, 1])
@pytest.mark.parametrize("skip", [None, (2, 3, 4, 6), (2, 6)])
def test_groups_of_a_sum(last: int, activation: int, skip: tuple[int, ...] | None) -> None:
    x, (gamma, beta, bias) = np.moveaxis(X, 1, -1), C
    total, inputs = x, [x, gamma, beta]
    if skip is not None:
        more = drawn(*skip, seed=9)
        total, inputs = x + (more if len(skip) == 4 else more[:, None, None]) + bias, [*inputs, more, bias]
    if not last:
        inputs = [np.ascontiguousarray(np.moveaxis(each, -1, 1)) if each.ndim == 4 else each for each in inputs]
    model, feeds = one_node(
        "GroupNorm" if skip is None else "SkipGroupNorm", inputs, 1 if skip is None else 2, domain=MICROSOFT, opset=1,
        groups=2, channels_last=last, activation=activation,
    )  # fmt: skip
    y = grouped(total, gamma, beta, 2)
    y = y / (1 + np.exp(-y)) if activation else y
    for found, expected in zip(over_doubles(model, feeds), (y, total), strict=False):
        placed = expected if last else np.moveaxis(expected, -1, 1)
        assert_near(found, placed.astype(np.float32), rtol=1e-4)


# What is never equal


@given(some.sampled_from(sorted(MODELS)), some.data())
@settings(max_examples=12)
def test_another_constant_is_never_equal(name: str, data: some.DataObject) -> None:
    operator, inputs, outputs, more = MODELS[name]
    more = {"opset": 1, **more} if more.get("domain") else more
    constants = [slot for slot in range(1, len(inputs)) if inputs[slot] is not None]
    changed = list(inputs)
    if constants:
        slot = data.draw(some.sampled_from(constants))
        changed[slot] = inputs[slot].copy()
        changed[slot].flat[data.draw(some.integers(0, inputs[slot].size - 1))] += np.float32(0.25)
    one, two = (one_node(operator, each, outputs, **more)[0] for each in (inputs, changed))
    if constants:
        never_equal(one, two)
    else:
        assert check(one, two).state == "equal"


ATTRIBUTES = [
    ("BatchNormalization", [X, *C, drawn(6, positive=True)], 15, {"epsilon": 1e-3}, {}),
    ("LayerNormalization", [X, drawn(4)], 17, {"epsilon": 1e-3}, {"epsilon": 1e-4}),
    ("LayerNormalization", [np.ones((2, 4, 4), np.float32), drawn(4)], 17, {"axis": 1}, {"axis": 2}),
    ("GroupNormalization", [X, *C[:2]], 21, {"num_groups": 3}, {"num_groups": 2}),
    ("LpNormalization", [X], 22, {"p": 1}, {"p": 2}),
    ("LpNormalization", [X], 22, {"axis": 1}, {"axis": 2}),
    ("MeanVarianceNormalization", [X], 13, {"axes": [0, 2]}, {}),
    ("LRN", [X], 13, {"size": 3}, {"size": 5}),
    ("LRN", [X], 13, {"size": 3}, {"size": 3, "beta": 0.5}),
    ("LRN", [X], 13, {"size": 3}, {"size": 3, "bias": 2.0}),
    ("Softmax", [X], 13, {"axis": 1}, {"axis": 2}),
    ("Softmax", [X], 11, {"axis": 2}, {"axis": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "inputs", "opset", "one", "two"), ATTRIBUTES)
def test_another_attribute_is_never_equal(operator: str, inputs: Any, opset: int, one: Any, two: Any) -> None:
    never_equal(*(one_node(operator, inputs, opset=opset, **each)[0] for each in (one, two)))


def of_nodes(*nodes: Any, **constants: np.ndarray) -> Any:
    """Return a model from x to y, float[2, 3, 4]."""
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **node[3]) if len(node) > 3 else helper.make_node(*node) for node in nodes],
        "some",
        [helper.make_tensor_value_info("x", 1, (2, 3, 4))],
        [helper.make_tensor_value_info("y", 1, (2, 3, 4))],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


PLAIN = of_nodes(("Softmax", ["x"], ["y"]))


def shifted(by: np.ndarray) -> Any:
    """Return Softmax of x plus a constant."""
    return of_nodes(("Add", ["x", "by"], ["z"]), ("Softmax", ["z"], ["y"]), by=by)


@given(some.floats(-100, 100, width=32))
@settings(max_examples=10)
def test_one_number_for_a_whole_row_changes_no_softmax(by: float) -> None:
    assert check(PLAIN, shifted(np.full((2, 3, 1), by, np.float32))).state == "equal"


def test_different_numbers_change_a_softmax() -> None:
    never_equal(PLAIN, shifted(np.array([0, 0, 0, 1], np.float32)))


def test_a_row_that_is_masked_everywhere_is_not_the_row_itself() -> None:
    never_equal(PLAIN, shifted(np.full((2, 3, 4), -np.inf, np.float32)))


def test_a_mask_makes_a_difference() -> None:
    masks = [np.where(np.arange(4) == place, -np.inf, 0.0).astype(np.float32) for place in (1, 2)]
    never_equal(*(shifted(mask) for mask in masks))
    never_equal(PLAIN, shifted(masks[0]))


def test_epsilon_is_not_taken_for_zero() -> None:
    scale = np.ones(4, np.float32)
    one, two = (
        of_nodes(("LayerNormalization", ["x", "scale"], ["y"], {"epsilon": value}), scale=scale)
        for value in (1e-12, 1e-13)
    )
    never_equal(one, two)


def test_a_variance_whose_root_is_exact_makes_the_identity() -> None:
    epsilon = np.float32(2**-10)
    variance = np.full(3, 4 - epsilon, np.float32)
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    normal = of_nodes(
        ("BatchNormalization", ["x", "two", "zero", "zero", "variance"], ["y"], {"epsilon": float(epsilon)}),
        two=2 * ones, zero=zeros, variance=variance,
    )  # fmt: skip
    assert check(of_nodes(("Identity", ["x"], ["y"])), normal).state == "equal"


def test_training_is_undecided() -> None:
    model, _ = one_node(
        "BatchNormalization", [X, *C, drawn(6, positive=True)], 3, opset=15, training_mode=1
    )  # fmt: skip
    verdict = check(model, model)
    assert (verdict.state, verdict.reason) == ("undecided", "it is being trained")
