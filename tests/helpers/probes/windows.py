"""Operators that look at places."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, case, rows

CASES: dict[str, list[Case]] = {}

CASES |= {
    operator: [
        case(f"z = {operator}<kernel_shape=[2,2], strides=[2,2]>(h)", 12, opset=7),
        rows(f"a = Transpose<perm=[0,2,1]>(h) z = {operator}<kernel_shape=[2], pads=[1,1]>(a)", 12, close=1),
        rows(f"z = {operator}<kernel_shape=[2]>(h)", close=-1),
    ]
    for operator in ["AveragePool", "LpPool", "MaxPool"]
}
CASES["MaxPool"] += [case("z, at = MaxPool<kernel_shape=[2,2]>(h)", ends="z at", opset=12)]
CASES["LRN"] = [
    case("z = LRN<size=3, alpha=0.5>(h)"),
    case("a = Transpose<perm=[0,2,1,3]>(h) z = LRN<size=3, alpha=0.5>(a)", 12, close=2),
]
CASES["Crop"] = [case("z = Crop<border=[1,1,1,1]>(h)", 12, opset=7)]
CASES["ImageScaler"] = [
    case(f"z = ImageScaler<scale=2.0, bias={[n / 4 for n in range(12)]}>(h)", opset=7),
    case("a = Transpose<perm=[0,2,1,3]>(h) z = ImageScaler<scale=2.0, bias=[0.5,0.0,1.0,2.0]>(a)", 12, close=2,
         opset=7),
]
GRID = np.random.default_rng(0).uniform(-1, 1, (2, 2, 3, 2)).astype(np.float32)
CASES["GridSample"] = [case("z = GridSample(h, grid)", 12, grid=GRID)]
CASES["Upsample"] = [
    case('z = Upsample<mode="nearest", scales=[1.,1.,2.,2.]>(h)', 12, opset=7),
    case('z = Upsample<mode="nearest">(h, s)', 12, opset=9, s=[1.0, 1.0, 2.0, 2.0]),
]
CASES["Resize"] = [
    case("z = Resize(h, s)", 12, opset=10, s=[1.0, 1.0, 2.0, 2.0]),
    case("z = Resize(h, roi, s)", 12, opset=11, roi=np.zeros(0, np.float32), s=[1.0, 1.0, 2.0, 2.0]),
    case('z = Resize<mode="linear">(h, , s)', 12, opset=13, s=[1.0, 1.0, 1.5, 2.0]),
    case("z = Resize(h, , , sizes)", 12, opset=13, sizes=[2, 12, 7, 9]),
    case("z = Resize<axes=[2,3]>(h, , s)", 12, opset=18, s=[2.0, 2.0]),
    case("z = Resize<axes=[1,-1]>(h, , , sizes)", 12, opset=19, sizes=[12, 9]),
    case("z = Resize(h, , , sizes)", opset=13, sizes=[2, 24, 4, 6]),
    case("z = Resize(h, , s)", opset=13, s=[1.0, 2.0, 1.0, 1.0]),
    case(
        "p = Shape(h) c = Slice(p, lo, hi) q = Concat<axis=0>(c, hw) z = Resize(h, , , q)", 12,
        opset=13, lo=[0], hi=[2], hw=[8, 12],
    ),
]
