"""Convolution, pooling and resizing: what they compute, and what is never called equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from helpers.exactly import as_expected, as_runtime, cases, never_equal, one_node, written
from onnx_n2n.exact import check
from onnx_n2n.exact.undecided import Undecided

OPERATORS = """
    Conv ConvTranspose DeformConv Col2Im MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool
    Resize Upsample GridSample AffineGrid RoiAlign
""".split()  # noqa: SIM905
UNDECIDED = {
    "test_resize_downsample_scales_linear_align_corners": "versions say different things",
    "test_resize_downsample_scales_cubic_align_corners": "versions say different things",
    "test_roialign_mode_max": "the largest of samples",
}
AUTO = ["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]


@pytest.mark.parametrize("operator", OPERATORS)
def test_node_tests_of_onnx_come_out_as_expected(operator: str) -> None:
    found = cases(operator)
    assert found or operator in {"Upsample", "GlobalLpPool"}
    for case in found:
        reason = as_expected(case)
        assert bool(reason) == (case.name in UNDECIDED), (case.name, reason)
        assert UNDECIDED.get(case.name, "") in reason


# Beside ONNX Runtime


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def window(data: st.DataObject, dims: int, *, rounded_up: bool = False) -> dict[str, Any]:
    """Draw the attributes that convolution and pooling share."""
    few = st.lists(st.integers(1, 3), min_size=dims, max_size=dims)
    auto = data.draw(st.sampled_from(AUTO))
    attributes: dict[str, Any] = {"strides": data.draw(few)}
    if auto == "NOTSET":
        attributes["pads"] = data.draw(st.lists(st.integers(0, 1), min_size=2 * dims, max_size=2 * dims))
        attributes["dilations"] = data.draw(st.lists(st.integers(1, 2), min_size=dims, max_size=dims))
        if rounded_up:
            attributes["ceil_mode"] = data.draw(st.integers(0, 1))
    else:
        attributes["auto_pad"] = auto
    return attributes


def against_runtime(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> None:
    """Compare, where the rule decides, and count that it mostly does."""
    try:
        as_runtime(model, feeds)
    except Undecided:
        assume(False)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_convolution_is_what_onnx_runtime_computes(data: st.DataObject) -> None:
    dims, groups = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 2]))
    lengths = data.draw(st.lists(st.integers(5, 8), min_size=dims, max_size=dims))
    kernel = data.draw(st.lists(st.integers(1, 3), min_size=dims, max_size=dims))
    inputs = [drawn(2, 4, *lengths), drawn(6, 4 // groups, *kernel), drawn(6)]
    against_runtime(*one_node("Conv", inputs, opset=11, group=groups, **window(data, dims)))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_transposed_convolution_is_what_onnx_runtime_computes(data: st.DataObject) -> None:
    dims, groups = data.draw(st.integers(1, 2)), data.draw(st.sampled_from([1, 2]))
    lengths = data.draw(st.lists(st.integers(2, 5), min_size=dims, max_size=dims))
    kernel = data.draw(st.lists(st.integers(2, 3), min_size=dims, max_size=dims))
    attributes = window(data, dims)
    if "pads" in attributes and data.draw(st.booleans()):
        attributes["output_padding"] = [each - 1 for each in attributes["strides"]]
    inputs = [drawn(2, 4, *lengths), drawn(4, 3, *kernel), drawn(3 * groups)]
    against_runtime(*one_node("ConvTranspose", inputs, opset=11, group=groups, **attributes))


@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("length", [8, 9, 11])
def test_the_length_of_a_transposed_convolution_may_be_given(auto_pad: str, length: int) -> None:
    model, feeds = one_node(
        "ConvTranspose", [drawn(1, 2, 4), drawn(2, 3, 4)], opset=11,
        strides=[2], output_shape=[length], auto_pad=auto_pad, output_padding=[1],
    )  # fmt: skip
    as_runtime(model, feeds)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(["MaxPool", "AveragePool", "LpPool"]))
def test_pooling_is_what_onnx_runtime_computes(data: st.DataObject, operator: str) -> None:
    dims = data.draw(st.integers(1, 3))
    lengths = data.draw(st.lists(st.integers(5, 8), min_size=dims, max_size=dims))
    attributes = window(data, dims, rounded_up=operator != "LpPool")
    attributes["kernel_shape"] = data.draw(st.lists(st.integers(2, 3), min_size=dims, max_size=dims))
    if str(attributes.get("auto_pad", "")).startswith("SAME"):  # ONNX Runtime moves windows that leave gaps
        both = zip(attributes["strides"], attributes["kernel_shape"], strict=True)
        attributes["strides"] = [min(each) for each in both]
    if operator == "AveragePool":
        attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    if operator == "LpPool":
        attributes["p"] = data.draw(st.integers(1, 4))
        attributes["dilations"] = [1] * dims
    against_runtime(*one_node(operator, [drawn(2, 3, *lengths)], opset=19, **attributes))


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_where_the_largest_number_was_is_what_onnx_runtime_says(data: st.DataObject) -> None:
    attributes = window(data, 2)
    model, feeds = one_node(
        "MaxPool", [drawn(2, 3, 6, 7)], 2, opset=12,
        kernel_shape=[2, 3], storage_order=data.draw(st.integers(0, 1)), **attributes,
    )  # fmt: skip
    against_runtime(model, feeds)


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
def test_global_pooling_is_what_onnx_runtime_computes(operator: str) -> None:
    as_runtime(*one_node(operator, [drawn(2, 3, 4, 5)], opset=12))


COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from(["nearest", "linear", "cubic"]))
def test_resizing_is_what_onnx_runtime_computes(data: st.DataObject, mode: str) -> None:
    lengths = [data.draw(st.integers(3, 6)) for _ in range(2)]
    # Ratios by powers of two, so that no coordinate hangs on rounding.
    scales = [data.draw(st.sampled_from([0.5, 1.0, 2.0, 4.0, 1.5])) for _ in range(2)]
    assume(all(length * scale == int(length * scale) >= 2 for length, scale in zip(lengths, scales, strict=True)))
    attributes: dict[str, Any] = {
        "mode": mode,
        "coordinate_transformation_mode": data.draw(st.sampled_from(COORDINATES)),
    }
    if mode == "nearest":
        attributes["nearest_mode"] = data.draw(
            st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
        )
        assume(1.5 not in scales and attributes["coordinate_transformation_mode"] != "align_corners")
    if mode == "cubic":
        attributes["cubic_coeff_a"] = data.draw(st.sampled_from([-0.75, -0.5]))
        attributes["exclude_outside"] = data.draw(st.integers(0, 1))
    if mode != "nearest" and data.draw(st.booleans()):
        attributes["antialias"] = 1
        assume(all(scale <= 1 for scale in scales) and "exclude_outside" not in attributes)
    if data.draw(st.booleans()):
        given_ = [None, np.array([1, 1, *scales], np.float32)]
    else:
        given_ = [None, None, np.array([2, 3, *(int(n * s) for n, s in zip(lengths, scales, strict=True))])]
    against_runtime(*one_node("Resize", [drawn(2, 3, *lengths), *given_], opset=19, **attributes))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_a_region_is_resized_and_what_is_outside_is_a_number(mode: str) -> None:
    region = np.array([0, 0, -0.25, 0.25, 1, 1, 0.75, 1.5], np.float32)
    inputs = [drawn(1, 1, 5, 9), region, None, np.array([1, 1, 4, 7])]
    as_runtime(*one_node(
        "Resize", inputs, opset=13, mode=mode, coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=10.0, nearest_mode="floor",
    ))  # fmt: skip


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(("operator", "opset"), [("Upsample", 9), ("Resize", 10)])
def test_older_versions_make_images_larger(operator: str, opset: int, mode: str) -> None:
    inputs = [drawn(1, 2, 3, 4), np.array([1, 1, 2, 3], np.float32)]
    as_runtime(*one_node(operator, inputs, opset=opset, mode=mode))


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [0, 1])
def test_grids_are_looked_up_as_onnx_runtime_does(mode: str, padding: str, align: int) -> None:
    grid = np.random.default_rng(1).uniform(-1.6, 1.6, (2, 4, 5, 2)).astype(np.float32)
    as_runtime(*one_node(
        "GridSample", [drawn(2, 3, 5, 4), grid], opset=16, mode=mode, padding_mode=padding, align_corners=align
    ), rtol=1e-3, atol=1e-4)  # fmt: skip


# What is never equal


FREE = "(float[N, 3, H, W] x) => (float[N, C, P, Q] y) "
K7, X = drawn(4, 3, 7, 7), drawn(1, 3, 9, 9)


@given(st.integers(0, 3), st.integers(0, 2), st.integers(0, 6), st.integers(0, 6))
@settings(max_examples=6, deadline=None)
def test_no_place_of_a_kernel_may_change(m: int, c: int, row: int, column: int) -> None:
    other = K7.copy()
    other[m, c, row, column] = np.nextafter(other[m, c, row, column], np.float32(9))
    text = FREE + "{ y = Conv<pads = [3, 3, 3, 3]>(x, K) }"
    assert check(written(text, K=K7), written(text, K=other)).state != "equal"


def test_an_image_grows_until_every_place_of_a_kernel_meets_it() -> None:
    verdict = check(*[written(FREE + "{ y = Conv<pads = [3, 3, 3, 3]>(x, K) }", K=K7)] * 2)
    assert verdict.state == "equal", verdict
    assert min(verdict.shapes[0]["x"][2:]) > 3


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool", "LpPool"])
def test_windows_that_are_larger_than_the_image_differ(operator: str) -> None:
    made = [
        written(
            FREE + f"{{ y = {operator}<kernel_shape = [{2 * n + 1}, {2 * n + 1}], pads = [{n}, {n}, {n}, {n}]>(x) }}"
        )
        for n in (3, 4)
    ]
    never_equal(made[0], made[1])


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_a_step_to_the_next_window_is_taken(steps: int) -> None:
    """Where there is one window only, nobody sees how far it is to the next."""
    made = [written(FREE + f"{{ y = Conv<strides = [{each}, 1]>(x, K) }}", K=drawn(4, 3, 3, 3)) for each in (1, steps)]
    never_equal(*made)


def test_places_of_a_window_that_no_size_of_the_image_reaches_make_no_difference() -> None:
    fixed = "(float[N, 3, 2, 2] x) => (float[N, C, P, Q] y) "
    text = fixed + "{ y = MaxPool<kernel_shape = [7, 7], pads = [3, 3, 3, 3]>(x) }"
    assert check(written(text), written(text)).state == "equal"


PAIRS = {
    "padding on the other side": ("Conv<auto_pad = {}, strides = [2, 2]>(x, K)", '"SAME_UPPER"', '"SAME_LOWER"'),
    "strides": ("Conv<strides = [{}, 1], pads = [3, 3, 3, 3]>(x, K)", "1", "2"),
    "dilations": ("Conv<dilations = [{0}, 1], pads = [{0}, 0, {0}, 0]>(x, S)", "1", "2"),
    "groups' order": ("Conv<group = 3>(x, {})", "D", "E"),
    "the mean or the largest": ("{}<kernel_shape = [2, 2]>(x)", "MaxPool", "AveragePool"),
    "the mean or the largest of all": ("{}(x)", "GlobalMaxPool", "GlobalAveragePool"),
    "padding that counts": (
        "AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = {}>(x)", "0", "1",
    ),
    "the order of a norm": ("LpPool<kernel_shape = [2, 2], p = {}>(x)", "2", "3"),
    "the order of a norm of all": ("GlobalLpPool<p = {}>(x)", "1", "2"),
    "modes": ("Resize<mode = {}>(x, , two)", '"nearest"', '"linear"'),
    "cubic modes": ('Resize<mode = "cubic", cubic_coeff_a = {}>(x, , two)', "-0.75", "-0.5"),
    "coordinates": (
        'Resize<mode = "linear", coordinate_transformation_mode = {}>(x, , two)', '"half_pixel"', '"align_corners"',
    ),
    "nearest ones": ("Resize<nearest_mode = {}>(x, , two)", '"floor"', '"ceil"'),
    "pixels outside": ('Resize<mode = "cubic", exclude_outside = {}>(x, , two)', "0", "1"),
    "smoothness": ('Resize<mode = "linear", antialias = {}>(x, , half)', "0", "1"),
    "padding of a grid": ("GridSample<padding_mode = {}>(x, grid)", '"zeros"', '"border"'),
    "corners of a grid": ("GridSample<align_corners = {}>(x, grid)", "0", "1"),
    "modes of a grid": ("GridSample<mode = {}>(x, grid)", '"nearest"', '"bilinear"'),
}  # fmt: skip
CONSTANTS = {
    "K": K7, "S": drawn(2, 3, 3, 3), "D": drawn(3, 1, 2, 2), "E": drawn(3, 1, 2, 2)[::-1].copy(),
    "two": np.array([1, 1, 2, 2], np.float32), "half": np.array([1, 1, 0.5, 0.5], np.float32),
    "grid": drawn(2, 3, 3, 2),
}  # fmt: skip


@pytest.mark.parametrize("what", PAIRS)
def test_an_attribute_that_differs_makes_a_difference(what: str) -> None:
    text, one, two = PAIRS[what]
    fixed = "(float[2, 3, 12, 10] x) => (float[N, C, P, Q] y) "
    never_equal(*(written(fixed + f"{{ y = {text.format(each)} }}", **CONSTANTS) for each in (one, two)))


def test_one_channel_of_eight_below_a_largest_number_may_not_change() -> None:
    text = """(float[N, 3, 8, 8] x) => (float[N, 4, 1, 1] y) {
        a = Conv<pads = [1, 1, 1, 1]>(x, K) b = MaxPool<kernel_shape = [8, 8]>(a)
        p, q = Split<axis = 1, num_outputs = 2>(b) y = Max(p, q) }"""
    kernel = drawn(8, 3, 3, 3)
    other = kernel.copy()
    other[5] += 1
    never_equal(written(text, K=kernel), written(text, K=other))


def test_a_table_of_pixels_that_is_made_smaller_is_not_read_where_it_is_skipped() -> None:
    text = """(float[N, 3, H, W] x) => (float[N, C, P, Q] y) {
        s = Shape<start = 2>(x) t = Concat<axis = 0>(one, s) r = Resize<nearest_mode = "floor">(T, , , t)
        y = Add(x, r) }"""
    table, other = drawn(1, 3, 200, 200), drawn(1, 3, 200, 200)
    other[0, 0, 1, 1] += 1
    verdict = check(*(written(text, T=each, one=np.array([1, 3])) for each in (table, other)))
    assert verdict.state != "equal"


def test_copied_channels_with_shared_weights_are_equal() -> None:
    """A wider student: each channel twice, with half of the weights behind it."""
    text = """(float[N, 3, H, W] x) => (float[N, C, P, Q] y) {
        a = Conv<pads = [1, 1, 1, 1]>(x, K) b = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)
        c = Resize<mode = "linear">(b, , two) d = Relu(c) y = Conv(d, V) }"""
    one, two = drawn(4, 3, 3, 3), drawn(5, 4, 3, 3)
    teacher = written(text, K=one, V=two, two=CONSTANTS["two"])
    wider = {"K": np.concatenate([one, one]), "V": np.concatenate([two / 2, two / 2], 1)}
    verdict = check(teacher, written(text, **wider, two=CONSTANTS["two"]))
    assert verdict.state == "equal", verdict
    wider["V"][0, 0, 0, 0] *= 2
    assert check(teacher, written(text, **wider, two=CONSTANTS["two"])).state != "equal"
