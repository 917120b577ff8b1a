"""Operators that normalise."""

from __future__ import annotations

import numpy as np

from probes.case import Case, case, flat

CASES: dict[str, list[Case]] = {}

BN = {"s": (12,), "b": (12,), "m": (12,), "v": np.linspace(0.5, 2, 12, dtype=np.float32)}
GN4, GN12 = ({"s": np.linspace(0.5, 2, n, dtype=np.float32), "b": (n,)} for n in (4, 12))
CASES["BatchNormalization"] = [
    case("z = BatchNormalization(h, s, b, m, v)", 12, opset=opset, **BN) for opset in (7, 9, 14, 15)
] + [flat("z = BatchNormalization(h, s, b, m, v)", 12, **BN)]
CASES["InstanceNormalization"] = [
    case("z = InstanceNormalization(h, s, b)", 12, **GN12),
    case("g = Reshape(h, to) n = InstanceNormalization(g, s, b) z = Reshape(n, back)", 3, 4, to=[0, 4, -1],
         back=[2, 12, 4, 6], **GN4),
    case("g = Reshape(h, to) n = InstanceNormalization(g, s, b) p = Shape(h) z = Reshape(n, p)", 3, 4, to=[0, 4, -1],
         x="float[N,3,H,W] x", **GN4),
    case("g = Reshape(h, to) n = InstanceNormalization(g, s, b) p = Shape(h) z = Reshape(n, p)", 4, to=[2, 4, 18, 4],
         **GN4),  # 3 * (4 * 6) does not line up with 18 * 4
]
CASES["GroupNormalization"] = [
    case("z = GroupNormalization<num_groups=4>(h, s, b)", 3, 4, opset=18, **GN4),
    case("z = GroupNormalization<num_groups=4>(h, s, b)", 3, 4, opset=21, **GN12),
    case("z = GroupNormalization<num_groups=1>(h, s, b)", 12, opset=21, **GN12),
    case("z = GroupNormalization<num_groups=12>(h, s, b)", 12, opset=21, **GN12),
]
CASES |= {
    operator: [
        case(f"z = {operator}<axis=1>(h)", opset=13),
        case(f"z = {operator}<axis=-1>(h)", 12, opset=13),
        case(f"z = {operator}(h)", opset=11),
        case(f"z = {operator}<axis=2>(h)", 12, opset=11),
    ]
    for operator in ["Softmax", "LogSoftmax", "Hardmax"]
}
