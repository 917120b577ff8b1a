"""Losses."""

from __future__ import annotations

from helpers.probes.case import Case, case

CASES: dict[str, list[Case]] = {}

CLASSES = "a = Transpose<perm=[0,2,1,3]>(h) t = ArgMax<axis=1, keepdims=0>(a)"  # four classes for every channel
CASES["NegativeLogLikelihoodLoss"] = [
    case(f'{CLASSES} z = NegativeLogLikelihoodLoss<reduction="none">(a, t)', 12),
    case(f'{CLASSES} z = NegativeLogLikelihoodLoss<reduction="none">(a, t, w)', 12, w=(4,)),
    case(f"{CLASSES} z = NegativeLogLikelihoodLoss(a, t)", close=()),
    case('t = ArgMax<axis=1, keepdims=0>(h) z = NegativeLogLikelihoodLoss<reduction="none">(h, t)', close=()),
]
CASES["SoftmaxCrossEntropyLoss"] = [
    case(f'{CLASSES} z = SoftmaxCrossEntropyLoss<reduction="none">(a, t)', 12),
    case(f'{CLASSES} l, z = SoftmaxCrossEntropyLoss<reduction="none">(a, t, w)', 12, close=2, w=(4,)),
    case(f'{CLASSES} z, p = SoftmaxCrossEntropyLoss<reduction="sum">(a, t)', close=()),
]
