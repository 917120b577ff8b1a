"""Operators on what may be missing."""

from __future__ import annotations

from helpers.probes.case import TWIN, Case, K, case

CASES: dict[str, list[Case]] = {}

CASES["Optional"] = CASES["OptionalGetElement"] = [
    case("o = Optional(h) z = OptionalGetElement(o)", 12, opset=15),
    case("z = OptionalGetElement(h)", 12, opset=18),
    case(f"{K} s = SequenceConstruct(h, k) o = Optional(s) t = OptionalGetElement(o) z = SequenceAt(t, i)", 12, 12,
         ends="z k", opset=15, i=0, **TWIN),
]
CASES["OptionalHasElement"] = [
    case("o = Optional(h) b = OptionalHasElement(o) f = Cast<to=1>(b) z = Mul(h, f)", 12, opset=18),
]
