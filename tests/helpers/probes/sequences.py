"""Operators on sequences of tensors."""

from __future__ import annotations

from helpers.probes.case import TWIN, Case, K, case

CASES: dict[str, list[Case]] = {}

PINNED = {"SequenceEmpty", "SequenceErase", "SequenceLength"}  # these have no tensors with axes of their own
PAIR, OTHER = f"{K} s = SequenceConstruct(h, k)", {"w": (8, 3, 1, 1)}
CASES["SequenceConstruct"] = [
    case(f"{PAIR} a = SequenceAt(s, i) z = SequenceAt(s, j)", 8, 12, ends="a z", i=0, j=-1, **OTHER),
]
CASES["SequenceEmpty"] = CASES["SequenceInsert"] = [
    case(f"{K} e = SequenceEmpty() s = SequenceInsert(e, h) t = SequenceInsert(s, k, i) u = SequenceInsert(t, x, j) "
         "a = SequenceAt(u, i) z = SequenceAt(u, l)", 8, 12, ends="a z", i=0, j=-1, l=2, **OTHER),
]
CASES["SequenceErase"] = [
    case(f"{PAIR} t = SequenceInsert(s, x) u = SequenceErase(t) v = SequenceErase(u, i) z = SequenceAt(v, i)", 8, 12,
         ends="z k h", i=0, **OTHER),
]
CASES["SequenceLength"] = [
    case(f"{PAIR} n = SequenceLength(s) c = Cast<to=1>(n) a = SequenceAt(s, i) z = Mul(a, c)", 8, 12, ends="z k", i=0,
         **OTHER),
]
CASES["ConcatFromSequence"] = [
    case(f"{PAIR} z = ConcatFromSequence<axis=1>(s)", 8, 12, **OTHER),
    case(f"{PAIR} z = ConcatFromSequence<axis=-2>(s)", 12, **TWIN),
    case(f"{PAIR} z = ConcatFromSequence<axis=1, new_axis=1>(s)", 12, close=2, **TWIN),
    case(f"{PAIR} z = ConcatFromSequence<axis=-1, new_axis=1>(s)", 12, **TWIN),
]
