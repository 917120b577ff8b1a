"""One small graph for each idea (operators, lanes, versions, graphs inside of steps), and the golden models.

Every framework computes them, and trains them.
"""

from __future__ import annotations

import json

import numpy as np
import onnx

from helpers.calling import MODELS
from helpers.graphs import model

GOLDEN = json.loads((MODELS / "manifest.json").read_text())

GRAPHS: dict[str, onnx.ModelProto] = {
    "reshape by its own length": model(
        """s = Shape(x) b = Gather(s, zero) r = Concat<axis = 0>(b, rest) h = MatMul(x, w) y = Reshape(h, r)""",
        "float[N,6] x", "float[N,2,4] y", w=(6, 8), zero=np.array([0]), rest=np.array([2, 4]),
    ),
    "slice backwards": model(
        "s = Slice(x, a, b, c, d) y = MatMul(s, w)", "float[N,6] x", "float[N,3] y", w=(6, 3), a=np.array([5]),
        b=np.array([-(2**62)]), c=np.array([1]), d=np.array([-1]),
    ),
    "pools with odd padding": model(
        """a = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]>(x)
        b = AveragePool<kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]>(x)
        c = AveragePool<kernel_shape = [2, 2], strides = [2, 2], auto_pad = "SAME_UPPER">(x)
        s = Sum(a, b, c) y = Conv(s, w)""",
        "float[N,2,8,8] x", "float[N,3,4,4] y", w=(3, 2, 1, 1),
    ),
    "transposed convolution in groups": model(
        """y = ConvTranspose<group = 2, strides = [2, 2], pads = [1, 0, 1, 1], output_padding = [1, 0]>(x, w, b)""",
        "float[N,4,5,5] x", "float[N,6,?,?] y", w=(4, 3, 3, 3), b=(6,),
    ),
    "transposed convolution of a stated size": model(
        """u = ConvTranspose<auto_pad = "SAME_UPPER", strides = [2, 2], output_shape = [10, 8]>(x, w, b)
        v = ConvTranspose<strides = [2, 2], output_shape = [12, 10]>(u, w, b)
        y = ConvTranspose<auto_pad = "VALID", strides = [2, 2], output_shape = [26, 22]>(v, w, b)""",
        "float[N,4,5,4] x", "float[N,4,26,22] y", w=(4, 4, 3, 3), b=(4,),
    ),
    "softmax before version 13": model(
        "h = Softmax(x) y = MatMul(h, w)", "float[N,3,4] x", "float[N,3,5] y", opset=11, w=(4, 5)
    ),
    "resizes": model(
        """a = Resize<mode = "linear", coordinate_transformation_mode = "half_pixel">(x, , scales)
        b = Resize<mode = "cubic", coordinate_transformation_mode = "align_corners">(x, , scales)
        c = Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">(x, , scales)
        s = Sum(a, b, c) y = Conv(s, w)""",
        "float[N,2,4,5] x", "float[N,3,8,15] y", w=(3, 2, 1, 1), scales=[1.0, 1.0, 2.0, 3.0],
    ),
    **{
        f"recurrent in both directions, {way} the reset": model(
            f"""p = Transpose<perm = [1, 0, 2]>(x)
            h, hl, hc = LSTM<direction = "bidirectional", hidden_size = 3>(p, w, r, b)
            t = Transpose<perm = [0, 2, 1, 3]>(h) f = Reshape(t, flat)
            g, gl = GRU<hidden_size = 2, linear_before_reset = {number}>(f, w2, r2, b2) y = Squeeze(gl, axis)""",
            "float[N,5,4] x", "float[N,2] y", w=(2, 12, 4), r=(2, 12, 3), b=(2, 24), w2=(1, 6, 6), r2=(1, 6, 2),
            b2=(1, 12), flat=np.array([0, 0, 6]), axis=np.array([0]),
        )
        for number, way in enumerate(("weights behind", "weights before"))
    },
    "a choice by data": model(
        """s = ReduceSum<keepdims = 0>(x) c = Greater(s, zero)
        y = If(c) <then_branch = a () => (float[N,3] p) { p = MatMul(x, w) },
                   else_branch = b () => (float[N,3] q) { h = MatMul(x, v) q = Neg(h) }>""",
        "float[N,4] x", "float[N,3] y", w=(4, 3), v=(4, 3), zero=np.array(0.0, np.float32),
    ),
    "a loop": model(
        """y, all = Loop(n, , x) <body = b (int64 i, bool c, float[N,4] h) => (bool c2, float[N,4] k, float[N,4] o)
        { c2 = Identity(c) m = MatMul(h, w) k = Tanh(m) o = Identity(k) }>""",
        "float[N,4] x", "float[N,4] y, float[3,N,4] all", w=(4, 4), n=np.array(3),
    ),
    "what ONNX defines by other operators": model(
        "h = MatMul(x, w) a = Celu<alpha = 0.5>(h) b = HardSwish(a) y = ReduceLogSumExp<axes = [1], keepdims = 1>(b)",
        "float[N,4] x", "float[N,1] y", w=(4, 5),
    ),
}  # fmt: skip


def shapes_of(proto: onnx.ModelProto) -> list[list[int]]:
    """The shapes of the inputs that a model is fed; lengths that are free are 3."""
    given = {tensor.name for tensor in proto.graph.initializer}
    return [
        [dim.dim_value or 3 for dim in value.type.tensor_type.shape.dim]
        for value in proto.graph.input
        if value.name not in given
    ]
