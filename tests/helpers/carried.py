"""Small graphs that exporters have got wrong once, or that nothing should make of them: for every framework."""

from __future__ import annotations

import numpy as np
import onnx

from helpers.graphs import model

HIDDEN = np.where(np.arange(4)[:, None] == 1, -np.inf, 0).astype(np.float32) * np.ones((4, 6), np.float32)
"""A mask of (query, key) by which the second query sees nothing."""

GRAPHS: dict[str, onnx.ModelProto] = {
    "attention with a mask and in order": model(
        """y, k2, v2, s = Attention<is_causal = 1, softcap = 2.0, qk_matmul_output_mode = 1>(q, k, v, mask)
        z = Attention<is_causal = 1>(q, k, v, mask)""",
        "float[1,2,4,8] q, float[1,2,6,8] k, float[1,2,6,8] v, float[2,4,6] mask",
        "float[1,2,4,8] y, float[1,2,4,6] s, float[1,2,4,8] z", opset=23,
    ),
    "attention where a query sees nothing": model(
        "y, k2, v2, s = Attention<qk_matmul_output_mode = 3>(q, k, v, mask) z = Attention(q, k, v, mask)",
        "float[1,2,4,8] q, float[1,2,6,8] k, float[1,2,6,8] v",
        "float[1,2,4,8] y, float[1,2,4,6] s, float[1,2,4,8] z", opset=23, mask=HIDDEN,
    ),
    "attention to what is filled": model(
        "y = Attention<is_causal = 1>(q, k, v, , , , filled)", "float[2,2,3,8] q, float[2,2,6,8] k, float[2,2,6,8] v",
        "float[2,2,3,8] y", opset=24, filled=np.array([4, 6]),
    ),
    "what multi-head attention keeps": model(
        "y, k2, v2 = com.microsoft.MultiHeadAttention<num_heads = 2>(q, k, v)",
        "float[1,3,8] q, float[1,3,8] k, float[1,3,8] v", "float[1,3,8] y, float[1,2,3,4] k2, float[1,2,3,4] v2",
    ),
    "pools with gaps": model(
        """a = AveragePool<kernel_shape = [2, 3], dilations = [2, 1], pads = [1, 1, 1, 1], strides = [2, 2],
                           ceil_mode = 1>(x)
        b = AveragePool<kernel_shape = [2, 2], dilations = [2, 2], pads = [1, 0, 1, 1], count_include_pad = 1>(x)
        c = LpPool<kernel_shape = [2, 2], dilations = [3, 2]>(x)""",
        "float[1,2,7,8] x", "float[1,2,4,5] a, float[1,2,7,7] b, float[1,2,4,6] c", opset=19,
    ),
    "pools that begin where nothing is": model(
        """a = AveragePool<kernel_shape = [3, 3], pads = [0, 0, 1, 2], strides = [3, 3], ceil_mode = 1>(x)
        b = MaxPool<kernel_shape = [3, 3], pads = [0, 0, 1, 2], strides = [3, 3], ceil_mode = 1>(x)""",
        "float[1,2,6,7] x", "float[1,2,?,?] a, float[1,2,?,?] b", opset=19,
    ),
    "a definition that depends on types": model(
        'y, z = SoftmaxCrossEntropyLoss<reduction = "none">(x, t)', "float[3,4] x", "float[3] y, float[3,4] z",
        t=np.array([0, 3, 1]),
    ),
    "one number of a vector": model(
        "s = ReduceSum<keepdims = 0>(x, k) g = Gather(s, k0) y = Mul(g, x)", "float[3,4] x", "float[3,4] y",
        k=np.array([0]), k0=np.array(2),
    ),
    "indices beyond both ends": model(
        "h = Mul(x, ten) i = Cast<to = 7>(h) y = OneHot(i, depth, values)", "float[9] x", "float[9,4] y",
        ten=[6.0], depth=np.array(4), values=[0.5, 2.0],
    ),
    "quantised in blocks": model(
        """q = QuantizeLinear<axis = 1, block_size = 2>(x, scale, zero)
        y = DequantizeLinear<axis = 1, block_size = 2>(q, scale, zero)""",
        "float[2,4] x", "float[2,4] y", opset=21, scale=np.array([[0.1, 0.2], [0.3, 0.4]], np.float32),
        zero=np.array([[1, 2], [3, 4]], np.uint8),
    ),
    "the norm of nothing": model(
        "h = Mul(x, some) y = LpNormalization<axis = 1>(h) z = LpNormalization<axis = 1, p = 1>(h)",
        "float[2,3] x", "float[2,3] y, float[2,3] z", some=np.array([[0], [1]], np.float32),
    ),
    "the smallest of unsigned numbers": model(
        "h = Add(x, four) i = Cast<to = 2>(h) a = ArgMin<axis = 1>(i) b = ArgMin<axis = 1, select_last_index = 1>(i)",
        "float[3,5] x", "int64[3,1] a, int64[3,1] b", four=[4.0],
    ),
    "sums before a large number": model(
        "h = Concat<axis = 0>(x, large) y = CumSum<exclusive = 1>(h, zero)", "float[4] x", "float[5] y",
        large=[1e9], zero=np.array(0),
    ),
    "means of whole numbers": model(
        """h = Mul(x, nine) i = Cast<to = 6>(h) m = ReduceMean<axes = [1]>(i) p = ReduceProd<axes = [1]>(i)""",
        "float[3,3] x", "int32[3,1] m, int32[3,1] p", nine=[9.0],
    ),
    "activations with parameters": model(
        """p = Transpose<perm = [1, 0, 2]>(x)
        h, y, c = LSTM<direction = "bidirectional", hidden_size = 3, activation_alpha = [0.3, 0.7, 0.4, 0.9],
            activations = ["Sigmoid", "LeakyRelu", "Affine", "HardSigmoid", "Tanh", "Elu"],
            activation_beta = [0.2, 0.6]>(p, w, r, b)""",
        "float[1,5,4] x", "float[2,1,3] y", w=(2, 12, 4), r=(2, 12, 3), b=(2, 24),
    ),
    "a fused activation with parameters": model(
        """y = com.microsoft.FusedGemm<activation = "HardSigmoid", activation_alpha = 0.3,
                                       activation_beta = 0.1>(x, w)""",
        "float[2,4] x", "float[2,3] y", w=(4, 3),
    ),
    "a length in single precision": model(
        """s = Shape(x) b = Gather(s, one) f = Cast<to = 1>(b) g = Mul(f, factor) h = Floor(g) e = Cast<to = 7>(h)
        z = Slice(x, zero, e, one) y = ReduceSum(z, one) r = Resize<mode = "linear">(x, , scales)""",
        "float[2,10] x", "float[2,1] y, float[2,7] r", one=np.array([1]), zero=np.array([0]), factor=[0.7],
        scales=[1.0, 0.7],
    ),
}  # fmt: skip

REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "statistics of every entry": (
        model(
            "y = BatchNormalization<spatial = 0>(x, s, s, s, s)", "float[N,2] x", "float[N,2] y", opset=7,
            s=np.ones(2, np.float32),
        ),
        "every entry",
    ),
    "statistics of the batch": (
        model(
            "h, m, v = BatchNormalization(x, s, s, s, s) y = Add(h, m)", "float[N,2] x", "float[N,2] y", opset=9,
            s=np.ones(2, np.float32),
        ),
        "statistics",
    ),
    "an input too many": (
        model("y = com.microsoft.Gelu(x, x)", "float[N,2] x", "float[N,2] y"), "no input number 2",
    ),
    "a type of 8 bits": (
        model("h = Cast<to = 17>(x) y = Cast<to = 1>(h)", "float[N,2] x", "float[N,2] y", opset=19), "type",
    ),
    "a type of 4 bits": (
        model("h = Cast<to = 22>(x) y = Cast<to = 1>(h)", "float[N,2] x", "float[N,2] y", opset=21), "type",
    ),
    "an activation of a cell": (
        model(
            'y, h = RNN<hidden_size = 3, activations = ["ScaledTanh"]>(x, w, r)',
            "float[5,1,4] x", "float[5,1,1,3] y", w=(1, 3, 4), r=(1, 3, 3),
        ),
        "ScaledTanh",
    ),
    "a fused activation": (
        model(
            'y = com.microsoft.FusedConv<activation = "HardSwish">(x, w)', "float[1,2,4,4] x", "float[1,3,4,4] y",
            w=(3, 2, 1, 1),
        ),
        "HardSwish",
    ),
}  # fmt: skip
"""Models, and what their refusal says."""
