"""Recurrent layers, step by step. What only meets a state that is zero at the start has not been read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.applied import applied
from onnx_n2n.exact.operators.sequences import cut
from onnx_n2n.exact.registry import MICROSOFT, NEWEST, rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import FLOAT, Tensor
from onnx_n2n.exact.undecided import Undecided

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
# The activations: which of alpha and beta each takes.
ACTIVATIONS = {
    "Affine": ("alpha", "beta"), "Elu": ("alpha",), "HardSigmoid": ("alpha", "beta"), "LeakyRelu": ("alpha",),
    "Relu": (), "ScaledTanh": ("alpha", "beta"), "Sigmoid": (), "Softplus": (), "Softsign": (), "Tanh": (),
    "ThresholdedRelu": ("alpha",),
}  # fmt: skip
# These have to be given theirs: two are no operators, and ONNX Runtime has another default for the third.
WITHOUT_DEFAULTS = {"Affine", "ScaledTanh", "ThresholdedRelu"}

Activation = Callable[[Numbers], Numbers]
State = Numbers | None  # None at the start, where it is zero


@dataclass
class Weights:
    """What one direction holds of a weight, cut into gates of ``hidden`` rows; a gate that is used has been read."""

    site: Site
    tensor: Tensor
    hidden: int
    numbers: Numbers = field(init=False)
    _used: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.numbers = self.site.run.numbers(self.tensor)

    def use(self, *gates: int) -> None:
        """Note that gates have been read."""
        for gate in set(gates) - self._used:
            self.site.run.read(cut(self.tensor, self.rows(gate)))
            self._used.add(gate)

    def rows(self, gate: int) -> slice:
        """Return where a gate lies."""
        return slice(gate * self.hidden, (gate + 1) * self.hidden)

    def gate(self, gate: int) -> Numbers:
        """Return a gate's part, which is read."""
        self.use(gate)
        return self.numbers[self.rows(gate)]


@dataclass
class Layer:
    """One direction of a layer.

    Args:
        hidden: How many numbers its state has.
        inputs: ``X @ W``, [steps, batch, gates * hidden].
        w: The weights, [gates * hidden, inputs].
        r: The recurrent weights, [gates * hidden, hidden].
        b: The biases, [2 * gates * hidden], those of the recurrent part last; None where they are zero.
        p: The peepholes, [3 * hidden]; None where they are zero.
        activations: One for each kind of gate.
        clip: What bounds the arguments of the activations; None for nothing.
    """

    hidden: int
    inputs: Numbers
    w: Weights
    r: Weights
    b: Weights | None
    p: Weights | None
    activations: Sequence[Activation]
    clip: Activation | None

    @property
    def gates(self) -> int:
        """The number of gates."""
        return self.w.tensor.shape[0] // self.hidden

    def given(self, gate: int, step: int) -> Numbers:
        """Return what a gate sees of the input, with its bias: [batch, hidden]."""
        self.w.use(gate)
        seen = self.inputs[step][:, self.w.rows(gate)]
        return seen if self.b is None else seen + self.b.gate(gate)

    def recurrent(self, gate: int, state: State) -> Numbers | None:
        """Return what a gate sees of the state, with its bias, [batch, hidden]; None if that is zero."""
        bias = None if self.b is None else self.b.gate(self.gates + gate)
        if state is None:
            return bias
        seen = state @ self.r.gate(gate).transpose((1, 0))
        return seen if bias is None else seen + bias

    def seen(self, gate: int, step: int, state: State) -> Numbers:
        """Return what a gate sees of both."""
        return _plus(self.given(gate, step), self.recurrent(gate, state))

    def peephole(self, place: int, cell: State) -> Numbers | None:
        """Return what a gate sees of the cell: those of the input, output and forget gate in this order."""
        return None if self.p is None or cell is None else cell * self.p.gate(place)

    def leave_out(self, gate: int) -> None:
        """Note that a gate has no part in the layer, however many steps it makes."""
        self.w.use(gate)
        self.r.use(gate)
        for weights, places in ((self.b, (gate, self.gates + gate)), (self.p, (gate,))):
            if weights is not None:
                weights.use(*places)

    def act(self, which: int, x: Numbers) -> Numbers:
        """Return an activation of what is clipped."""
        return self.activations[which](x if self.clip is None else self.clip(x))

    def act_on_cell(self, site: Site, cell: Numbers) -> Numbers:
        """Return the last activation of an LSTM.

        ONNX says that the argument of each activation is clipped; ONNX Runtime does not clip this one. What is equal
        for all mixtures of the two is equal for both.
        """
        plain = self.activations[2](cell)
        if self.clip is None or not site.world.exact:
            return plain
        share: Numbers = site.world.variable("the cell is clipped", (1,))
        return share * self.act(2, cell) + (1 - share) * plain


@rule("RNN")
def rnn(site: Site) -> list[Tensor]:
    """Run a plain recurrent layer."""

    def step(layer: Layer, number: int, state: State, cell: State) -> tuple[Numbers, State]:
        return layer.act(0, layer.seen(0, number, state)), cell

    return _layers(site, step)


@rule("GRU")
def gru(site: Site) -> list[Tensor]:
    """Run a gated recurrent unit, its gates in the order update, reset, hidden."""
    linear = bool(site.attribute("linear_before_reset", 0))

    def step(layer: Layer, number: int, state: State, cell: State) -> tuple[Numbers, State]:
        update = layer.act(0, layer.seen(0, number, state))
        if linear:
            back = layer.recurrent(2, state)
            back = None if back is None else layer.act(0, layer.seen(1, number, state)) * back
        else:
            reset = None if state is None else layer.act(0, layer.seen(1, number, state)) * state
            back = layer.recurrent(2, reset)
        hidden = layer.act(1, _plus(layer.given(2, number), back))
        return _plus((1 - update) * hidden, None if state is None else update * state), cell

    return _layers(site, step)


@rule("LSTM")
def lstm(site: Site) -> list[Tensor]:
    """Run a layer of long short-term memory, its gates in the order input, output, forget, cell."""
    coupled = bool(site.attribute("input_forget", 0))

    def step(layer: Layer, number: int, state: State, cell: State) -> tuple[Numbers, State]:
        enters = layer.act(0, _plus(layer.seen(0, number, state), layer.peephole(0, cell)))
        new = enters * layer.act(1, layer.seen(3, number, state))
        if coupled:
            layer.leave_out(2)
            new = _plus(new, None if cell is None else (1 - enters) * cell)
        elif cell is not None:
            new = new + layer.act(0, _plus(layer.seen(2, number, state), layer.peephole(2, cell))) * cell
        leaves = layer.act(0, _plus(layer.seen(1, number, state), layer.peephole(1, new)))
        return leaves * layer.act_on_cell(site, new), new

    return _layers(site, step)


@rule("AttnLSTM", "DynamicQuantizeLSTM", domain=MICROSOFT)
def unwritten(site: Site) -> None:
    """Say that these are not written: one has no specification, the other one rounds by the range of each product."""
    raise Undecided(f"{site.operator} is not written here")


Step = Callable[[Layer, int, State, State], tuple[Numbers, State]]


def _layers(site: Site, step: Step) -> list[Tensor]:
    """Run each direction of a layer."""
    names = site.attribute("direction", "forward")
    if names not in {"forward", "reverse", "bidirectional"}:
        raise Undecided(f"there is no direction {names!r}")
    backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[names]
    batch_first = bool(site.attribute("layout", 0)) if site.version >= 14 else False
    x = site.numbers(0)
    x = x.transpose((1, 0, 2)) if batch_first else x
    hidden = site.tensor(2).shape[-1]
    if site.attribute("hidden_size", hidden) != hidden:
        raise Undecided("hidden_size is not the length of the recurrent weights")
    _check_shapes(site, len(backwards), hidden, x.shape)
    activations, clip = _activations(site, len(backwards)), _clipped(site)
    lstm_ = site.operator == "LSTM"
    last = [], []  # type: tuple[list[Numbers], list[Numbers]]
    every: list[Numbers] = []
    for direction, backward in enumerate(backwards):
        w, r, b, p = (_weights(site, slot, direction, hidden) for slot in (1, 2, 3, 7))
        assert w is not None
        assert r is not None
        own = activations[direction * len(DEFAULTS[site.operator]) :]
        layer = Layer(hidden, x @ w.numbers.transpose((1, 0)), w, r, b, p, own, clip)
        states = [_initial(site, slot, direction, batch_first) for slot in ((5, 6) if lstm_ else (5,))]
        if x.shape[0] < 2 and any(each is not None and each.constant for each in states):
            raise Undecided("a layer makes fewer than two steps from a constant, so what it hands on is not seen")
        found, *states = _run(site, layer, step, (*states, None)[:2], backward)
        every.append(found)
        for kept, state in zip(last, states, strict=True):
            zero = site.world.enter(np.zeros((x.shape[1], hidden), np.float32))
            kept.append((zero if state is None else state).reshape((1, x.shape[1], hidden)))
    y = every[0].joined(every[1:], 1)
    ends = [kept[0].joined(kept[1:], 0) for kept in last]
    if batch_first:
        y, ends = y.transpose((2, 0, 1, 3)), [each.transpose((1, 0, 2)) for each in ends]
    return [site.result(each) for each in (y, *ends[: 2 if lstm_ else 1])]


def _run(
    site: Site, layer: Layer, step: Step, states: Sequence[State], backward: bool
) -> tuple[Numbers, State, State]:  # fmt: skip
    """Return the states of all steps, [steps, 1, batch, hidden], and the last states.

    A row whose sequence has ended keeps its state, and gives zeros.
    """
    state, cell = states
    count, batch = layer.inputs.shape[:2]
    handed: dict[int, Numbers] = {}
    zero = site.world.enter(np.zeros((batch, layer.hidden), np.float32))
    for number, valid in _steps(site, count, batch, backward):
        if isinstance(valid, bool) and not valid:
            handed[number] = zero
            continue
        new, new_cell = step(layer, number, state, cell)
        if not isinstance(valid, bool):
            new_cell = None if new_cell is None else _kept(valid, new_cell, cell)
            handed[number], new = valid * new, _kept(valid, new, state)
        else:
            handed[number] = new
        state, cell = new, new_cell
    rows = [handed[number].reshape((1, 1, batch, layer.hidden)) for number in range(count)]
    return rows[0].joined(rows[1:], 0), state, cell


def _kept(valid: Numbers, new: Numbers, old: State) -> Numbers:
    """Return a new state where rows go on, and the old one where they do not."""
    return _plus(valid * new, None if old is None else (1 - valid) * old)


def _steps(site: Site, count: int, batch: int, backward: bool) -> Iterator[tuple[int, bool | Numbers]]:
    """Yield the steps in their order, and for each which rows go on: all or none, or numbers 0 and 1, [batch, 1]."""
    order = range(count)[::-1] if backward else range(count)
    lengths = site.tensor(4) if site.given(4) else None
    if lengths is None:
        yield from ((number, True) for number in order)
    elif lengths.certain:
        known = site.known(4)
        if known.min(initial=1) < 1 or known.max(initial=0) > count:
            raise Undecided(f"lengths of sequences are not between 1 and {count}")
        for number in order:
            there = known > number
            mixed = not there.all() and there.any()
            yield number, site.world.enter(there.astype(np.int64).reshape(-1, 1)) if mixed else bool(there.all())
    else:
        numbers = site.numbers(4).reshape((batch, 1))
        entered = site.world.places if lengths.sized else site.world.enter
        for number in order:
            yield number, site.world.apply("Less", (), entered(np.array(number, np.int64)), numbers)


def _weights(site: Site, slot: int, direction: int, hidden: int) -> Weights | None:
    if not site.given(slot):
        return None
    return Weights(site, cut(site.tensor(slot), direction), hidden)


def _initial(site: Site, slot: int, direction: int, batch_first: bool) -> State:
    """Return a state at the start, [batch, hidden]; None where it is zero."""
    if not site.given(slot):
        return None
    tensor = site.tensor(slot)
    site.run.read(tensor)
    if tensor.certain and tensor.known is not None and not np.any(tensor.known.astype(np.float64)):
        return None
    numbers = site.run.numbers(tensor)
    return numbers[:, direction] if batch_first else numbers[direction]


def _check_shapes(site: Site, directions: int, hidden: int, x: Sequence[int]) -> None:
    """Raise `Undecided` where a shape is not what the operator takes: NumPy would repeat what is too short."""
    rows = GATES[site.operator] * hidden
    batch_first = bool(site.attribute("layout", 0)) if site.version >= 14 else False
    state = (x[1], directions, hidden) if batch_first else (directions, x[1], hidden)
    wanted: dict[int, tuple[int, ...]] = {
        1: (directions, rows, x[2]), 2: (directions, rows, hidden), 3: (directions, 2 * rows), 4: (x[1],), 5: state,
        6: state, 7: (directions, 3 * hidden),
    }  # fmt: skip
    for slot, shape in wanted.items():
        if site.given(slot) and site.inputs[slot].shape != shape:  # type: ignore[union-attr]
            raise Undecided(f"input {slot} should have the shape {shape}")


def _activations(site: Site, directions: int) -> list[Activation]:
    """Return the activations of all directions; alphas and betas are for those that take some, in their order."""
    kinds = {each.lower(): each for each in ACTIVATIONS}
    written = [_text(each) for each in site.attribute("activations") or DEFAULTS[site.operator] * directions]
    if len(written) != len(DEFAULTS[site.operator]) * directions:
        raise Undecided(f"{len(written)} activations are given")
    if unknown := [each for each in written if each.lower() not in kinds]:
        raise Undecided(f"there is no activation {unknown[0]!r}")
    names = [kinds[each.lower()] for each in written]
    given: dict[str, list[float]] = {}
    for what in ("alpha", "beta"):
        given[what] = list(site.attribute(f"activation_{what}") or [])
        takers = sum(what in ACTIVATIONS[name] for name in names)
        if len(given[what]) > takers:
            raise Undecided(f"there are more numbers activation_{what} than activations that take one")
    found = []
    for name in names:
        parameters = {what: given[what].pop(0) for what in ACTIVATIONS[name] if given[what]}
        found.append(_activation(site, name, parameters))
    return found


def _activation(site: Site, name: str, parameters: dict[str, float]) -> Activation:
    """Return an activation: the operator of that name, by its own rule."""
    missing = [what for what in ACTIVATIONS[name] if what not in parameters]
    if missing and name in WITHOUT_DEFAULTS:
        raise Undecided(f"the activation {name} has no {missing[0]}")
    if name not in {"Affine", "ScaledTanh"}:
        return _operator(site, name, [], **parameters)
    alpha, beta = (site.world.enter(np.float32(parameters[what])) for what in ("alpha", "beta"))
    if name == "Affine":
        return lambda x: x * alpha + beta
    tanh = _operator(site, "Tanh", [])
    return lambda x: tanh(x * beta) * alpha


def _clipped(site: Site) -> Activation | None:
    """Return what bounds the arguments of activations, or None."""
    limit = site.attribute("clip")
    if limit is None:
        return None
    bounds = [Tensor(FLOAT, np.array(sign * limit, np.float32)) for sign in (-1, 1)]
    return _operator(site, "Clip", bounds)


def _operator(site: Site, name: str, others: Sequence[Tensor], **attributes: Any) -> Activation:
    """Return an operator of one changing input as a function of numbers."""
    return lambda x: applied(site, name, x, *others, version=NEWEST[""], **attributes)


def _plus(one: Numbers, two: Numbers | None) -> Numbers:
    return one if two is None else one + two


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
