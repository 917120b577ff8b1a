"""Attention over doubles beside ONNX Runtime and onnx's node tests, and that what differs is never equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from onnx import helper, numpy_helper
from onnx.backend.test.case.test_case import TestCase

from helpers.exactly import as_expected, as_runtime, assert_near, cases, never_equal, one_node, over_doubles
from onnx_n2n.exact import check

MICROSOFT = "com.microsoft"
OPERATORS = ("Attention", "RotaryEmbedding", "CausalConvWithState", "LinearAttention")
COARSE = {"bf16": 2e-2, "fp16": 2e-3}
B, S, H, G, D = 2, 3, 4, 2, 16
W = H * D
whole = np.random.default_rng(1).integers


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    """Return float32 numbers from a normal distribution."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def i32(*values: int) -> np.ndarray:
    """Return whole numbers."""
    return np.array(values, np.int32)


@pytest.mark.parametrize("case", cases(*OPERATORS), ids=lambda case: case.name)
def test_node_tests(case: TestCase) -> None:
    near = next((value for kind, value in COARSE.items() if case.name.endswith(kind)), 1e-3)
    assert as_expected(case, rtol=near, atol=near / 100) == ""


@pytest.mark.parametrize("case", cases(*OPERATORS), ids=lambda case: case.name)
def test_node_tests_are_equal_to_themselves(case: TestCase) -> None:
    assert check(case.model, case.model).state == "equal"


X, WEIGHTS, BIAS = drawn(B, S, W), drawn(W, 3 * W) / np.float32(8), drawn(3 * W)
PAST = drawn(2, B, H, 5, D)
Q, K, V = drawn(B, S, W), drawn(B, 5, W), drawn(B, 5, 2 * W)
KG, VG, PASTS = drawn(B, S, G * D), drawn(B, S, G * D, seed=1), [drawn(B, G, 5, D, seed=seed) for seed in range(2)]
COS, SIN = drawn(16, D // 2), drawn(16, D // 2, seed=1)
KEYS = [drawn(B, S, W, seed=seed) for seed in range(2)]
CACHE = [drawn(B, H, 4, D, seed=seed) for seed in range(2)]
PROMPT = [Q, KG, VG, None, None, i32(S - 1, S - 1), np.array(S, np.int32)]
NEXT = [Q[:, :1], KG[:, :1], VG[:, :1], *PASTS, i32(5, 3), np.array(6, np.int32)]
SEVERAL = [Q[:1], KG[:1], VG[:1], *(each[:1] for each in PASTS), i32(7), np.array(8, np.int32)]
PLACES = np.array([[1, 5, 2], [0, 3, 4]], np.int64)
HEADS: dict[str, Any] = {"num_heads": H}
GROUPS: dict[str, Any] = {"num_heads": H, "kv_num_heads": G}
MULTI, GROUP = "MultiHeadAttention", "GroupQueryAttention"
# Operator, inputs, attributes, and which inputs are no constants.
MODELS: dict[str, tuple[str, list[Any], dict[str, Any], tuple[int, ...]]] = {
    "plain": ("Attention", [X, WEIGHTS, BIAS], HEADS, (0,)),
    "causal": ("Attention", [X, WEIGHTS, BIAS], {**HEADS, "unidirectional": 1}, (0,)),
    "scale": ("Attention", [X, WEIGHTS, BIAS], {**HEADS, "scale": 0.5}, (0,)),
    "ends": ("Attention", [X, WEIGHTS, BIAS, i32(2, 3)], HEADS, (0, 3)),
    "ends and starts": ("Attention", [X, WEIGHTS, BIAS, i32(2, 3, 1, 0)], HEADS, (0, 3)),
    "mask": ("Attention", [X, WEIGHTS, BIAS, whole(0, 2, (B, S), np.int32)], HEADS, (0, 3)),
    "mask of pairs": (
        "Attention", [X, WEIGHTS, BIAS, whole(0, 2, (B, S, S), np.int32)], {**HEADS, "mask_filter_value": -3.0}, (0, 3),
    ),
    "past": ("Attention", [X, WEIGHTS, BIAS, None, PAST], HEADS, (0, 4)),
    "masked past, causal": (
        "Attention", [X, WEIGHTS, BIAS, whole(0, 2, (B, 8), np.int32), PAST], {**HEADS, "unidirectional": 1}, (0, 3, 4),
    ),
    "position bias": ("Attention", [X, WEIGHTS, BIAS, None, None, drawn(1, H, S, S)], HEADS, (0,)),
    "wide values": (
        "Attention", [X, drawn(W, 4 * W), drawn(4 * W)], {**HEADS, "qkv_hidden_sizes": [W, W, 2 * W]}, (0,),
    ),
    "apart": (MULTI, [Q, K, V], HEADS, (0, 1, 2)),
    "apart, biased": (MULTI, [Q, K, V, drawn(4 * W)], HEADS, (0, 1, 2)),
    "apart, ends": (MULTI, [Q, K, V, None, i32(2, 5)], HEADS, (0, 1, 2, 4)),
    "apart, mask": (
        MULTI, [Q, K, V, None, whole(0, 2, (B, 5), np.int32)], {**HEADS, "mask_filter_value": -2.0}, (0, 1, 2, 4),
    ),
    "apart, mask of pairs": (MULTI, [Q, K, V, None, whole(0, 2, (B, S, 5), np.int32)], HEADS, (0, 1, 2, 4)),
    "apart, position bias": (MULTI, [Q, K, V, None, None, drawn(1, H, S, 5)], {**HEADS, "scale": 0.3}, (0, 1, 2)),
    "keys of the past": (MULTI, [Q, drawn(B, H, 5, D), drawn(B, H, 5, D, seed=1)], HEADS, (0,)),
    "past, causal": (MULTI, [Q, *KEYS, None, None, None, *CACHE], {**HEADS, "unidirectional": 1}, (0, 1, 2)),
    "prompt": (GROUP, PROMPT, GROUPS, (0, 1, 2)),
    "prompt, rotated": (GROUP, [*PROMPT, COS, SIN], {**GROUPS, "do_rotary": 1}, (0, 1, 2)),
    "prompt, cap": (GROUP, PROMPT, {**GROUPS, "softcap": 2.0}, (0, 1, 2)),
    "prompt, window": (GROUP, PROMPT, {**GROUPS, "local_window_size": 2}, (0, 1, 2)),
    "prompt, smooth": (GROUP, PROMPT, {**GROUPS, "smooth_softmax": 1}, (0, 1, 2)),
    "prompt, sink": (GROUP, [*PROMPT, None, None, None, None, drawn(H)], GROUPS, (0, 1, 2)),
    "prompt, position bias": (GROUP, [*PROMPT, None, None, None, drawn(B, 1, S, S)], GROUPS, (0, 1, 2)),
    "packed": (GROUP, [drawn(B, S, W + 2 * G * D), None, None, *PROMPT[3:]], GROUPS, (0,)),
    "next": (GROUP, NEXT, GROUPS, (0, 1, 2, 3, 4, 5)),
    "next, rotated": (
        GROUP, [*NEXT, COS, SIN], {**GROUPS, "do_rotary": 1, "rotary_interleaved": 1}, (0, 1, 2, 3, 4, 5),
    ),
    "next, window": (GROUP, NEXT, {**GROUPS, "local_window_size": 3}, (0, 1, 2, 3, 4, 5)),
    "several": (GROUP, SEVERAL, GROUPS, (0, 1, 2, 3, 4, 5)),
    "several, rotated": (GROUP, [*SEVERAL, COS, SIN], {**GROUPS, "do_rotary": 1}, (0, 1, 2, 3, 4, 5)),
    "halves": ("RotaryEmbedding", [X, PLACES, COS, SIN], {}, (0, 1)),
    "pairs": ("RotaryEmbedding", [X, PLACES, COS, SIN], {"interleaved": 1}, (0, 1)),
    "heads first": ("RotaryEmbedding", [drawn(B, H, S, D), PLACES, COS, SIN], {}, (0, 1)),
    "one place": ("RotaryEmbedding", [X, np.array([4], np.int64), COS, SIN], {}, (0, 1)),
    "partly": (
        "RotaryEmbedding", [X, PLACES, COS[:, :2], SIN[:, :2]], {**HEADS, "rotary_embedding_dim": 4}, (0, 1),
    ),
    "product": ("FusedMatMul", [drawn(2, 5, 4), drawn(2, 6, 5)], {"transA": 1, "transB": 1, "alpha": 0.5}, (0,)),
    "product of batches": ("FusedMatMul", [drawn(4, 2, 5), drawn(2, 5, 6)], {"transBatchA": 1}, (0,)),
    "transposed": ("TransposeMatMul", [drawn(2, 3), drawn(4, 3)], {"transB": 1}, (0,)),
    "sum of products": (
        "FusedGemm", [drawn(2, 3), drawn(3, 4), drawn(4)],
        {"activation": "LeakyRelu", "activation_alpha": 0.3, "beta": 2.0}, (0,),
    ),
    "hyperbolic": ("FusedGemm", [drawn(2, 3), drawn(4, 3)], {"transB": 1, "activation": "Tanh"}, (0,)),
    "gelu of a sum": ("BiasGelu", [X, drawn(W)], {}, (0,)),
    "gelu": ("Gelu", [X], {}, (0,)),
    "fast gelu": ("FastGelu", [X, drawn(W)], {}, (0,)),
    "quick gelu": ("QuickGelu", [X], {"alpha": 0.7}, (0,)),
    "convolution": ("CausalConvWithState", [drawn(2, 4, 7), drawn(4, 1, 3), drawn(4), drawn(2, 4, 2)], {}, (0, 3)),
    "convolution, swish": ("CausalConvWithState", [drawn(2, 4, 7), drawn(4, 1, 3)], {"activation": "silu"}, (0,)),
}  # fmt: skip
BIASES = {"Attention": 2, MULTI: 3}  # biases of queries, keys and values
OUTPUTS = {GROUP: 3, "CausalConvWithState": 2, "LinearAttention": 2}


def model_of(name: str) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Return one of the models, and its inputs."""
    operator, inputs, attributes, free = MODELS[name]
    outputs = 2 if operator == "Attention" and len(inputs) > 4 and inputs[4] is not None else OUTPUTS.get(operator, 1)
    outputs = 3 if operator == MULTI and len(inputs) > 6 else outputs
    return one_node(operator, inputs, outputs, domain=MICROSOFT, opset=1, given=free, **attributes)


@pytest.mark.parametrize("name", MODELS)
def test_as_the_runtime(name: str) -> None:
    as_runtime(*model_of(name), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_equal_to_itself(name: str) -> None:
    model, _ = model_of(name)
    assert check(model, model).state == "equal"


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
@pytest.mark.parametrize("wide", [False, True])
def test_linear_attention_as_the_runtime(rule: str, wide: bool) -> None:
    decay = -np.abs(drawn(B, 5, G * 8 if wide else G)) if "gated" in rule else None
    rate = np.abs(drawn(B, 5, G)) if "delta" in rule else None
    inputs = [drawn(B, 5, H * 8), drawn(B, 5, G * 8) / np.float32(3), drawn(B, 5, G * 6), None, decay, rate]
    inputs[3] = drawn(B, G, 8, 6) if wide else None
    model, feeds = one_node(
        "LinearAttention", inputs, 2, domain=MICROSOFT, opset=1, given=(0, 1, 2, 3, 4, 5), update_rule=rule,
        q_num_heads=H, kv_num_heads=G, scale=0.5,
    )  # fmt: skip
    as_runtime(model, feeds, rtol=1e-3, atol=1e-4)
    assert check(model, model).state == "equal"


# Operators without a kernel for the processor, from their documentation


def gelu(x: np.ndarray) -> np.ndarray:
    """Return what a hyperbolic tangent takes for Gelu."""
    return (x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))).astype(np.float32)


@pytest.mark.parametrize(("packed", "count"), [(drawn(B, S, H, 3, D), 3), (drawn(B, 5, H, 2, D), 2)])
def test_packed_is_the_same_as_apart(packed: np.ndarray, count: int) -> None:
    parts = [packed[:, :, :, place].reshape(B, -1, W) for place in range(count)]
    together = [packed] if count == 3 else [Q, packed]
    results = [
        over_doubles(*one_node(MULTI, each, domain=MICROSOFT, opset=1, given=range(3), num_heads=H))[0]
        for each in (together, parts if count == 3 else [Q, *parts])
    ]
    assert_near(results[0], np.asarray(results[1].numbers.values, np.float32))


def test_sums_of_biases() -> None:
    total = X + drawn(W)
    for operator, inputs, expected in (
        ("BiasAdd", [X, drawn(W), KEYS[0]], total + KEYS[0]),
        ("GemmFastGelu", [X, drawn(W, 4), drawn(4)], gelu(X @ drawn(W, 4) + drawn(4))),
    ):
        model, feeds = one_node(operator, inputs, domain=MICROSOFT, opset=1)
        assert_near(over_doubles(model, feeds)[0], expected, rtol=1e-3, atol=1e-4)


def test_halves_of_a_sum() -> None:
    model, feeds = one_node("BiasSplitGelu", [X, drawn(W)], domain=MICROSOFT, opset=1)
    left, right = np.split(X + drawn(W), 2, -1)
    assert_near(over_doubles(model, feeds)[0], left * gelu(right), rtol=2e-2, atol=2e-3)


def test_gated_position_bias() -> None:
    inputs = [X, drawn(W), drawn(1, H, S, S), drawn(D, 8), drawn(8), drawn(1, H, 1, 1)]
    model, feeds = one_node("GatedRelativePositionBias", inputs, domain=MICROSOFT, opset=1, num_heads=H)
    heads = (X + drawn(W)).reshape(B, S, H, D).transpose(0, 2, 1, 3)
    sums = (heads @ inputs[3] + inputs[4]).reshape(B, H, S, 2, 4).sum(-1)
    u, r = np.split(1 / (1 + np.exp(-sums)), 2, -1)
    expected = (u * (r * inputs[5] - 1) + 2) * inputs[2]
    assert_near(over_doubles(model, feeds)[0], expected, rtol=1e-3, atol=1e-4)


# What is never equal


@given(some.sampled_from(sorted(MODELS)), some.data())
@settings(max_examples=12)
def test_another_constant_is_never_equal(name: str, data: some.DataObject) -> None:
    operator, inputs, attributes, free = MODELS[name]
    constants = [
        slot for slot, each in enumerate(inputs) if each is not None and slot not in free and each.dtype == np.float32
    ]  # fmt: skip
    if not constants:
        return
    slot = data.draw(some.sampled_from(constants))
    changed = list(inputs)
    changed[slot] = inputs[slot].copy()
    first = 2 * W if slot == BIASES.get(operator) else 0  # a bias of all keys changes nothing
    changed[slot].flat[data.draw(some.integers(first, inputs[slot].size - 1))] += np.float32(0.25)
    outputs = 3 if operator == GROUP else 1
    one, two = (
        one_node(operator, each, outputs, domain=MICROSOFT, opset=1, given=free, **attributes)[0]
        for each in (inputs, changed)
    )
    assert check(one, two).state != "equal"


OF_4 = [drawn(B, H, S, D), drawn(B, G, 5, D), drawn(B, G, 5, D, seed=1)]
CHANGES = [
    ({}, {"scale": 0.3}), ({}, {"is_causal": 1}), ({}, {"softcap": 2.0}), ({"softcap": 2.0}, {"softcap": 3.0}),
    ({"is_causal": 1}, {"is_causal": 1, "left_window_size": 1}), ({}, {"left_window_size": 0}),
    ({"left_window_size": 1}, {"right_window_size": 1}), ({"right_window_size": 0}, {"right_window_size": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("one", "two"), CHANGES)
def test_another_attribute_is_never_equal(one: dict[str, Any], two: dict[str, Any]) -> None:
    never_equal(*(one_node("Attention", OF_4, opset=25, given=(0, 1, 2), **each)[0] for each in (one, two)))


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_another_output_of_products_is_never_equal(mode: int) -> None:
    never_equal(*(
        one_node(
            "Attention", OF_4, 4, opset=24, given=(0, 1, 2), qk_matmul_output_mode=each, softcap=2.0, is_causal=1
        )[0]
        for each in (0, mode)
    ))  # fmt: skip


def test_a_causal_window_is_causal() -> None:
    one, two = ({"is_causal": 1}, {"right_window_size": 0})
    models = [one_node("Attention", OF_4, opset=25, given=(0, 1, 2), **each)[0] for each in (one, two)]
    assert check(*models).state == "equal"


def of_masks(*masks: np.ndarray) -> list[onnx.ModelProto]:
    """Return Attention with each of some masks as a constant."""
    return [one_node("Attention", [*OF_4, mask], opset=24, given=(0, 1, 2))[0] for mask in masks]


@given(some.integers(0, 14), some.booleans())
@settings(max_examples=5)
def test_another_mask_is_never_equal(place: int, decided: bool) -> None:
    mask = np.random.default_rng(place).integers(0, 2, (3, 5)).astype(bool)
    other = mask.copy()
    other.flat[place] ^= True
    if not decided:
        mask, other = (np.where(each, 0, -np.inf).astype(np.float32) for each in (mask, other))
    never_equal(*of_masks(mask, other))


def test_a_query_that_sees_nothing_is_not_one_that_sees_all() -> None:
    nothing = np.full((3, 5), -np.inf, np.float32)
    never_equal(*of_masks(np.zeros((3, 5), np.float32), nothing))
    never_equal(*of_masks(np.ones((3, 5), bool), np.zeros((3, 5), bool)))


def network(order: list[int], shift: float = 0.0, place: int = 0) -> onnx.ModelProto:
    """Return projections, attention and a projection whose heads are in some order; one key's bias is shifted."""
    columns = np.concatenate([np.arange(D) + head * D for head in order])
    made = {name: drawn(8, W, seed=seed)[:, columns] for seed, name in enumerate("qkv")}
    bias = np.full((1, 5 if place else 1, W), 0, np.float32)
    bias[:, place] = shift
    graph = helper.make_graph(
        [
            *(helper.make_node("MatMul", ["x", name], [f"{name}x"]) for name in "qkv"),
            helper.make_node("Add", ["kx", "bias"], ["kb"]),
            helper.make_node("Attention", ["qx", "kb", "vx"], ["a"], q_num_heads=H, kv_num_heads=H),
            helper.make_node("MatMul", ["a", "o"], ["y"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", 1, (2, 5, 8))],
        [helper.make_tensor_value_info("y", 1, (2, 5, 8))],
        [numpy_helper.from_array(each, name) for name, each in made.items()]
        + [numpy_helper.from_array(drawn(W, 8, seed=7)[columns], "o"), numpy_helper.from_array(bias, "bias")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


@given(some.permutations(range(H)))
@settings(max_examples=5)
def test_heads_may_be_in_any_order(order: list[int]) -> None:
    assert check(network([0, 1, 2, 3]), network(order)).state == "equal"


@given(some.floats(0.125, 64, width=32))
@settings(max_examples=5)
def test_one_bias_for_all_keys_changes_nothing(shift: float) -> None:
    assert check(network([0, 1, 2, 3]), network([0, 1, 2, 3], shift)).state == "equal"


def test_a_bias_for_one_key_changes_something() -> None:
    never_equal(network([0, 1, 2, 3], 0.0, 1), network([0, 1, 2, 3], 0.5, 1))


@pytest.mark.parametrize(
    "attributes", [{"do_rotary": 1}, {"past_present_share_buffer": 1}, {"rotary_embedding_dim": 32}, {"other": 1}]
)
def test_what_is_not_known_is_undecided(attributes: dict[str, int]) -> None:
    model, _ = one_node("Attention", [X, WEIGHTS, BIAS], domain=MICROSOFT, opset=1, num_heads=H, **attributes)
    assert check(model, model).state == "undecided"


@pytest.mark.parametrize("reduction", ["none", "add"])
@pytest.mark.parametrize("axis", [1, -1])
def test_numbers_are_put_where_numbers_say(reduction: str, axis: int) -> None:
    places = np.array([[[0, 3], [2, 1]], [[1, 0], [4, 2]]], np.int64)
    data, updates = drawn(2, 2, 5), drawn(2, 2, 2)
    if axis == 1:
        data, places, updates = (each.swapaxes(1, 2).copy() for each in (data, places, updates))
    models = [
        one_node("ScatterElements", each, opset=18, given=(0, 1, 2)[:count], axis=axis, reduction=reduction)
        for each, count in (([data, places, updates], 3), ([data, places, updates], 2), ([data, places, -updates], 2))
    ]
    as_runtime(*models[0])
    assert check(models[0][0], models[0][0]).state == "equal"
    never_equal(models[1][0], models[2][0])
