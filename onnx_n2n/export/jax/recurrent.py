"""Recurrent cells, as scans over time.

Shapes: x (time, batch, input), weights (directions, gates * hidden, ...), states (directions, batch, hidden).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from onnx_n2n.export.activations import recurrent_refusal, with_parameters
from onnx_n2n.export.calling import refusing, several
from onnx_n2n.export.operators.indexing import turned

Array = jax.Array
States = tuple[Array, ...]
Cell = Callable[[Array, States, int], States]
"""Takes what the weights make of an input, the states, and the direction; returns the new states, the output first."""

ACTIVATIONS: dict[str, Callable[..., Array]] = {
    "Affine": lambda x, alpha=1.0, beta=0.0: alpha * x + beta,
    "Elu": jax.nn.elu,
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: jnp.clip(alpha * x + beta, 0, 1),
    "LeakyRelu": lambda x, alpha=0.01: jax.nn.leaky_relu(x, alpha),
    "Relu": jax.nn.relu,
    "Sigmoid": jax.nn.sigmoid,
    "Softplus": jax.nn.softplus,
    "Softsign": jax.nn.soft_sign,
    "Tanh": jnp.tanh,
}


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
    functions = _activations(activations or ["Sigmoid", "Tanh", "Tanh"] * 2, activation_alpha, activation_beta)
    both = None if b is None else jnp.stack([sum(jnp.split(row, 2)) for row in b])

    def cell(z: Array, states: States, d: int) -> States:
        h, c = states
        f, g, o = functions[3 * d : 3 * d + 3]
        i, out, keep, new = jnp.split(_clipped(z + h @ r[d].T, clip), 4, -1)
        peep = [0.0] * 3 if peepholes is None else [part * 1.0 for part in jnp.split(peepholes[d], 3)]
        i = f(i + peep[0] * c)
        keep = 1 - i if input_forget else f(keep + peep[2] * c)
        c = keep * c + i * g(new)
        return f(out + peep[1] * c) * o(c), c

    return _run(cell, x, w, both, lengths, [h, c], r.shape[-1], direction, layout)


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
    functions = _activations(activations or ["Sigmoid", "Tanh"] * 2, activation_alpha, activation_beta)
    size = r.shape[-1]
    outer = None if b is None else b[:, : 3 * size]
    inner = jnp.zeros((r.shape[0], 3 * size), x.dtype) if b is None else b[:, 3 * size :]

    def cell(z: Array, states: States, d: int) -> States:
        (h,) = states
        f, g = functions[2 * d : 2 * d + 2]
        gates, new = z[..., : 2 * size], z[..., 2 * size :]
        gates = f(_clipped(gates + h @ r[d][: 2 * size].T + inner[d][: 2 * size], clip))
        update, reset = jnp.split(gates, 2, -1)
        weight, bias = r[d][2 * size :].T, inner[d][2 * size :]
        new = new + (reset * (h @ weight + bias) if linear_before_reset else (reset * h) @ weight + bias)
        return ((1 - update) * g(_clipped(new, clip)) + update * h,)

    return _run(cell, x, w, outer, lengths, [h], size, direction, layout)


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
    functions = _activations(activations or ["Tanh"] * 2, activation_alpha, activation_beta)
    both = None if b is None else jnp.stack([sum(jnp.split(row, 2)) for row in b])

    def cell(z: Array, states: States, d: int) -> States:
        return (functions[d](_clipped(z + states[0] @ r[d].T, clip)),)

    return _run(cell, x, w, both, lengths, [h], r.shape[-1], direction, layout)


def _run(
    cell: Cell,
    x: Array,
    w: Array,
    bias: Array | None,
    lengths: Array | None,
    starts: list[Array | None],
    size: int,
    direction: str,
    layout: int,
) -> tuple[Array, ...]:
    """Run a cell in all its directions; behind the end of a sequence outputs are zero and states stay."""
    if layout:
        x = jnp.swapaxes(x, 0, 1)
        starts = [None if start is None else jnp.swapaxes(start, 0, 1) for start in starts]
    zero = jnp.zeros((w.shape[0], x.shape[1], size), x.dtype)
    first = [zero if start is None else start for start in starts]
    outputs, lasts = [], []
    for d, back in {"forward": [(0, False)], "reverse": [(0, True)]}.get(direction, [(0, False), (1, True)]):
        gates = x @ w[d].T + (0.0 if bias is None else bias[d])
        y, last = _one_way(cell, gates, tuple(start[d] for start in first), lengths, d, back)
        outputs.append(y)
        lasts.append(last)
    y, states = jnp.stack(outputs, 1), [jnp.stack(each) for each in zip(*lasts, strict=True)]
    if layout:
        return jnp.transpose(y, (2, 0, 1, 3)), *(jnp.swapaxes(state, 0, 1) for state in states)
    return y, *states


def _one_way(
    cell: Cell, gates: Array, start: States, lengths: Array | None, d: int, back: bool
) -> tuple[Array, States]:
    if back and lengths is not None:
        gates = turned(gates, lengths)

    def step(states: States, given: tuple[Array, Array]) -> tuple[States, Array]:
        t, z = given
        new = cell(z, states, d)
        if lengths is None:
            return new, new[0]
        alive = (t < lengths)[:, None]
        kept = tuple(jnp.where(alive, one, old) for one, old in zip(new, states, strict=True))
        return kept, jnp.where(alive, new[0], 0)

    given = (jnp.arange(gates.shape[0]), gates)
    last, y = lax.scan(step, start, given, reverse=back and lengths is None)
    return turned(y, lengths) if back and lengths is not None else y, last


def _activations(
    names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> list[Callable[[Array], Array]]:
    return [_with(ACTIVATIONS[name], numbers) for name, numbers in with_parameters(names, alphas, betas)]


def _with(function: Callable[..., Array], numbers: Sequence[float]) -> Callable[[Array], Array]:
    return (lambda x: function(x, *numbers)) if numbers else function


def _clipped(x: Array, clip: float) -> Array:
    return jnp.clip(x, -clip, clip) if clip else x


TABLE: dict[str, Any] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}
