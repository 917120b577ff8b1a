"""Recurrent cells: a framework's own kernels where they compute the same, else one step after the other.

Shapes: x (time, batch, input), weights (directions, gates * hidden, ...), states (directions, batch, hidden).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from onnx_n2n.export.calling import refusing, several
from onnx_n2n.export.operators.activations import functions_of, recurrent_refusal
from onnx_n2n.export.operators.arrays import Array, namespace
from onnx_n2n.export.operators.indexing import turned

States = tuple[Array, ...]
Cell = Callable[[Array, States], States]
"""Takes what the weights make of an input, and the states; returns the new states, the output first."""

USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


@refusing(recurrent_refusal)
@several(3)
def lstm(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    c: Array | None = None,
    peepholes: Array | None = None,
    *,
    activation_alpha: Sequence[float] = (),
    activation_beta: Sequence[float] = (),
    activations: Sequence[str] = (),
    clip: float = 0.0,
    direction: str = "forward",
    hidden_size: int = 0,
    input_forget: int = 0,
    layout: int = 0,
    output_sequence: int = 1,
) -> tuple[Array, ...]:
    """Run an LSTM; returns all outputs, the last output and the last cell."""
    xp = namespace(x)
    x, states = _time_first(x, r, [h, c], layout)
    names = list(activations) or USUAL["LSTM"] * r.shape[0]
    functions = list(functions_of(names, activation_alpha, activation_beta))
    usual = names == USUAL["LSTM"] * r.shape[0] and lengths is None and peepholes is None
    quick = xp.lstm if usual and not clip and not input_forget else None

    def cell_of(d: int) -> Cell:
        f, g, o = functions[3 * d : 3 * d + 3]
        weight = r[d].T
        peep = None if peepholes is None else xp.split(peepholes[d], [r.shape[-1]] * 3, 0)

        def cell(z: Array, states: States) -> States:
            h, c = states
            i, out, keep, new = xp.split(_clipped(z + h @ weight, clip), [r.shape[-1]] * 4, -1)
            i = f(i if peep is None else i + peep[0] * c)
            keep = 1 - i if input_forget else f(keep if peep is None else keep + peep[2] * c)
            c = keep * c + i * g(new)
            return f(out if peep is None else out + peep[1] * c) * o(c), c

        return cell

    def run(d: int, back: bool) -> tuple[Array, ...]:
        if quick is not None:
            return quick(x, [state[d : d + 1] for state in states], w[d], r[d], None if b is None else b[d], back)
        gates = x @ w[d].T + _both(b, d)
        return _stepwise(cell_of(d), gates, tuple(state[d] for state in states), lengths, back)

    return _joined([run(d, back) for d, back in _directions(direction)], layout)


@refusing(recurrent_refusal)
@several(2)
def gru(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    *,
    activation_alpha: Sequence[float] = (),
    activation_beta: Sequence[float] = (),
    activations: Sequence[str] = (),
    clip: float = 0.0,
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
    linear_before_reset: int = 0,
    output_sequence: int = 1,
) -> tuple[Array, ...]:
    """Run a GRU; returns all outputs and the last one."""
    xp = namespace(x)
    x, states = _time_first(x, r, [h], layout)
    size = r.shape[-1]
    names = list(activations) or USUAL["GRU"] * r.shape[0]
    functions = list(functions_of(names, activation_alpha, activation_beta))
    usual = names == USUAL["GRU"] * r.shape[0] and lengths is None
    quick = xp.gru if usual and not clip and linear_before_reset else None

    def cell_of(d: int) -> Cell:
        f, g = functions[2 * d : 2 * d + 2]
        inner = xp.zeros([3 * size], x) if b is None else _halves(b[d])[1]
        weight, weight_new = xp.split(r[d].T, [2 * size, size], -1)
        bias, bias_new = xp.split(inner, [2 * size, size], 0)

        def cell(z: Array, states: States) -> States:
            (h,) = states
            both, new = xp.split(z, [2 * size, size], -1)
            update, reset = xp.split(f(_clipped(both + h @ weight + bias, clip)), [size] * 2, -1)
            if linear_before_reset:
                new = new + reset * (h @ weight_new + bias_new)
            else:
                new = new + (reset * h) @ weight_new + bias_new
            return ((1 - update) * g(_clipped(new, clip)) + update * h,)

        return cell

    def run(d: int, back: bool) -> tuple[Array, ...]:
        if quick is not None:
            return quick(x, [states[0][d : d + 1]], w[d], r[d], None if b is None else b[d], back)
        gates = x @ w[d].T + (0.0 if b is None else _halves(b[d])[0])
        return _stepwise(cell_of(d), gates, (states[0][d],), lengths, back)

    return _joined([run(d, back) for d, back in _directions(direction)], layout)


@refusing(recurrent_refusal)
@several(2)
def rnn(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    *,
    activation_alpha: Sequence[float] = (),
    activation_beta: Sequence[float] = (),
    activations: Sequence[str] = (),
    clip: float = 0.0,
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
    output_sequence: int = 1,
) -> tuple[Array, ...]:
    """Run a plain recurrent cell; returns all outputs and the last one."""
    x, states = _time_first(x, r, [h], layout)
    names = list(activations) or USUAL["RNN"] * r.shape[0]
    functions = list(functions_of(names, activation_alpha, activation_beta))

    def run(d: int, back: bool) -> tuple[Array, ...]:
        f, weight = functions[d], r[d].T
        gates = x @ w[d].T + _both(b, d)

        def cell(z: Array, states: States) -> States:
            return (f(_clipped(z + states[0] @ weight, clip)),)

        return _stepwise(cell, gates, (states[0][d],), lengths, back)

    return _joined([run(d, back) for d, back in _directions(direction)], layout)


def _time_first(x: Array, r: Array, states: list[Array | None], layout: int) -> tuple[Array, list[Array]]:
    """Bring what comes batch first into time first; states that are left out are zeros."""
    xp = namespace(x)
    x = xp.swapaxes(x, 0, 1) if layout else x
    zeros = xp.zeros([r.shape[0], x.shape[1], r.shape[-1]], x)
    return x, [zeros if state is None else xp.swapaxes(state, 0, 1) if layout else state for state in states]


def _directions(direction: str) -> list[tuple[int, bool]]:
    return {"forward": [(0, False)], "reverse": [(0, True)]}.get(direction, [(0, False), (1, True)])


def _halves(bias: Array) -> tuple[Array, Array]:
    """Return what is added to what comes of the input, and to what comes of the state."""
    size = bias.shape[-1] // 2
    return bias[:size], bias[size:]


def _both(b: Array | None, direction: int) -> Any:
    """Return the sum of both biases of a direction."""
    if b is None:
        return 0.0
    outer, inner = _halves(b[direction])
    return outer + inner


def _stepwise(cell: Cell, gates: Array, states: States, lengths: Array | None, back: bool) -> tuple[Array, ...]:
    """Run a cell step by step; behind the end of a sequence outputs are zero and states stay."""
    xp = namespace(gates)

    def step(states: States, t: Any, z: Array) -> tuple[States, Array]:
        new = cell(z, states)
        if lengths is None:
            return new, new[0]
        alive = (t < lengths)[:, None]
        kept = tuple(xp.where(alive, one, old) for one, old in zip(new, states, strict=True))
        return kept, xp.where(alive, new[0], xp.zeros_like(new[0]))

    def ahead(y: Array) -> Array:
        return y if not back else xp.flip(y, 0) if lengths is None else turned(y, lengths)

    last, y = xp.scan(step, states, ahead(gates))
    return (ahead(y), *last)


def _joined(directions: list[tuple[Array, ...]], layout: int) -> tuple[Array, ...]:
    """Put directions beside each other: outputs (time, directions, batch, hidden), and the states."""
    xp = namespace(directions[0][0])
    y, *last = zip(*directions, strict=True)
    outputs, states = xp.stack(y, 1), [xp.stack(each, 0) for each in last]
    if layout:
        return xp.permute_dims(outputs, [2, 0, 1, 3]), *(xp.swapaxes(state, 0, 1) for state in states)
    return outputs, *states


def _clipped(x: Array, clip: float) -> Array:
    return namespace(x).clip(x, -clip, clip) if clip else x


TABLE: dict[str, Any] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}
