"""Recurrent cells: a framework's own kernels where they compute the same, else one step after the other.

Shapes: x (time, batch, input), weights (directions, gates * hidden, ...), states (directions, batch, hidden).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from onnx_n2n.export.calling import passing, refusing, several
from onnx_n2n.export.operators.activations import functions_of, recurrent_refusal
from onnx_n2n.export.operators.arrays import Array, namespace
from onnx_n2n.export.operators.indexing import turned

Activation = Callable[[Array], Array]
States = tuple[Array, ...]
Cell = Callable[[Array, States], States]
"""Takes an input times its weights, and the states; returns the new states, the output first."""
Cells = Callable[..., tuple[Cell, Any]]
"""Takes a direction and its activations; returns the cell, and the bias of the input."""


def _layer(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None,
    lengths: Array | None,
    states: list[Array | None],
    usual: list[str],
    cells: Cells,
    kernel: Any = None,
    *,
    activation_alpha: Sequence[float] = (),
    activation_beta: Sequence[float] = (),
    activations: Sequence[str] = (),
    direction: str = "forward",
    layout: int = 0,
) -> tuple[Array, ...]:
    """Run the cells of one or both directions; states that are left out are zeros.

    ``usual`` are the activations of a cell where the node names none. ``kernel`` is the framework's own, if it has one
    for this cell: it knows the usual activations only, and no lengths.
    """
    xp = namespace(x)
    x = xp.swapaxes(x, 0, 1) if layout else x
    zeros = xp.zeros([r.shape[0], x.shape[1], r.shape[-1]], x)
    first = [zeros if state is None else xp.swapaxes(state, 0, 1) if layout else state for state in states]
    names = list(activations) or usual * r.shape[0]
    quick = kernel if names == usual * r.shape[0] and lengths is None else None
    functions = list(functions_of(names, activation_alpha, activation_beta))

    def run(d: int, back: bool) -> tuple[Array, ...]:
        if quick is not None:
            found: tuple[Array, ...] = quick(
                x, [state[d : d + 1] for state in first], w[d], r[d], None if b is None else b[d], back
            )
            return found
        cell, bias = cells(d, *functions[len(usual) * d : len(usual) * (d + 1)])
        return _stepwise(cell, x @ w[d].T + bias, tuple(state[d] for state in first), lengths, back)

    both = {"forward": [(0, False)], "reverse": [(0, True)]}.get(direction, [(0, False), (1, True)])
    y, *last = zip(*(run(d, back) for d, back in both), strict=True)
    outputs, ends = xp.stack(y, 1), [xp.stack(each, 0) for each in last]
    if layout:
        return xp.permute_dims(outputs, [2, 0, 1, 3]), *(xp.swapaxes(end, 0, 1) for end in ends)
    return outputs, *ends


@refusing(recurrent_refusal)
@several(3)
@passing(_layer)
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
    clip: float = 0.0,
    input_forget: int = 0,
    **settings: Any,
) -> tuple[Array, ...]:
    """Run an LSTM; returns all outputs, the last output and the last cell."""
    xp, size = namespace(x), r.shape[-1]

    def cells(d: int, f: Activation, g: Activation, o: Activation) -> tuple[Cell, Any]:
        weight = r[d].T
        peep = None if peepholes is None else xp.split(peepholes[d], [size] * 3, 0)

        def cell(z: Array, states: States) -> States:
            h, c = states
            i, out, keep, new = xp.split(_clipped(z + h @ weight, clip), [size] * 4, -1)
            i = f(i if peep is None else i + peep[0] * c)
            keep = 1 - i if input_forget else f(keep if peep is None else keep + peep[2] * c)
            c = keep * c + i * g(new)
            return f(out if peep is None else out + peep[1] * c) * o(c), c

        return cell, _both(b, d)

    kernel = xp.lstm if peepholes is None and not clip and not input_forget else None
    return _layer(x, w, r, b, lengths, [h, c], ["Sigmoid", "Tanh", "Tanh"], cells, kernel, **settings)


@refusing(recurrent_refusal)
@several(2)
@passing(_layer)
def gru(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    *,
    clip: float = 0.0,
    linear_before_reset: int = 0,
    **settings: Any,
) -> tuple[Array, ...]:
    """Run a GRU; returns all outputs and the last one."""
    xp, size = namespace(x), r.shape[-1]

    def cells(d: int, f: Activation, g: Activation) -> tuple[Cell, Any]:
        outer, inner = (0.0, xp.zeros([3 * size], x)) if b is None else _halves(b[d])
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

        return cell, outer

    kernel = xp.gru if linear_before_reset and not clip else None
    return _layer(x, w, r, b, lengths, [h], ["Sigmoid", "Tanh"], cells, kernel, **settings)


@refusing(recurrent_refusal)
@several(2)
@passing(_layer)
def rnn(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    *,
    clip: float = 0.0,
    **settings: Any,
) -> tuple[Array, ...]:
    """Run a plain recurrent cell; returns all outputs and the last one."""

    def cells(d: int, f: Activation) -> tuple[Cell, Any]:
        weight = r[d].T

        def cell(z: Array, states: States) -> States:
            return (f(_clipped(z + states[0] @ weight, clip)),)

        return cell, _both(b, d)

    return _layer(x, w, r, b, lengths, [h], ["Tanh"], cells, **settings)


def _halves(bias: Array) -> tuple[Array, Array]:
    """Return the bias of the input, and that of the state."""
    size = bias.shape[-1] // 2
    return bias[:size], bias[size:]


def _both(b: Array | None, direction: int) -> Any:
    """Return the sum of both biases of a direction."""
    if b is None:
        return 0.0
    outer, inner = _halves(b[direction])
    return outer + inner


def _stepwise(cell: Cell, gates: Array, states: States, lengths: Array | None, back: bool) -> tuple[Array, ...]:
    """Run a cell step by step; after the end of a sequence outputs are zero and states stay."""
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


def _clipped(x: Array, clip: float) -> Array:
    return namespace(x).clip(x, -clip, clip) if clip else x


TABLE: dict[str, Any] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}
