"""Recurrent cells: PyTorch's own kernels where they compute the same, else one step after the other.

Shapes: x (time, batch, input), weights (directions, gates * hidden, ...), states (directions, batch, hidden).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from onnx_n2n.export.activations import recurrent_refusal, with_parameters
from onnx_n2n.export.calling import refusing, several
from onnx_n2n.export.torch.indexing import turned
from onnx_n2n.record.layouts import GATES, inverse, reorder

Tensor = torch.Tensor
Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "Affine": lambda x, alpha=1.0, beta=0.0: alpha * x + beta,
    "Elu": lambda x, alpha=1.0: torch.nn.functional.elu(x, alpha),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: torch.clamp(alpha * x + beta, 0, 1),
    "LeakyRelu": lambda x, alpha=0.01: torch.nn.functional.leaky_relu(x, alpha),
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Softplus": torch.nn.functional.softplus,
    "Softsign": lambda x: x / (1 + x.abs()),
    "Tanh": torch.tanh,
}
USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


@refusing(recurrent_refusal)
@several(3)
def lstm(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    h: Tensor | None = None,
    c: Tensor | None = None,
    peepholes: Tensor | None = None,
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
) -> tuple[Tensor, ...]:
    """Run an LSTM; returns all outputs, the last output and the last cell."""
    x, h, c = _time_first(x, h, c, layout)
    count, size = r.shape[0], r.shape[-1]
    h = x.new_zeros(count, x.shape[1], size) if h is None else h
    c = x.new_zeros(count, x.shape[1], size) if c is None else c
    names = list(activations) or USUAL["LSTM"] * count
    if names == USUAL["LSTM"] * count and lengths is None and peepholes is None and not clip and not input_forget:
        outputs = [
            _quick(torch.lstm, x, [h[d : d + 1], c[d : d + 1]], _gates("LSTM", w[d], r[d], b, d), back)
            for d, back in _directions(direction)
        ]
        return _joined(outputs, layout)
    outputs = []
    for d, back in _directions(direction):
        f, g, o = _activations(names, activation_alpha, activation_beta, d, 3)
        peep = None if peepholes is None else torch.chunk(peepholes[d], 3)
        bias = 0.0 if b is None else b[d].chunk(2)[0] + b[d].chunk(2)[1]
        gates = x @ w[d].t() + bias
        weight = r[d].t()

        def step(
            z: Tensor, state: tuple[Tensor, ...], weight: Tensor = weight, peep: Any = peep, f: Any = f, g: Any = g,
            o: Any = o,
        ) -> tuple[Tensor, ...]:  # fmt: skip
            h, c = state
            i, out, keep, new = _clipped(z + h @ weight, clip).chunk(4, -1)
            i = f(i if peep is None else i + peep[0] * c)
            keep = 1 - i if input_forget else f(keep if peep is None else keep + peep[2] * c)
            c = keep * c + i * g(new)
            return f(out if peep is None else out + peep[1] * c) * o(c), c

        outputs.append(_stepwise(step, gates, (h[d], c[d]), lengths, back))
    return _joined(outputs, layout)


@refusing(recurrent_refusal)
@several(2)
def gru(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    h: Tensor | None = None,
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
) -> tuple[Tensor, ...]:
    """Run a GRU; returns all outputs and the last one."""
    x, h, _ = _time_first(x, h, None, layout)
    count, size = r.shape[0], r.shape[-1]
    h = x.new_zeros(count, x.shape[1], size) if h is None else h
    names = list(activations) or USUAL["GRU"] * count
    if names == USUAL["GRU"] * count and lengths is None and not clip and linear_before_reset:
        outputs = [
            _quick(torch.gru, x, h[d : d + 1], _gates("GRU", w[d], r[d], b, d), back)
            for d, back in _directions(direction)
        ]
        return _joined(outputs, layout)
    outputs = []
    for d, back in _directions(direction):
        f, g = _activations(names, activation_alpha, activation_beta, d, 2)
        none = x.new_zeros(3 * size)
        outer, inner = (none, none) if b is None else b[d].chunk(2)
        gates = x @ w[d].t() + outer
        weights = r[d].t().split([2 * size, size], -1)
        biases = inner.split([2 * size, size])

        def step(
            z: Tensor, state: tuple[Tensor, ...], weights: Any = weights, biases: Any = biases, f: Any = f, g: Any = g
        ) -> tuple[Tensor, ...]:
            (h,) = state
            both, new = z.split([2 * size, size], -1)
            update, reset = f(_clipped(both + h @ weights[0] + biases[0], clip)).chunk(2, -1)
            if linear_before_reset:
                new = new + reset * (h @ weights[1] + biases[1])
            else:
                new = new + (reset * h) @ weights[1] + biases[1]
            return ((1 - update) * g(_clipped(new, clip)) + update * h,)

        outputs.append(_stepwise(step, gates, (h[d],), lengths, back))
    return _joined(outputs, layout)


@refusing(recurrent_refusal)
@several(2)
def rnn(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    h: Tensor | None = None,
    *,
    activation_alpha: Sequence[float] = (),
    activation_beta: Sequence[float] = (),
    activations: Sequence[str] = (),
    clip: float = 0.0,
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
    output_sequence: int = 1,
) -> tuple[Tensor, ...]:
    """Run a plain recurrent cell; returns all outputs and the last one."""
    x, h, _ = _time_first(x, h, None, layout)
    h = x.new_zeros(r.shape[0], x.shape[1], r.shape[-1]) if h is None else h
    names = list(activations) or USUAL["RNN"] * r.shape[0]
    outputs = []
    for d, back in _directions(direction):
        (f,) = _activations(names, activation_alpha, activation_beta, d, 1)
        gates = x @ w[d].t() + (0.0 if b is None else b[d].chunk(2)[0] + b[d].chunk(2)[1])
        weight = r[d].t()

        def step(z: Tensor, state: tuple[Tensor, ...], weight: Tensor = weight, f: Any = f) -> tuple[Tensor, ...]:
            return (f(_clipped(z + state[0] @ weight, clip)),)

        outputs.append(_stepwise(step, gates, (h[d],), lengths, back))
    return _joined(outputs, layout)


def _time_first(x: Tensor, h: Tensor | None, c: Tensor | None, layout: int) -> tuple[Tensor, Any, Any]:
    """Bring what comes batch first into time first."""
    if not layout:
        return x, h, c
    h, c = (None if state is None else state.transpose(0, 1) for state in (h, c))
    return x.transpose(0, 1), h, c


def _directions(direction: str) -> list[tuple[int, bool]]:
    return {"forward": [(0, False)], "reverse": [(0, True)]}.get(direction, [(0, False), (1, True)])


def _gates(kind: str, w: Tensor, r: Tensor, b: Tensor | None, direction: int) -> list[Tensor]:
    """Return weights with the gates in PyTorch's order."""
    tensors = [w, r] if b is None else [w, r, *b[direction].chunk(2)]
    return [reorder(tensor, inverse(GATES[kind]), torch) for tensor in tensors]


def _quick(kernel: Any, x: Tensor, state: Any, weights: list[Tensor], back: bool) -> tuple[Tensor, ...]:
    """Run one of PyTorch's kernels in one direction."""
    y, *last = kernel(x.flip(0) if back else x, state, weights, len(weights) > 2, 1, 0.0, False, False, False)
    return (y.flip(0) if back else y, *(each.squeeze(0) for each in last))


def _stepwise(
    step: Callable[..., tuple[Tensor, ...]],
    gates: Tensor,
    state: tuple[Tensor, ...],
    lengths: Tensor | None,
    back: bool,
) -> tuple[Tensor, ...]:
    """Run a cell step by step; behind the end of a sequence outputs are zero and states stay."""
    if back:
        gates = gates.flip(0) if lengths is None else turned(gates, lengths)
    found = []
    for t, z in enumerate(gates.unbind(0)):
        new = step(z, state)
        if lengths is not None:
            alive = (t < lengths).unsqueeze(-1)
            new = tuple(torch.where(alive, one, old) for one, old in zip(new, state, strict=True))
            found.append(torch.where(alive, new[0], torch.zeros_like(new[0])))
        else:
            found.append(new[0])
        state = new
    y = torch.stack(found)
    if back:
        y = y.flip(0) if lengths is None else turned(y, lengths)
    return (y, *state)


def _joined(directions: list[tuple[Tensor, ...]], layout: int) -> tuple[Tensor, ...]:
    """Put directions beside each other: outputs (time, directions, batch, hidden), and the states."""
    y, *last = zip(*directions, strict=True)
    outputs, states = torch.stack(y, 1), [torch.stack(each) for each in last]
    if layout:
        return outputs.permute(2, 0, 1, 3), *(state.transpose(0, 1) for state in states)
    return outputs, *states


def _activations(
    names: Sequence[str], alphas: Sequence[float], betas: Sequence[float], direction: int, count: int
) -> list[Activation]:
    """Return the activations of one direction."""
    found = [_with(ACTIVATIONS[name], numbers) for name, numbers in with_parameters(names, alphas, betas)]
    return found[direction * count : (direction + 1) * count]


def _with(function: Callable[..., Tensor], numbers: Sequence[float]) -> Activation:
    return (lambda x: function(x, *numbers)) if numbers else function


def _clipped(x: Tensor, clip: float) -> Tensor:
    return x.clamp(-clip, clip) if clip else x


TABLE: dict[str, Any] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}
