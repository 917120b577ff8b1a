"""Lies about attributes and versions: each attribute and each version that changes what an operator computes."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from helpers.lying import Pair, but, normal, pair

W, V = normal(8, 8), normal(8, 5)
ROWS = "(float[N, 8] x) => (float[N, 8] y)"
CUBE = "(float[N, 6, 8] x) => (float[A, B, C] y)"
IMAGE = "(float[N, 4, 6, 8] x) => (float[A, B, C, D] y)"
SMALL = "(float[1, 4, 6, 8] x) => (float[A, B, C, D] y)"
STEPS = "(float[3, 2, 8] x) => (float[A, B, C, D] y)"
K = normal(4, 4, 3, 3)
MICROSOFT = {"com.microsoft": 1}


def attribute(operator: str, inputs: str, one: str, two: str, interface: str = CUBE, **more: Any) -> Pair:
    """A pair of one node with other attributes."""
    before, after = (f"<{each}>" if each else "" for each in (one, two))
    return pair(f"{operator} {one or 'as it is'} and {two or 'as it is'}", interface,
         f"y = {operator}{before}({inputs})",
                f"y = {operator}{after}({inputs})", **more)  # fmt: skip


def activation(operator: str, two: str, one: str = "", **more: Any) -> Pair:
    return attribute(operator, "x", one, two, ROWS, **{"feeds": {"x": 3 * normal(40, 8)}, **more})


def slot(
    operator: str, inputs: str, name: str, value: Any, interface: str = CUBE, attributes: str = "", **more: Any
) -> Pair:
    """A pair of one node with another constant."""
    nodes = f"y = {operator}{attributes}({inputs})"
    return pair(f"{operator} with another {name} {attributes}", interface, nodes, changed={name: value}, **more)


def recurrent(operator: str, gates: int, one: str, two: str, size: int = 8, directions: int = 1, interface: str = STEPS,
              inputs: str = "x, M, R, B", **more: Any) -> Pair:  # fmt: skip
    weights = {
        "M": normal(directions, gates * size, 8),
        "R": normal(directions, gates * size, size),
        "B": normal(directions, 2 * gates * size),
    }
    return attribute(operator, inputs, one, two, interface, **{**weights, **more})


RESIZE = "x, , S"
HALF, MORE = np.array([1, 1, 0.5, 0.5], "f4"), np.array([1, 1, 1.7, 2.3], "f4")
NORM = {"g": normal(4), "b": normal(4, seed=1), "m": normal(4, seed=2), "v": np.abs(normal(4)) + 0.5}

ACTIVATIONS = [
    activation("LeakyRelu", "alpha = 0.02"), activation("Elu", "alpha = 1.5"), activation("Selu", "gamma = 1.1"),
         activation("Selu", "alpha = 1.7"),
    activation("Celu", "alpha = 2.0"), activation("HardSigmoid", "alpha = 0.16666667"), activation("HardSigmoid",
         "beta = 0.4"),
    activation("ThresholdedRelu", "alpha = 1.1"), activation("Shrink", "lambd = 0.6"), activation("Shrink",
         "bias = 0.6"),
    activation("Gelu", 'approximate = "tanh"', opset=20, feeds={"x": 2.3 * normal(40, 8)}),
    activation("Softmax", "axis = 0"), activation("LogSoftmax", "axis = 0"), activation("Hardmax", "axis = 0"),
    activation("LpNormalization", "p = 1"), activation("LpNormalization", "axis = 0"), activation("Flatten",
         "axis = 0"),
    attribute("CumSum", "x, k", "", "reverse = 1", ROWS, k=np.int64(1)),
    attribute("CumSum", "x, k", "", "exclusive = 1", ROWS, k=np.int64(1)),
    slot("CumSum", "x, k", "k", np.int64(0), ROWS, k=np.int64(1)),
    activation("LeakyRelu", "alpha = 0.02", "alpha = 0.03"),
]  # fmt: skip
SHAPES = [
    attribute("Transpose", "x", "perm = [0, 2, 1]", "perm = [1, 2, 0]"), attribute("Transpose", "x", "",
         "perm = [0, 2, 1]"),
    attribute("Concat", "x, x", "axis = 1", "axis = 2"), attribute("Gather", "x, k", "axis = 1", "axis = 2",
         k=np.array([0, 2])),
    attribute("Flatten", "x", "axis = 1", "axis = 2", "(float[N, 6, 8] x) => (float[A, B] y)"),
    pair("reshape by other sizes", CUBE, "y = Reshape(x, k)", k=np.array([0, 8, 6]), changed={"k": np.array([0, 6,
         8])}),
    slot("Tile", "x, k", "k", np.array([1, 2, 1]), k=np.array([2, 1, 1])),
    slot("Pad", "x, k", "k", np.array([0, 1, 0, 0, 1, 0]), k=np.array([0, 0, 1, 0, 0, 1])),
    slot("Pad", "x, k, c", "c", np.float32(1), k=np.array([0, 0, 1, 0, 0, 1]), c=np.float32(0)),
    attribute("Pad", "x, k", 'mode = "reflect"', 'mode = "edge"', k=np.array([0, 0, 2, 0, 0, 2])),
    attribute("Pad", "x, k", 'mode = "constant"', 'mode = "edge"', k=np.array([0, 0, 2, 0, 0, 2])),
    attribute("Pad", "x, k", 'mode = "reflect"', 'mode = "wrap"', k=np.array([0, 0, 2, 0, 0, 2]), opset=19),
    slot("Pad", "x, k, , a", "a", np.array([1]), k=np.array([1, 1]), a=np.array([2])),
    slot("Pad", "x, k", "k", np.array([0, 0, -2, 0, 0, 0]), k=np.array([0, 0, 0, 0, 0, -2])),
    slot("Slice", "x, a, b, c, d", "d", np.array([2]), a=np.array([0]), b=np.array([7]), c=np.array([2]),
         d=np.array([3])),
    slot("Slice", "x, a, b, c, d", "a", np.array([-1]), a=np.array([-2]), b=np.array([-99]), c=np.array([2]),
         d=np.array([-1])),
    attribute("DepthToSpace", "x", "blocksize = 2", 'blocksize = 2, mode = "CRD"',
         "(float[N, 8, 3, 5] x) => (float[A, B, C, D] y)"),
    attribute("SpaceToDepth", "x", "blocksize = 2", "blocksize = 1", IMAGE),
    attribute("Einsum", "x, W", 'equation = "nij,jk->nik"', 'equation = "nij,kj->nik"', W=W),
    attribute("Trilu", "x", "upper = 1", "upper = 0"), slot("Trilu", "x, k", "k", np.int64(-1), k=np.int64(1)),
    attribute("ReduceSum", "x, k", "", "keepdims = 0", k=np.array([1])), slot("ReduceSum", "x, k", "k", np.array([2]),
         k=np.array([1])),
    slot("ReduceSum", "x, k", "k", np.array([-1]), k=np.array([-2])),
    attribute("ReduceSum", "x, k", "", "noop_with_empty_axes = 1", k=np.array([], "i8")),
    attribute("ReduceSum", "x", "", "noop_with_empty_axes = 1"), attribute("ReduceMax", "x", "",
         "noop_with_empty_axes = 1"),
    *(pair(f"{one} and {two}", CUBE, f"y = {one}(x, k)", f"y = {two}(x, k)", k=np.array([2])) for one, two in (
        ("ReduceSum", "ReduceMean"), ("ReduceL1", "ReduceL2"), ("ReduceSumSquare", "ReduceL2"), ("ReduceLogSum",
         "ReduceLogSumExp"),
        ("ReduceProd", "ReduceSum"), ("ReduceMax", "ReduceMin"), ("ReduceL1", "ReduceSum"))),
    pair("split in other sizes", ROWS, "a, b = Split<axis=1>(x, k) y = Concat<axis=1>(b, a)", k=np.array([4, 4]),
         changed={"k": np.array([3, 5])}),
    pair("parts exchanged", ROWS, "a, b = Split<axis=1, num_outputs=2>(x) y = Concat<axis=1>(a, b)",
         "a, b = Split<axis=1, num_outputs=2>(x) y = Concat<axis=1>(b, a)"),
    pair("unsqueezed at another place", "(float[N, 8] x) => (float[A, B, C] y)", "y = Unsqueeze(x, k)",
         k=np.array([1]), changed={"k": np.array([2])}),
    pair("shape from another start", CUBE, "s = Shape<start=1>(x) f = Cast<to=1>(s) g = ReduceSum(f) y = Mul(x, g)",
         "s = Shape<start=2>(x) f = Cast<to=1>(s) g = ReduceSum(f) y = Mul(x, g)"),
    pair("filled with another constant", ROWS, "s = Shape(x) c = ConstantOfShape<value = float[1] {1.0}>(s) y = "
         "Add(x, c)",
         "s = Shape(x) c = ConstantOfShape(s) y = Add(x, c)"),
    attribute("ReverseSequence", "x, k", "batch_axis = 0, time_axis = 1", "batch_axis = 1, time_axis = 0",
         "(float[4, 4, 8] x) => (float[4, 4, 8] y)",
              k=np.array([1, 2, 3, 4])),
    slot("ReverseSequence", "x, k", "k", np.array([1, 2, 3, 3]), "(float[4, 4, 8] x) => (float[4, 4, 8] y)",
         k=np.array([1, 2, 3, 4])),
]  # fmt: skip
MATRICES = [
    *(attribute("Gemm", "x, W, c", one, two, ROWS, W=W, c=normal(8)) for one, two in (
        ("", "alpha = 2.0"), ("", "beta = 0.5"), ("", "transB = 1"), ("alpha = 2.0", "beta = 2.0"))),
    attribute("Gemm", "x, W", "", "transA = 1", "(float[8, 8] x) => (float[8, 8] y)", W=W),
    pair("bias of a row and of a column", "(float[8, 8] x) => (float[8, 8] y)", "y = Gemm(x, W, c)",
         "y = Gemm(x, W, d)", W=W, c=normal(8), d=normal(8)[:, None]),
    pair("matrix from the other side", "(float[8, 8] x) => (float[8, 8] y)", "y = MatMul(x, W)", "y = MatMul(W, x)",
         W=W),
    pair("transposed matrix", ROWS, "y = MatMul(x, W)", W=W, changed={"W": W.T}),
    pair("groups in another order", IMAGE, "y = Conv<group=2>(x, K)", "y0 = Conv<group=2>(x, K) a, b = Split<axis=1, "
         "num_outputs=2>(y0) y = Concat<axis=1>(b, a)",
         K=normal(4, 2, 3, 3)),
    attribute("Conv", "x, K", "dilations = [1, 2]", "dilations = [2, 1]", IMAGE, K=K), attribute("Conv", "x, K",
         "strides = [1, 2]", "strides = [2, 1]", IMAGE, K=K),
    attribute("Conv", "x, K", "", "auto_pad = \"SAME_UPPER\"", IMAGE, K=K), attribute("Conv", "x, K",
         "pads = [0, 1, 0, 0]", "pads = [0, 0, 0, 1]", IMAGE, K=K),
    slot("Conv", "x, K, c", "c", but(normal(4), 3, 9), IMAGE, K=K, c=normal(4)),
    pair("kernel turned round", IMAGE, "y = Conv(x, K)", K=K, changed={"K": K[:, :, ::-1, ::-1]}),
         pair("kernel transposed", IMAGE, "y = Conv(x, K)", K=K, changed={"K": K.transpose(0, 1, 3, 2)}),
    pair("channels of a kernel exchanged", IMAGE, "y = Conv(x, K)", K=K, changed={"K": K.transpose(1, 0, 2, 3)}),
    pair("convolution and transposed convolution", IMAGE, "y = Conv<pads=[1, 1, 1, 1]>(x, K)",
         "y = ConvTranspose<pads=[1, 1, 1, 1]>(x, K)", K=K),
    attribute("ConvTranspose", "x, K", "strides = [2, 2]", "strides = [2, 2], output_padding = [1, 0]", IMAGE, K=K),
    attribute("ConvTranspose", "x, K", 'strides = [2, 2], output_shape = [12, 16], auto_pad = "SAME_UPPER"',
              'strides = [2, 2], output_shape = [12, 16], auto_pad = "SAME_LOWER"', IMAGE, K=K),
    attribute("ConvTranspose", "x, K", "dilations = [2, 1]", "dilations = [1, 2]", IMAGE, K=K),
    attribute("ConvTranspose", "x, K", "pads = [1, 0, 0, 0]", "pads = [0, 0, 1, 0]", IMAGE, K=K),
    *(attribute("MaxPool", "x", f"kernel_shape = [2, 2]{one}", f"kernel_shape = [2, 2]{two}", IMAGE) for one, two in (
        ("", ", strides = [2, 2]"), (", strides = [1, 7]", ", strides = [1, 7], ceil_mode = 1"),
         (", pads = [1, 0, 0, 0]", ", pads = [0, 0, 1, 0]"),
        ("", ", dilations = [2, 2]"), (', auto_pad = "SAME_UPPER"', ', auto_pad = "SAME_LOWER"'))),
    *(attribute("AveragePool", "x", f"kernel_shape = [3, 3]{one}", f"kernel_shape = [3, 3]{two}", IMAGE,
         opset=19) for one, two in (
        (", pads = [1, 1, 1, 1]", ", pads = [1, 1, 1, 1], count_include_pad = 1"), (", strides = [2, 2]",
         ", strides = [2, 2], ceil_mode = 1"),
        ("", ", dilations = [2, 2]"), (', auto_pad = "SAME_UPPER", strides = [2, 2]',
         ', auto_pad = "SAME_LOWER", strides = [2, 2]'))),
    attribute("LpPool", "x", "kernel_shape = [2, 2]", "kernel_shape = [2, 2], p = 1", IMAGE), attribute("GlobalLpPool",
         "x", "", "p = 1", IMAGE),
    pair("maximum and mean of an image", IMAGE, "y = GlobalMaxPool(x)", "y = GlobalAveragePool(x)"),
    pair("places of a maximum", "(float[1, 1, 4, 6] x) => (int64[A, B, C, D] y)",
         "p, y = MaxPool<kernel_shape=[2, 2]>(x)",
         "p, y = MaxPool<kernel_shape=[2, 2], storage_order=1>(x)"),
    *(attribute("LRN", "x", "size = 3", f"size = 3, {two}", IMAGE, feeds={"x": 40 * normal(2, 4, 6,
         8)}) for two in ("alpha = 0.001", "beta = 0.5", "bias = 2.0")),
    attribute("LRN", "x", "size = 3", "size = 4", IMAGE, feeds={"x": 40 * normal(2, 4, 6, 8)}),
]  # fmt: skip
NORMS = [
    attribute("BatchNormalization", "x, g, b, m, v", "", "epsilon = 0.01", IMAGE, **NORM),
    slot("BatchNormalization", "x, g, b, m, v", "v", but(NORM["v"], 3, 3), IMAGE, **NORM),
    pair("mean and variance exchanged", IMAGE, "y = BatchNormalization(x, g, b, m, v)",
         "y = BatchNormalization(x, g, b, v, m0)", **NORM, m0=np.abs(NORM["m"])),
    pair("gain and bias exchanged", IMAGE, "y = BatchNormalization(x, g, b, m, v)",
         "y = BatchNormalization(x, b, g, m, v)", **NORM),
    attribute("InstanceNormalization", "x, g, b", "", "epsilon = 0.1", IMAGE, g=NORM["g"], b=NORM["b"]),
    attribute("LayerNormalization", "x, g", "axis = 2", "axis = 1", "(float[N, 8, 8] x) => (float[N, 8, 8] y)",
         g=normal(8)),
    attribute("LayerNormalization", "x, g, b", "", "epsilon = 0.1", g=normal(8), b=normal(8)),
    slot("LayerNormalization", "x, g, b", "b", but(normal(8), 7, 3), g=normal(8), b=normal(8)),
    pair("mean of a norm", "(float[N, 6, 8] x) => (float[N, 6, 1] y)", "a, y, c = LayerNormalization(x, g)",
         "a, c, y = LayerNormalization(x, g)", g=normal(8)),
    attribute("GroupNormalization", "x, g, b", "num_groups = 2", "num_groups = 1", IMAGE, g=normal(4), b=normal(4),
         opset=21),
    attribute("GroupNormalization", "x, g, b", "num_groups = 2", "num_groups = 2, epsilon = 0.1", IMAGE, g=normal(4),
         b=normal(4), opset=21),
    attribute("RMSNormalization", "x, g", "", "epsilon = 0.1", g=normal(8), opset=23), attribute("RMSNormalization",
         "x, g", "axis = 2", "axis = 1", g=normal(8), opset=23),
    pair("norm with and without a mean", CUBE, "y = RMSNormalization(x, g)", "y = LayerNormalization(x, g)",
         g=normal(8), opset=23),
    attribute("MeanVarianceNormalization", "x", "", "axes = [0, 2]", IMAGE),
    pair("instance and group", IMAGE, "y = InstanceNormalization(x, g, b)",
         "y = GroupNormalization<num_groups=2>(x, g, b)", g=normal(4), b=normal(4), opset=21),
]  # fmt: skip
IMAGES = [
    *(attribute("Resize", RESIZE, one, two, SMALL, S=scale, opset=19) for scale in (MORE, HALF) for one, two in (
        ('mode = "linear"', 'mode = "cubic"'), ('mode = "linear"', 'mode = "linear", coordinate_transformation_mode = '
         '"asymmetric"'),
        ('mode = "linear", coordinate_transformation_mode = "align_corners"', 'mode = "linear"'), ('mode = "cubic"',
         'mode = "cubic", cubic_coeff_a = -0.5'),
        ('mode = "cubic"', 'mode = "cubic", exclude_outside = 1'))),
    *(attribute("Resize", RESIZE, one, two, SMALL, S=np.array([1, 1, 1.7, 2.5], "f4"), opset=19) for one, two in (
        ("", 'nearest_mode = "floor"'), ("", 'nearest_mode = "ceil"'), ("",
         'coordinate_transformation_mode = "asymmetric"'), ("", 'mode = "linear"'))),
    attribute("Resize", RESIZE, "", 'nearest_mode = "round_prefer_ceil"', SMALL, S=HALF),
    attribute("Resize", RESIZE, 'mode = "linear"', 'mode = "linear", antialias = 1', SMALL, S=HALF),
    slot("Resize", RESIZE, "S", np.array([1, 1, 2, 3], "f4"), SMALL, S=np.array([1, 1, 2, 2], "f4")),
    attribute("Upsample", "x, S", 'mode = "nearest"', 'mode = "linear"', SMALL, opset=9, S=np.array([1, 1, 2, 2],
         "f4")),
    *(attribute("GridSample", "x, G", one, two, SMALL, G=1.5 * normal(1, 5, 5, 2), opset=16) for one, two in (
        ("", "align_corners = 1"), ("", 'mode = "nearest"'), ("", 'padding_mode = "border"'),
         ('padding_mode = "border"', 'padding_mode = "reflection"'))),
    attribute("RoiAlign", "x, R, I", "output_height = 2, output_width = 2",
         "output_height = 2, output_width = 2, spatial_scale = 0.5", SMALL,
              R=np.array([[0, 0, 4, 4]], "f4"), I=np.array([0])),
    attribute("RoiAlign", "x, R, I", "output_height = 2, output_width = 2",
         'output_height = 2, output_width = 2, mode = "max"', SMALL,
              R=np.array([[0, 0, 4, 4]], "f4"), I=np.array([0])),
    attribute("AffineGrid", "x, s", "", "align_corners = 1", "(float[1, 2, 3] x) => (float[A, B, C, D] y)",
         s=np.array([1, 1, 3, 4]), opset=20),
    attribute("Col2Im", "x, s, k", "pads = [1, 0, 0, 0], strides = [1, 1]", "pads = [0, 0, 1, 0], strides = [1, 1]",
         "(float[1, 4, 6] x) => (float[A, B, C, D] y)",
              s=np.array([3, 3]), k=np.array([2, 2])),
    # where runtimes differ
    pair("nearest pixel by rounding", "(float[1, 2, 9, 11] x) => (float[A, B, C, D] y)",
         "y = Resize<mode=\"nearest\", nearest_mode=\"floor\">(x, , S)", "y = Gather<axis=3>(x, k)", opset=19,
         S=np.array([1, 1, 1, 0.6], "f4"), k=np.array([0, 1, 3, 5, 6, 8])),
    pair("padding for a window with gaps", "(float[1, 2, 9, 11] x) => (float[A, B, C, D] y)",
         "y = MaxPool<kernel_shape=[3, 2], auto_pad=\"SAME_UPPER\", dilations=[2, 2]>(x)",
         "y = MaxPool<kernel_shape=[3, 2], pads=[2, 1, 2, 1], dilations=[2, 2]>(x)"),
]  # fmt: skip
RECURRENT = [
    recurrent("LSTM", 4, "hidden_size = 8", 'hidden_size = 8, direction = "reverse"'),
    recurrent("LSTM", 4, "hidden_size = 8", "hidden_size = 8, clip = 0.1"), recurrent("LSTM", 4, "hidden_size = 8",
         "hidden_size = 8, input_forget = 1"),
    recurrent("LSTM", 4, "hidden_size = 8", 'hidden_size = 8, activations = ["Sigmoid", "Tanh", "Relu"]'),
    recurrent("GRU", 3, "hidden_size = 8", "hidden_size = 8, linear_before_reset = 1"), recurrent("GRU", 3,
         "hidden_size = 8", 'hidden_size = 8, direction = "reverse"'),
    recurrent("GRU", 3, "hidden_size = 8", 'hidden_size = 8, activations = ["HardSigmoid", "Tanh"]'),
    recurrent("RNN", 1, "hidden_size = 8", 'hidden_size = 8, activations = ["Relu"]'), recurrent("RNN", 1,
         "hidden_size = 8", "hidden_size = 8, clip = 0.1"),
    recurrent("RNN", 1, 'hidden_size = 8, activations = ["LeakyRelu"], activation_alpha = [0.1]',
         'hidden_size = 8, activations = ["LeakyRelu"], activation_alpha = [0.2]'),
    *(pair(f"{name} of a sequence's length", STEPS, f"y = {name}<hidden_size=8>(x, M, R, B, n)", M=normal(1, 8 * gates,
         8), R=normal(1, 8 * gates, 8),
           B=normal(1, 16 * gates), n=np.array([3, 3], "i4"), changed={"n": np.array([3, 2], "i4")}) for name,
           gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1))),
    *(pair(f"{name} with another first state", STEPS, f"y = {name}<hidden_size=8>(x, M, R, B, , h)", M=normal(1,
         8 * gates, 8), R=normal(1, 8 * gates, 8),
           B=normal(1, 16 * gates), h=np.zeros((1, 2, 8), "f4"), changed={"h": but(np.zeros((1, 2, 8), "f4"), (0, 1,
           7), 1)})
      for name, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1))),
    pair("LSTM's state and its cell", "(float[3, 2, 8] x) => (float[1, 2, 8] y)",
         "a, y, c = LSTM<hidden_size=8>(x, M, R, B)", "a, c, y = LSTM<hidden_size=8>(x, M, R, B)",
         M=normal(1, 32, 8), R=normal(1, 32, 8), B=normal(1, 64)),
    pair("LSTM's peepholes", STEPS, "y = LSTM<hidden_size=8>(x, M, R, B, , , , p)", M=normal(1, 32, 8), R=normal(1, 32,
         8), B=normal(1, 64), p=normal(1, 24),
         changed={"p": but(normal(1, 24), (0, 23), 4)}),
    pair("LSTM's gates in another order", STEPS, "y = LSTM<hidden_size=8>(x, M, R)", M=normal(1, 32, 8), R=normal(1,
         32, 8),
         changed={"M": np.roll(normal(1, 32, 8), 8, 1), "R": np.roll(normal(1, 32, 8), 8, 1)}),
    pair("LSTM's directions exchanged", STEPS, 'y = LSTM<hidden_size=8, direction="bidirectional">(x, M, R)',
         M=normal(2, 32, 8), R=normal(2, 32, 8),
         changed={"M": normal(2, 32, 8)[::-1], "R": normal(2, 32, 8)[::-1]}),
    pair("LSTM's last weight", STEPS, "y = LSTM<hidden_size=8>(x, M, R)", M=normal(1, 32, 8), R=normal(1, 32, 8),
         changed={"R": but(normal(1, 32, 8), (0, 31, 7), 3)}),
]  # fmt: skip
ATTENTION = [
    *(attribute("Attention", "x, x, x", f"q_num_heads = 2, kv_num_heads = 2{one}",
         f"q_num_heads = 2, kv_num_heads = 2{two}", opset=23) for one, two in (
        ("", ", is_causal = 1"), ("", ", scale = 1.0"), ("", ", softcap = 1.0"), (", softcap = 1.0",
         ", softcap = 2.0"))),
    pair("heads of attention", CUBE, "y = Attention<q_num_heads=2, kv_num_heads=2>(x, x, x)",
         "y = Attention<q_num_heads=4, kv_num_heads=4>(x, x, x)", opset=23),
    pair("mask of attention", CUBE, "y = Attention<q_num_heads=2, kv_num_heads=2>(x, x, x, m)", m=np.zeros((6, 6),
         "f4"), changed={"m": but(np.zeros((6, 6), "f4"), (5, 5), -9)}, opset=23),
    pair("mask of decisions and of numbers", CUBE, "y = Attention<q_num_heads=2, kv_num_heads=2>(x, x, x, m)",
         m=np.tri(6, dtype=bool), changed={"m": np.tri(6, dtype="f4")}, opset=23),
    pair("keys for values", CUBE, "n = Neg(x) y = Attention<q_num_heads=2, kv_num_heads=2>(x, x, n)",
         "n = Neg(x) y = Attention<q_num_heads=2, kv_num_heads=2>(x, n, x)", opset=23),
    attribute("RotaryEmbedding", "x, c, s", "", "interleaved = 1", "(float[1, 2, 6, 8] x) => (float[A, B, C, D] y)",
         c=np.cos(normal(1, 6, 4)), s=np.sin(normal(1, 6, 4)), opset=23),
    attribute("RotaryEmbedding", "x, c, s", "rotary_embedding_dim = 4", "rotary_embedding_dim = 4, interleaved = 1",
         "(float[1, 2, 6, 8] x) => (float[A, B, C, D] y)",
              c=np.cos(normal(1, 6, 2)), s=np.sin(normal(1, 6, 2)), opset=23),
    slot("RotaryEmbedding", "x, c, s", "s", but(np.sin(normal(1, 6, 4)), (0, 5, 3), 0),
         "(float[1, 2, 6, 8] x) => (float[A, B, C, D] y)",
         c=np.cos(normal(1, 6, 4)), s=np.sin(normal(1, 6, 4)), opset=23),
    *(attribute("com.microsoft.MultiHeadAttention", "x, x, x", f"num_heads = 2{one}", f"num_heads = 2{two}",
         imports=MICROSOFT) for one, two in (
        ("", ", scale = 1.0"), ("", ", unidirectional = 1"))),
    attribute("com.microsoft.MultiHeadAttention", "x, x, x", "num_heads = 2", "num_heads = 4", imports=MICROSOFT),
    attribute("com.microsoft.Attention", "x, Q, c", "num_heads = 2", "num_heads = 2, unidirectional = 1",
         imports=MICROSOFT, Q=normal(8, 24), c=normal(24)),
    attribute("com.microsoft.Attention", "x, Q, c", "num_heads = 2", "num_heads = 4", imports=MICROSOFT, Q=normal(8,
         24), c=normal(24)),
    attribute("com.microsoft.Attention", "x, Q, c", "num_heads = 2", "num_heads = 2, scale = 1.0", imports=MICROSOFT,
         Q=normal(8, 24), c=normal(24)),
    attribute("com.microsoft.SkipLayerNormalization", "x, x, g", "", "epsilon = 0.1", imports=MICROSOFT, g=normal(8)),
    attribute("com.microsoft.QuickGelu", "x", "", "alpha = 1.0", ROWS, imports=MICROSOFT),
    pair("exact and fast Gelu", ROWS, "y = com.microsoft.Gelu(x)", "y = com.microsoft.FastGelu(x)", imports=MICROSOFT,
         feeds={"x": 2.3 * normal(20, 8)}),
    attribute("com.microsoft.FusedMatMul", "x, W", "", "alpha = 2.0", ROWS, imports=MICROSOFT, W=W),
         attribute("com.microsoft.FusedMatMul", "x, W", "", "transB = 1", ROWS, imports=MICROSOFT, W=W),
    attribute("com.microsoft.FusedConv", "x, K", 'activation = "Relu"', 'activation = "Sigmoid"', IMAGE,
         imports=MICROSOFT, K=K),
    attribute("com.microsoft.FusedConv", "x, K", 'activation = "LeakyRelu", activation_params = [0.1]',
         'activation = "LeakyRelu", activation_params = [0.2]', IMAGE, imports=MICROSOFT, K=K),
    pair("fused and plain convolution", IMAGE, 'y = com.microsoft.FusedConv<activation="Relu">(x, K)',
         "y = Conv(x, K)", imports=MICROSOFT, K=K),
    pair("window of grouped attention", "(float[1, 6, 32] x) => (float[A, B, C] y)",
         "y, k, v = com.microsoft.GroupQueryAttention<num_heads=2, kv_num_heads=2>(x, x, x, , , n, t)",
         "y, k, v = com.microsoft.GroupQueryAttention<num_heads=2, kv_num_heads=2, local_window_size=3>(x, x, x, , , "
         "n, t)", imports=MICROSOFT,
         n=np.array([5], "i4"), t=np.int32(6)),
]  # fmt: skip
VERSIONS = [
    pair("softmax of version 12 and 13", CUBE, "y = Softmax(x)", opset=12, student_opset=13),
         pair("logsoftmax of version 12 and 13", CUBE, "y = LogSoftmax(x)", opset=12, student_opset=13),
    pair("hardmax of version 12 and 13", CUBE, "y = Hardmax(x)", opset=12, student_opset=13),
    pair("softmax of version 12 over another axis", CUBE, "y = Softmax<axis=1>(x)", opset=12, student_opset=13),
    pair("axis of an addition of version 6", "(float[4, 4] x) => (float[4, 4] y)",
         "y = Add<broadcast=1, axis=0>(x, b)", "y = Add<broadcast=1, axis=1>(x, b)", opset=6, b=normal(4),
         specified=True),
    pair("training in a version 6 norm", IMAGE, "y = BatchNormalization<is_test=1>(x, g, b, m, v)",
         "y = BatchNormalization<is_test=0>(x, g, b, m, v)", opset=6, **NORM),
    pair("spatial norm of version 7", IMAGE, "y = BatchNormalization(x, g, b, m, v)",
         "y = BatchNormalization<spatial=0>(x, g, b, m, v)", opset=7, **NORM,
         changed={k: np.broadcast_to(v[:, None, None], (4, 6, 8)).copy() * np.linspace(1, 2, 8, dtype="f4") for k,
         v in NORM.items()}),
    pair("clip of version 6", ROWS, "y = Clip<min=0.0, max=6.0>(x)", "y = Clip<min=0.0>(x)", opset=6,
         feeds={"x": 20 * normal(2, 8)}),
    pair("clip of version 6 without a bound", ROWS, "y = Clip<max=0.5>(x)", "y = Clip<min=0.5>(x)", opset=6),
    pair("group norm of version 18 and 21", IMAGE, "y = GroupNormalization<num_groups=2>(x, g, b)", g=normal(2),
         b=normal(2), opset=18, student_opset=21,
         changed={"g": normal(4, seed=5), "b": normal(4, seed=6)}),
    pair("pad of version 2", CUBE, "y = Pad<pads=[0, 0, 1, 0, 0, 0]>(x)", "y = Pad<pads=[0, 0, 0, 0, 0, 1]>(x)",
         opset=10),
    pair("pad of version 2 with a value", CUBE, "y = Pad<pads=[0, 0, 1, 0, 0, 0]>(x)",
         "y = Pad<pads=[0, 0, 1, 0, 0, 0], value=1.0>(x)", opset=10),
    pair("slice of version 1", CUBE, "y = Slice<axes=[2], starts=[0], ends=[4]>(x)",
         "y = Slice<axes=[2], starts=[4], ends=[8]>(x)", opset=9),
    pair("largest of version 1", "(float[N, 8] x) => (float[N, 3] y)", "y, i = TopK<k=3>(x)",
         "a, i = TopK<k=3>(x) y = Neg(a)", opset=9),
    pair("resize of version 10 and 11", SMALL, 'y = Resize<mode="linear">(x, S)',
         'r = Resize<mode="linear">(x, S) y = Neg(r)', opset=10, S=np.array([1, 1, 2, 2], "f4")),
    *(pair(f"bound of version 6 at the wrong end, {bound}", ROWS, "y = Clip(x)", opset=10,
           edit=lambda model, name=name, number=number: model.graph.node[0].attribute.append(
               helper.make_attribute(name, number)))
      for name, number in (("min", 3.4028234663852886e38), ("max", -3.4028234663852886e38), ("min", np.inf),
                           ("max", -np.inf), ("min", np.nan))
      for bound in (f"{name}={number:.1g}",)),
    pair("constant of an attribute", ROWS, "c = Constant<value_float=1.0>() y = Mul(x, c)",
         "c = Constant<value_float=2.0>() y = Mul(x, c)"),
    pair("constant of a list", ROWS, "c = Constant<value_floats=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]>() y = "
         "Mul(x, c)",
         "c = Constant<value_floats=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0]>() y = Mul(x, c)"),
    pair("axes of a constant", CUBE, "c = Constant<value_ints=[1]>() y = ReduceSum(x, c)",
         "c = Constant<value_ints=[2]>() y = ReduceSum(x, c)"),
]  # fmt: skip
LIES = [*ACTIVATIONS, *SHAPES, *MATRICES, *NORMS, *IMAGES, *RECURRENT, *ATTENTION, *VERSIONS]
