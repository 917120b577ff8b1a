"""Operators that throw dice. A seed makes the throws of teacher and student the same."""

from __future__ import annotations

from helpers.probes.case import BESIDE, FIVE, Case, case, flat

CASES: dict[str, list[Case]] = {}

PINNED = {"RandomNormalLike", "RandomUniformLike", "RandomNormal", "RandomUniform", "Bernoulli", "Multinomial"}
CASES |= {
    operator: [
        case(f"{BESIDE} r = {operator}<seed=1.0>(k) z = Add(k, r)", 12, **FIVE),
        case(f"r = {operator}<seed=1.0>(h) z = Add(h, r)"),
    ]
    for operator in ["RandomNormalLike", "RandomUniformLike"]
}
CASES |= {
    operator: [
        case(f"{BESIDE} r = {operator}<shape=[5, 4, 6], seed=1.0>() z = Add(k, r)", 12, **FIVE),
        case(f"r = {operator}<shape=[12, 4, 6], seed=1.0>() z = Add(h, r)"),
    ]
    for operator in ["RandomNormal", "RandomUniform"]
}
CASES["Bernoulli"] = [case(f"{BESIDE} p = Sigmoid(k) z = Bernoulli<seed=1.0>(p)", 12, opset=15, **FIVE)]
CASES["Multinomial"] = [
    flat("a = Relu(h) k = MatMul(a, o) z = Multinomial<sample_size=9, seed=1.0>(k)", 12, close=(), o=(12, 5)),
]
