"""Recurrent layers: the hidden channels grow, and so do those that come in."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, rows

CASES: dict[str, list[Case]] = {}

HIDDEN, GATES = 4, {"RNN": 1, "GRU": 3, "LSTM": 4}
PLACES, BATCH = 2, 5  # of ``h``, whose first axis counts as time


def only(
    names: str, operator: str, directions: int = 1, read: int = 12, number: str = ""
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of some weights, biases and states of a layer."""
    gates, state = GATES[operator], (directions, BATCH, HIDDEN)
    shapes = {
        f"w{number}": (directions, gates * HIDDEN, read),
        f"r{number}": (directions, gates * HIDDEN, HIDDEN),
        f"b{number}": (directions, 2 * gates * HIDDEN),
        f"s{number}": state,
        f"c{number}": state,
        f"p{number}": (directions, 3 * HIDDEN),
    }
    return {name: shape for name, shape in shapes.items() if name in names.split()}




LENGTHS = np.array([2, 1, 2, 1, 2], np.int32)
for operator in GATES:
    node = f"{operator}<hidden_size={HIDDEN}"
    two = f'{node}, direction="bidirectional"'
    CASES[operator] = [
        rows(f"z = {node}>(h, w, r)", HIDDEN, 12, opset=7, **only("w r", operator)),
        rows(f"z = {node}>(h, w, r, b)", HIDDEN, 12, opset=14, **only("w r b", operator)),
        rows(f'z = {node}, direction="reverse">(h, w, r, b, n)', HIDDEN, 12, opset=14, n=LENGTHS,
             **only("w r b", operator)),
        rows(f"z, q = {two}>(h, w, r, b)", HIDDEN, 12, ends="z q", opset=14, **only("w r b", operator, 2)),
        rows(f", q = {node}>(h, w, r, b, , s)", HIDDEN, 12, ends="q", opset=22, **only("w r b s", operator)),
        rows(f"z = {node}, clip=0.5>(h, w, r, b)", HIDDEN, 12, opset=7, **only("w r b", operator)),
        # stacked, the second in both directions of the first
        rows(f"a = {two}>(h, w, r, b) t = Transpose<perm=[0,2,1,3]>(a) e = Reshape(t, to) "
             f"z = {two}>(e, wb, rb, bb)", HIDDEN, HIDDEN, 12, opset=14, to=[PLACES, BATCH, 2 * HIDDEN],
             **only("w r b", operator, 2), **only("wb rb bb", operator, 2, 2 * HIDDEN, "b")),
        # a state that another layer makes
        rows("m = ReduceMean<axes=[0], keepdims=1>(x) k = MatMul(m, v) "
             f"z = {node}>(h, w, r, , , k)", HIDDEN, 12, opset=14, v=(3, HIDDEN), **only("w r", operator)),
    ]  # fmt: skip
CASES["GRU"] += [
    rows(f"z = GRU<hidden_size={HIDDEN}, linear_before_reset={flag}>(h, w, r, b, , s)", HIDDEN, 12, opset=14,
         **only("w r b s", "GRU"))
    for flag in (0, 1)
]
CASES["LSTM"] += [
    rows(f"z = LSTM<hidden_size={HIDDEN}>(h, w, r, b, n, s, c, p)", HIDDEN, 12, opset=14, n=LENGTHS,
         **only("w r b s c p", "LSTM")),
    rows(f", q, e = LSTM<hidden_size={HIDDEN}, direction=\"bidirectional\">(h, w, r, b, n, s, c, p)", HIDDEN, 12,
         ends="q e", opset=7, n=LENGTHS, **only("w r b s c p", "LSTM", 2)),
    rows(f"z, , e = LSTM<hidden_size={HIDDEN}, input_forget=1>(h, w, r)", HIDDEN, 12, ends="z e", opset=7,
         **only("w r", "LSTM")),
    rows("z = LSTM<hidden_size=4, activations=[\"Sigmoid\", \"Relu\", \"Tanh\"]>(h, w, r)", HIDDEN, 12,
         **only("w r", "LSTM")),
]
CASES["RNN"] += [
    rows("z = RNN<hidden_size=4, activations=[\"Relu\"]>(h, w, r)", HIDDEN, 12, **only("w r", "RNN")),
]
