"""Operators that look at places which other tensors name."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import BESIDE, FIVE, Case, case, rows

CASES: dict[str, list[Case]] = {}

PINNED = {"AffineGrid", "MaxUnpool", "NonMaxSuppression"}
REGIONS = np.array([[0, 0, 3, 3], [1, 1, 5, 2], [2, 0, 4, 3]], np.float32)
CASES["MaxRoiPool"] = [
    case("z = MaxRoiPool<pooled_shape=[2,2]>(h, r)", 12, r=np.insert(REGIONS, 0, [0, 1, 1], axis=1)),
]
CASES["RoiAlign"] = [
    case("z = RoiAlign<output_height=2, output_width=3>(h, r, b)", 12, opset=opset, r=REGIONS, b=[0, 1, 1])
    for opset in (10, 16)
] + [case('z = RoiAlign<mode="max", output_height=2>(h, r, b)', 12, r=REGIONS, b=[1, 0, 0])]
CASES["NonMaxSuppression"] = [
    case(f"{BESIDE} r = Reshape(k, to) s = Add(r, u) z = NonMaxSuppression(b, s, n, one)", 12, close=(),
         to=[2, 5, 24], n=[3], one=[1.0], u=(2, 5, 24),
         b=np.random.default_rng(0).uniform(0, 1, (2, 24, 4)).astype(np.float32), **FIVE),
]
WINDOWS = "kernel_shape=[2,2], strides=[2,2]"
CASES["MaxUnpool"] = [case(f"{BESIDE} m, i = MaxPool<{WINDOWS}>(k) z = MaxUnpool<{WINDOWS}>(m, i)", 12, **FIVE)]
CASES["AffineGrid"] = [
    case("g = AffineGrid(t, size) z = GridSample(h, g)", 12, opset=20, t=(2, 2, 3), size=[2, 12, 4, 6]),
    case("s = Shape(h) g = AffineGrid(t, s) z = GridSample(h, g)", 12, opset=20, t=(2, 2, 3)),
]
CASES["Col2Im"] = [
    rows("a = Transpose<perm=[0,2,1]>(h) z = Col2Im(a, image, block)", channels, close=1, opset=18, image=image,
         block=block)
    for channels, image, block in [(3, [5, 4], [1, 4]), (12, [1, 5], [1, 1])]
]
CASES["CenterCropPad"] = [
    case("z = CenterCropPad(h, to)", 12, opset=18, to=[2, 12, 2, 9]),
    case("z = CenterCropPad<axes=[-1, 1]>(h, to)", 12, opset=18, to=[3, 12]),
    case("s = Shape<end=2>(h) to = Concat<axis=0>(s, two) z = CenterCropPad(h, to)", 12, opset=18, two=[2, 2]),
    case("z = CenterCropPad<axes=[1]>(h, to)", opset=18, to=[10]),
]
OFFSETS = np.random.default_rng(0).uniform(-1, 1, (2, 36, 2, 4)).astype(np.float32)
CASES["DeformConv"] = [
    case("z = DeformConv(h, w, o)", 8, 12, opset=19, w=(8, 12, 3, 3), o=OFFSETS[:, :18]),
    case("z = DeformConv<group=2>(h, w, o, b, m)", 2, 4, 6, opset=22, w=(8, 6, 3, 3), b=(8,), o=OFFSETS[:, :18],
         m=(2, 9, 2, 4)),
    case("z = DeformConv<offset_group=2>(h, w, o)", 6, 8, opset=19, w=(8, 12, 3, 3), o=OFFSETS),
    case("z = DeformConv<group=4, offset_group=2>(h, w, o)", 2, 2, 3, opset=19, w=(8, 3, 3, 3), o=OFFSETS),
]
