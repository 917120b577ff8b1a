"""Operators of signal processing."""

from __future__ import annotations

from helpers.probes.case import Case, case

CASES: dict[str, list[Case]] = {}

PINNED = {"MelWeightMatrix", "BlackmanWindow", "HammingWindow", "HannWindow"}
REAL = "a = Unsqueeze(h, last)"  # channels with real parts only
CASES["DFT"] = [
    case(f"{REAL} z = DFT<axis=3>(a)", 12, opset=17, last=[4]),
    case(f"{REAL} z = DFT<axis=2, onesided=1>(a, n)", 12, opset=17, last=[4], n=3),
    case(f"{REAL} z = DFT(a)", 12, opset=20, last=[4]),
    case(f"{REAL} z = DFT<onesided=1>(a, , axis)", 12, opset=20, last=[4], axis=2),
    case(f"{REAL} z = DFT(a, , axis)", opset=20, last=[4], axis=1),
]
CASES["STFT"] = [
    case("a = Transpose<perm=[1,0,2,3]>(h) b = Flatten(a) c = Unsqueeze(b, last) z = STFT(c, step, window)", 12,
         close=0, last=[2], step=4, window=(8,)),
    case("a = Reshape(h, to) z = STFT(a, step, , length)", close=(), to=[4, 144, 1], step=12, length=24),
]
CASES["MelWeightMatrix"] = [
    case("m = MelWeightMatrix(bins, length, rate, low, high) z = MatMul(h, m)", 12, bins=3, length=10, rate=8000,
         low=0.0, high=4000.0),
]
CASES |= {
    operator: [case(f"m = {operator}(n) z = Mul(h, m)", 12, n=6)]
    for operator in ["BlackmanWindow", "HammingWindow", "HannWindow"]
}
CASES["HannWindow"] += [
    case("s = Shape(h) n = Gather(s, i) m = HannWindow(n) a = Transpose<perm=[0,2,3,1]>(h) z = Mul(a, m)", close=3, i=1)
]
