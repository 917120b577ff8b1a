"""Every operator that exports know, as small graphs whose results ONNX Runtime says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

_RNG = np.random.default_rng(0)


def _drawn(*shape: int) -> np.ndarray:
    return _RNG.standard_normal(shape, np.float32)


def _bytes(*shape: int) -> np.ndarray:
    return _RNG.integers(0, 255, shape).astype(np.uint8)


FEEDS: Mapping[str, np.ndarray] = {
    "x": _drawn(2, 3, 4),
    "y": _drawn(2, 3, 4),
    "within": _RNG.uniform(-0.9, 0.9, (2, 3, 4)).astype(np.float32),
    "above": _RNG.uniform(1.1, 3, (2, 3, 4)).astype(np.float32),
    "odd": np.array([[np.inf, -np.inf, np.nan, 1]], np.float32),
    "p": _drawn(2, 3, 4) > 0,
    "q": _drawn(2, 3, 4) > 0,
    "i": _RNG.integers(-9, 9, (2, 3, 4)),
    "j": _RNG.integers(1, 5, (2, 3, 4)),
    "bits": _RNG.integers(0, 16, (2, 3)).astype(np.uint8),
    "few": _RNG.integers(0, 4, (2, 3)).astype(np.uint8),
    "matrix": _drawn(3, 4),
    "square": _drawn(4, 4),
    "image": _drawn(1, 4, 6, 6),
    "bytes": _bytes(1, 4, 6, 6),
    "rows": _bytes(3, 4),
    "grid": _RNG.uniform(-1.2, 1.2, (1, 3, 5, 2)).astype(np.float32),
    "heads": _drawn(1, 2, 3, 8),
    "flat": _drawn(1, 3, 8),
    "steps": _drawn(4, 2, 3),
    "ids": _RNG.integers(0, 5, (1, 3)).astype(np.int32),
}
"""What inputs of these names are."""


@dataclass(frozen=True)
class Computed:
    """A graph and what is constant in it.

    Attributes:
        text: Its nodes. Inputs are those of ``FEEDS`` that it names, and what it makes is called ``z``.
        constants: Its constants; a tuple is a random weight of that shape, a float32 is meant by a float.
        opset: The version of ONNX's operators.
    """

    text: str
    constants: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 21

    @property
    def feed(self) -> dict[str, np.ndarray]:
        """What goes in."""
        words = re.findall(r"\w+", re.sub("<.*?>", "", self.text))
        return {name: FEEDS[name] for name in dict.fromkeys(words) if name in FEEDS}

    @property
    def model(self) -> onnx.ModelProto:
        """The graph as a model."""
        inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
                  for name, array in self.feed.items()]  # fmt: skip
        graph = parser.parse_graph(f"probe () => () {{ {self.text} }}")
        made = {output for node in graph.node for output in node.output}
        graph.input.extend(inputs)
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(made) if name.startswith("z"))
        rng = np.random.default_rng(len(self.text))
        for name, value in self.constants.items():
            array = rng.standard_normal(value, np.float32) if isinstance(value, tuple) else np.asarray(value)
            array = array.astype(np.float32) if array.dtype == np.float64 else array
            graph.initializer.append(numpy_helper.from_array(array, name))
        domains = {"": self.opset} | {node.domain: 1 for node in graph.node if node.domain}
        imports = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)


def computed(text: str, opset: int = 21, **constants: Any) -> Computed:
    """Make a case: ``computed("z = Tile(x, n)", n=[1, 2, 1])``."""
    return Computed(text, constants, opset)


def _each(names: str, *arguments: str) -> dict[str, list[Computed]]:
    return {name: [computed(f"z = {name}({', '.join(arguments)})")] for name in names.split()}


def _reductions(names: str) -> dict[str, list[Computed]]:
    text = "z = {0}(x, axes) z2 = {0}<keepdims = 0>(x) z3 = {0}<noop_with_empty_axes = 1>(x)"
    return {name: [computed(text.format(name), axes=[-1, 0])] for name in names.split()}


ZEROS = {"o": np.array(120, np.uint8), "u": np.array(130, np.uint8)}
QUANTISED = {"s": 0.02, "t": 0.03, **ZEROS}
CELL = '<hidden_size = 5, direction = "bidirectional"'

COMPUTED: dict[str, list[Computed]] = {
    **_each("Abs Ceil Celu Cos Cosh Elu Erf Exp Floor HardSigmoid HardSwish Identity LeakyRelu Mish Neg Relu", "x"),
    **_each("Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Tan Tanh ThresholdedRelu", "x"),
    **_each("LogSoftmax Softmax Hardmax LpNormalization", "x"),
    **_each("Acos Asin Atan Atanh", "within"),
    **_each("Acosh Asinh Log Reciprocal Sqrt", "above"),
    **_each("Equal", "i", "j"),
    **_each("Greater GreaterOrEqual Less LessOrEqual Add Mul Sub Max Mean Min Sum", "x", "y"),
    **_each("And Or Xor", "p", "q"),
    **_each("BitwiseAnd BitwiseOr BitwiseXor", "bits", "few"),
    **_each("BitwiseNot", "bits"),
    **_each("Not NonZero", "p"),
    **_each("IsInf IsNaN", "odd"),
    **_each("GlobalAveragePool GlobalLpPool GlobalMaxPool MeanVarianceNormalization", "image"),
    **_reductions("ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum"),
    **_reductions("ReduceSumSquare"),
    "ReduceLogSum": [computed("z = ReduceLogSum(above, axes)", axes=[1])],
    "Affine": [computed("z = Affine<alpha = 2.0, beta = 1.0>(x)", 7)],
    "ArgMax": [computed("z = ArgMax<axis = 1>(x) z2 = ArgMax<axis = -1, keepdims = 0, select_last_index = 1>(j)")],
    "ArgMin": [computed("z = ArgMin<axis = 1>(x) z2 = ArgMin<axis = -1, keepdims = 0, select_last_index = 1>(j)")],
    "Attention": [
        computed("z = Attention<is_causal = 1>(heads, heads, heads)", 23),
        computed("z = Attention<q_num_heads = 4, kv_num_heads = 2, softcap = 3.0>(flat, k, k, mask)", 23, k=(1, 5, 4),
                 mask=(3, 5)),
    ],
    "AveragePool": [
        computed("z = AveragePool<kernel_shape = [3, 3], strides = [2, 2], pads = [0, 1, 1, 1], ceil_mode = 1>(image)"),
        computed('z = AveragePool<kernel_shape = [3, 3], auto_pad = "SAME_LOWER", count_include_pad = 1>(image)'),
    ],
    "BitShift": [
        computed('z = BitShift<direction = "LEFT">(bits, few) z2 = BitShift<direction = "RIGHT">(bits, few)')
    ],
    "Cast": [computed("z = Cast<to = 7>(x) z2 = Cast<to = 1>(p) z3 = Cast<to = 9>(i)")],
    "CastLike": [computed("z = CastLike(i, x)")],
    "CenterCropPad": [computed("z = CenterCropPad<axes = [1, 2]>(x, shape)", shape=[2, 7])],
    "Clip": [
        computed("z = Clip(x, low, high) z2 = Clip(x, , high)", low=-0.5, high=0.25),
        computed("z = Clip<min = -0.5>(x)", 6),
    ],
    "Compress": [
        computed("z = Compress<axis = 1>(x, c) z2 = Compress(x, c)", c=[True, False, True]),
    ],
    "Concat": [computed("z = Concat<axis = -2>(x, y)")],
    "ConcatFromSequence": [
        computed("s = SequenceConstruct(x, y) z = ConcatFromSequence<axis = 1>(s) "
                 "z2 = ConcatFromSequence<axis = 1, new_axis = 1>(s)")
    ],
    "ConstantOfShape": [computed("a = ConstantOfShape<value = float[1] {3.0}>(n) z = Mul(a, x)", n=[3, 4])],
    "Conv": [
        computed("z = Conv<group = 2, pads = [1, 0, 1, 2], strides = [2, 1], dilations = [1, 2]>(image, w, b)",
                 w=(6, 2, 3, 3), b=(6,)),
        computed('z = Conv<auto_pad = "SAME_UPPER", strides = [2]>(x, w)', w=(2, 3, 3)),
    ],
    "ConvInteger": [
        computed("z = ConvInteger<pads = [1, 1, 1, 1]>(bytes, w, o, u)", w=_bytes(2, 4, 3, 3), **ZEROS)
    ],
    "ConvTranspose": [
        computed("z = ConvTranspose<group = 2, strides = [2, 2], pads = [1, 0, 1, 1], output_padding = [1, 0]>"
                 "(image, w, b)", w=(4, 3, 3, 3), b=(6,)),
    ],
    "Crop": [computed("z = Crop<border = [1, 2, 1, 0]>(image)", 7)],
    "CumSum": [computed("z = CumSum(x, a) z2 = CumSum<exclusive = 1, reverse = 1>(x, a)", a=1)],
    "DepthToSpace": [
        computed('z = DepthToSpace<blocksize = 2>(image) z2 = DepthToSpace<blocksize = 2, mode = "CRD">(image)')
    ],
    "DequantizeLinear": [
        computed("z = DequantizeLinear<axis = 1>(bytes, s, o)", s=[0.1, 0.2, 0.3, 0.4],
                 o=np.array([1, 2, 3, 4], np.uint8)),
    ],
    "Div": [computed("z = Div(x, above) z2 = Div(i, j)")],
    "DynamicQuantizeLinear": [computed("z, z2, z3 = DynamicQuantizeLinear(x)")],
    "Einsum": [computed('z = Einsum<equation = "b i k, b j k -> b i j">(x, y)')],
    "Expand": [computed("z = Expand(matrix, n)", n=[2, 1, 4])],
    "EyeLike": [computed("z = EyeLike<k = 1, dtype = 1>(matrix) z2 = EyeLike<k = -1>(matrix)")],
    "Flatten": [computed("z = Flatten(x) z2 = Flatten<axis = -1>(x) z3 = Flatten<axis = 0>(x)")],
    "GRU": [
        computed(f"z, z2 = GRU{CELL}, linear_before_reset = 1>(steps, w, r, b)", w=(2, 15, 3), r=(2, 15, 5), b=(2, 30)),
        computed("z, z2 = GRU<hidden_size = 5, clip = 0.7>(steps, w, r, b, n)", w=(1, 15, 3), r=(1, 15, 5), b=(1, 30),
                 n=np.array([4, 2], np.int32)),
    ],
    "Gather": [
        computed("z = Gather<axis = -1>(x, k) z2 = Gather(matrix, k)", k=[[0, -1], [2, 1]]),
        computed("z = Gather<axis = 1>(x, k)", k=2),
    ],
    "GatherElements": [computed("z = GatherElements<axis = 1>(x, k)", k=[[[0, -1], [2, 2]]])],
    "GatherND": [computed("z = GatherND(x, k) z2 = GatherND<batch_dims = 1>(x, k)", k=[[0, 1], [1, -1]])],
    "Gelu": [computed('z = Gelu(x) z2 = Gelu<approximate = "tanh">(x)')],
    "Gemm": [
        computed("z = Gemm(matrix, square, c) z2 = Gemm<alpha = 0.5, beta = 2.0, transA = 1>(matrix, matrix, square)",
                 c=(4,)),
    ],
    "GridSample": [
        computed(f'z = GridSample<mode = "{mode}", padding_mode = "{around}", align_corners = {corners}>(image, grid)')
        for mode, around, corners in (
            ("linear", "zeros", 0), ("linear", "reflection", 1), ("linear", "border", 0), ("nearest", "reflection", 0),
            ("cubic", "zeros", 1), ("cubic", "border", 0), ("cubic", "reflection", 0),
        )
    ],
    "GroupNormalization": [computed("z = GroupNormalization<num_groups = 2>(image, s, b)", s=(4,), b=(4,))],
    "ImageScaler": [computed("z = ImageScaler<scale = 2.0, bias = [1.0, 2.0, 3.0, 4.0]>(image)", 7)],
    "InstanceNormalization": [computed("z = InstanceNormalization(image, s, b)", s=(4,), b=(4,))],
    "LRN": [computed("z = LRN<size = 3, alpha = 0.1>(image)")],
    "LSTM": [
        computed(f"z, z2, z3 = LSTM{CELL}>(steps, w, r, b)", w=(2, 20, 3), r=(2, 20, 5), b=(2, 40)),
        computed('z, z2 = LSTM<hidden_size = 5, direction = "reverse">(steps, w, r, , n, , , p0)', w=(1, 20, 3),
                 r=(1, 20, 5), n=np.array([4, 2], np.int32), p0=(1, 15)),
    ],
    "LayerNormalization": [computed("z = LayerNormalization<axis = 1>(x, s, b)", s=(3, 4), b=(3, 4))],
    "LpPool": [computed("z = LpPool<kernel_shape = [3, 2], strides = [2, 2], p = 3>(image)")],
    "MatMul": [computed("z = MatMul(x, square) z2 = MatMul(x, v)", v=(4,))],
    "MatMulInteger": [computed("z = MatMulInteger(rows, w, o, u)", w=_bytes(4, 5), **ZEROS)],
    "MaxPool": [
        computed("z = MaxPool<kernel_shape = [3, 2], strides = [2, 2], pads = [1, 0, 1, 1], ceil_mode = 1>(image)"),
        *(computed(f"z, z2 = MaxPool<kernel_shape = [3, 3], strides = [2, 2], storage_order = {k}, "
                   "pads = [1, 0, 1, 1]>(image)") for k in (0, 1)),
    ],
    "Mod": [computed("z = Mod(i, j) z2 = Mod<fmod = 1>(i, j) z3 = Mod<fmod = 1>(x, above)")],
    "OneHot": [computed("z = OneHot<axis = 1>(i, n, values)", n=7, values=[0.5, 2.0])],
    "PRelu": [computed("z = PRelu(x, s)", s=(3, 1)), computed("z = PRelu(image, s)", 6, s=(4,))],
    "Pad": [
        computed("z = Pad(x, n, v, a)", n=[1, -1, 2, 0], v=0.5, a=[-1, 1]),
        *(computed(f'z = Pad<mode = "{mode}">(image, n)', n=[0, 0, 2, -1, 0, 0, 3, 3])
          for mode in ("reflect", "edge", "wrap")),
    ],
    "Pow": [computed("z = Pow(above, x) z2 = Pow(x, two) z3 = Pow(j, two)", two=2.0)],
    "QLinearConv": [
        computed("z = QLinearConv<pads = [1, 1, 1, 1]>(bytes, s, o, w, t, u, large, u, b)", large=2.5,
                 w=_bytes(2, 4, 3, 3), b=np.array([50, -50], np.int32), **QUANTISED)
    ],
    "QLinearMatMul": [
        computed("z = QLinearMatMul(rows, s, o, w, t, u, large, u)", large=0.5,
                 w=_bytes(4, 5), **QUANTISED)
    ],
    "QuantizeLinear": [computed("z = QuantizeLinear<axis = 1>(x, s, o)", s=[0.1, 0.2, 0.3],
                                o=np.array([100, 120, 140], np.uint8))],
    "RMSNormalization": [computed("z = RMSNormalization(x, s)", 23, s=(4,))],
    "RNN": [
        computed('z, z2 = RNN<hidden_size = 5, direction = "reverse">(steps, w, r, b, n)', w=(1, 5, 3), r=(1, 5, 5),
                 b=(1, 10), n=np.array([4, 2], np.int32)),
        computed(f'z, z2 = RNN{CELL}, activations = ["Relu", "Softsign"]>(steps, w, r, b)', w=(2, 5, 3),
                 r=(2, 5, 5), b=(2, 10)),
    ],
    "Range": [computed("a = Range(start, limit, delta) z = Mul(a, x)", start=1.0, limit=9.0, delta=2.0)],
    "Reshape": [computed("z = Reshape(x, n)", n=[0, -1, 2])],
    "Resize": [
        computed('z = Resize<mode = "linear">(image, , n)', n=[1.0, 1.0, 1.5, 2.0]),
        computed('z = Resize<mode = "cubic", exclude_outside = 1>(image, , , n)', n=[1, 4, 9, 4]),
        computed('z = Resize<coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">(image, , n)',
                 n=[1.0, 1.0, 2.0, 2.0]),
    ],
    "ReverseSequence": [computed("z = ReverseSequence<batch_axis = 0, time_axis = 1>(x, n)", n=[3, 2])],
    "RotaryEmbedding": [
        computed(f"z = RotaryEmbedding<interleaved = {k}>(heads, c, s, n)", 23, c=(5, 4), s=(5, 4), n=[[0, 4, 2]])
        for k in (0, 1)
    ],
    "Scale": [computed("z = Scale<scale = 2.0>(x)", 7)],
    "ScaledTanh": [computed("z = ScaledTanh<alpha = 2.0, beta = 0.5>(x)", 7)],
    "Scatter": [computed("z = Scatter<axis = 1>(matrix, k, v)", 9, k=[[1, 3], [0, 2]], v=(2, 2))],
    "ScatterElements": [
        computed(f'z = ScatterElements<axis = 1, reduction = "{how}">(matrix, k, v)', 18, k=[[1, -1], [0, 2]], v=(2, 2))
        for how in ("none", "add", "mul", "max", "min")
    ],
    "ScatterND": [
        computed(f'z = ScatterND<reduction = "{how}">(matrix, k, v)', 18, k=[[1], [-1]], v=(2, 4))
        for how in ("none", "add", "mul", "max", "min")
    ],
    "SequenceAt": [computed("s = SequenceConstruct(x, y) z = SequenceAt(s, n)", n=1)],
    "SequenceConstruct": [computed("s = SequenceConstruct(x, y) z = SequenceAt(s, n)", n=-2)],
    "SequenceLength": [computed("s = SequenceConstruct(x, y) z = SequenceLength(s)")],
    "Shape": [computed("z = Shape<start = 1>(x)")],
    "SimplifiedLayerNormalization": [computed("z = SimplifiedLayerNormalization(x, s)", s=(4,))],
    "Size": [computed("z = Size(x)")],
    "Slice": [
        computed("z = Slice(x, n, m, a, k)", n=[0, -1], m=[2**62, -(2**62)], a=[1, -1], k=[2, -1]),
        computed("z = Slice<starts = [1], ends = [3]>(matrix)", 9),
    ],
    "SpaceToDepth": [computed("z = SpaceToDepth<blocksize = 2>(image)")],
    "Split": [
        computed("z, z2 = Split<axis = -1>(x, n)", n=[1, 3]),
        computed("z, z2, z3 = Split<axis = 2, num_outputs = 3>(image)"),
    ],
    "SplitToSequence": [
        computed("s = SplitToSequence<axis = 2>(x, n) z = SequenceAt(s, k)", n=3, k=1),
        computed("s = SplitToSequence<axis = 1, keepdims = 0>(x) z = SequenceAt(s, k)", k=1),
    ],
    "Squeeze": [computed("a = Unsqueeze(x, n) z = Squeeze(a, n) z2 = Squeeze(a)", n=[0, -1])],
    "Swish": [computed("z = Swish<alpha = 0.5>(x)", 24)],
    "Tile": [computed("z = Tile(x, n)", n=[1, 2, 3])],
    "TopK": [
        computed("z, z2 = TopK(x, n)", n=[2]),
        computed("z, z2 = TopK<axis = 1, largest = 0>(j, n)", n=[3]),
    ],
    "Transpose": [computed("z = Transpose(x) z2 = Transpose<perm = [1, 2, 0]>(x)")],
    "Trilu": [computed("z = Trilu(square, n) z2 = Trilu<upper = 0>(matrix)", n=1)],
    "Unsqueeze": [computed("z = Unsqueeze(x, n)", n=[-1, 0])],
    "Upsample": [computed('z = Upsample<mode = "linear">(image, n)', 9, n=[1.0, 1.0, 2.0, 2.0])],
    "Where": [computed("z = Where(p, x, y)")],
    "com.microsoft.Attention": [computed("z = com.microsoft.Attention<num_heads = 2>(flat, w, b)", w=(8, 24), b=(24,))],
    "com.microsoft.BiasGelu": [computed("z = com.microsoft.BiasGelu(x, b)", b=(4,))],
    "com.microsoft.EmbedLayerNormalization": [
        computed("z, z2 = com.microsoft.EmbedLayerNormalization(ids, kinds, words, places, parts, s, b)",
                 kinds=np.array([[0, 1, 1]], np.int32), words=(5, 8), places=(4, 8), parts=(2, 8), s=(8,), b=(8,))
    ],
    "com.microsoft.FastGelu": [computed("z = com.microsoft.FastGelu(x, b)", b=(4,))],
    "com.microsoft.FusedConv": [
        computed('z = com.microsoft.FusedConv<activation = "Relu">(image, w, b)', w=(6, 4, 3, 3), b=(6,))
    ],
    "com.microsoft.FusedGemm": [
        computed('z = com.microsoft.FusedGemm<activation = "LeakyRelu", activation_alpha = 0.2>(matrix, square, c)',
                 c=(4,))
    ],
    "com.microsoft.FusedMatMul": [computed("z = com.microsoft.FusedMatMul<alpha = 0.5, transB = 1>(x, y)")],
    "com.microsoft.Gelu": [computed("z = com.microsoft.Gelu(x)")],
    "com.microsoft.MultiHeadAttention": [
        computed("z = com.microsoft.MultiHeadAttention<num_heads = 2>(flat, k, v, b)", k=(1, 5, 8), v=(1, 5, 8),
                 b=(24,))
    ],
    "com.microsoft.QGemm": [
        computed("z = com.microsoft.QGemm<alpha = 0.5, transB = 1>(rows, s, o, w, t, u, c, large, u)", large=0.1,
                 w=_bytes(5, 4), c=np.array([9, -9, 99, 0, 1], np.int32), **QUANTISED)
    ],
    "com.microsoft.QLinearAdd": [computed("z = com.microsoft.QLinearAdd(rows, s, o, rows, t, u, large, u)", large=0.1,
                                          **QUANTISED)],
    "com.microsoft.QLinearGlobalAveragePool": [
        computed("z = com.microsoft.QLinearGlobalAveragePool(bytes, s, o, t, u)", **QUANTISED)
    ],
    "com.microsoft.QuickGelu": [computed("z = com.microsoft.QuickGelu(x)")],
    "com.microsoft.SkipLayerNormalization": [
        computed("z = com.microsoft.SkipLayerNormalization(x, y, s, b)", s=(4,), b=(4,))
    ],
    "com.microsoft.SkipSimplifiedLayerNormalization": [
        computed("z = com.microsoft.SkipSimplifiedLayerNormalization(x, y, s)", s=(4,))
    ],
}  # fmt: skip
"""Cases by operator. Several outputs of one graph are several ways of one operator."""

UNKNOWN_TO_ONNX_RUNTIME = frozenset({"PRelu-1", "Scale-0"})
"""Cases that ONNX Runtime has no kernel for: there the frameworks are compared with each other only."""

QUANTISING = frozenset(operator for operator in COMPUTED if re.search("Quantize|QLinear|QGemm", operator))
"""Operators whose whole numbers are rounded."""
