"""The kinds of ranges that need more than a number or two, each with its two formulas."""

from __future__ import annotations

from onnx_n2n.width.reach import bounds, fresh
from onnx_n2n.width.reach.magnitudes import Bound
from onnx_n2n.width.reach.walk import Formula

FORMULAS: dict[str, tuple[Bound, Formula]] = {
    "add": (bounds.add, fresh.add),
    "multiply": (bounds.multiply, fresh.multiply),
    "divide": (bounds.divide, fresh.divide),
    "contract": (bounds.contract, fresh.contract),
    "sum": (bounds.reduce, fresh.reduce),
    "worst": (bounds.choose, fresh.choose),
    "clip": (bounds.clip, fresh.clip),
    "pad": (bounds.pad, fresh.pad),
    "power": (bounds.power, fresh.power),
    "root": (bounds.root, fresh.root),
    "logarithm": (bounds.logarithm, fresh.logarithm),
    "invert": (bounds.invert, fresh.invert),
    "cast": (bounds.cast, fresh.cast),
    "normalise": (bounds.normalise, fresh.normalise),
    "batch norm": (bounds.batch_norm, fresh.batch_norm),
    "recur": (bounds.recur, fresh.recur),
    "attend": (bounds.unknown, fresh.attend),
    "turn": (bounds.unknown, fresh.turn),
    "fused": (bounds.fused, fresh.fused),
    "biased": (bounds.biased, fresh.biased),
    "packed attention": (bounds.packed_attention, fresh.packed_attention),
    "fill": (bounds.fill, fresh.fill),
    "dequantise": (bounds.dequantise, fresh.unknown),
}
"""By the name of a kind: how large results are at most, and what becomes of fresh channels."""

BOUNDS = {name: bound for name, (bound, _) in FORMULAS.items()}
FRESH = {name: reach for name, (_, reach) in FORMULAS.items()}
