"""Steps that divide, take roots, logarithms and powers: of numbers that are never negative, and of some that may be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from helpers.wild.sheet import Sheet, Skip, Value


def _exponential(s: Sheet, name: str) -> str:
    return s.add("Exp", s.add("Neg", name) if s.chance() else name)


def _square(s: Sheet, name: str) -> str:
    if s.chance():
        return s.add("Mul", name, name)
    return s.add("Pow", name, s.constant(np.array(s.one_of([2, 4]), s.one_of([np.float32, np.int64]))))


def _magnitude(s: Sheet, name: str) -> str:
    """The sum of two squares, or of the squares along an axis."""
    square = _square(s, name)
    if s.chance():
        other = s.operand(s.values[name].shape, 30)
        return s.add("Add", square, _square(s, other))
    return _reduced(s, s.one_of(["ReduceSum", "ReduceMean", "ReduceMax"]), square)


def _norm(s: Sheet, name: str) -> str:
    return _reduced(s, s.one_of(["ReduceL2", "ReduceL1", "ReduceSumSquare"]), name)


def _reduced(s: Sheet, operator: str, name: str) -> str:
    axis = int(s.rng.integers(-s.values[name].rank, s.values[name].rank))
    if s.opset >= 18 or (operator == "ReduceSum" and s.opset >= 13):
        return s.add(operator, name, s.constant(np.array([axis])), keepdims=1)
    return s.add(operator, name, axes=[axis], keepdims=1)


def _rectified(s: Sheet, name: str) -> str:
    operators = ["Abs", "Relu", "Softplus", "Sigmoid", "Elu", "Tanh", "HardSigmoid", "Softmax", "Cosh", "Gelu", "Celu"]
    operator = s.one_of([each for each in operators if each != "Gelu" or s.opset >= 20])
    return s.add(operator, name)


def _varied(s: Sheet, name: str) -> str:
    """The mean square of what differs from the mean over places."""
    axis = int(s.rng.integers(-s.values[name].rank, s.values[name].rank))
    stated = {"axes": [axis]} if s.opset < 18 else {}
    more = [] if stated else [s.constant(np.array([axis]))]
    centred = s.add("Sub", name, s.add("ReduceMean", name, *more, **stated))
    return s.add("ReduceMean", _square(s, centred), *more, **stated)


def _combined(s: Sheet, name: str) -> str:
    """Two of these, added, multiplied, or the larger or smaller of them; or with a weight of the channels' own."""
    one, other = (s.one_of(BASES)(s, name) for _ in range(2))
    if s.chance(40):
        other = s.weight(*s.narrowed(s.values[one].shape))
        other = s.add("Abs", other) if s.chance() else other
    operator = s.one_of(["Add", "Mul", "Max", "Min"])
    return s.add(operator, *s.rng.permutation([one, other]).tolist())


BASES: list[Callable[[Sheet, str], str]] = [
    _exponential, _square, _magnitude, _norm, _rectified, _varied, lambda s, name: name,
]  # fmt: skip


def _lifted(s: Sheet, name: str) -> str:
    """Keep a tensor above a number, or let it be."""
    number = s.one_of([0.5, 1.0, 1e-3])
    kind = s.one_of(["add", "add", "clip", "max", "where", "none", "moved"])
    if kind == "add":
        return s.add("Add", *s.rng.permutation([name, s.scalar(number)]).tolist())
    if kind == "clip":
        return s.add("Clip", name, s.scalar(number), *([s.scalar(9)] if s.chance(30) else []))
    if kind == "max":
        return s.add("Max", name, s.scalar(number))
    if kind == "where":
        return s.add("Where", s.add("Greater", name, s.scalar(number)), name, s.scalar(number))
    if kind == "moved":
        rank = s.values[name].rank
        made = s.add("Transpose", s.add("Add", name, s.scalar(number)), perm=list(range(rank))[::-1])
        return s.add("Transpose", made, perm=list(range(rank))[::-1])
    return name


def defined(s: Sheet) -> None:
    """What is not defined everywhere, of a tensor that is made positive, or happens to be on these inputs."""
    value = s.pick()
    under = _lifted(s, s.one_of([*BASES, _combined])(s, value.name))
    kind = s.one_of(["quotient", "quotient", "root", "log", "reciprocal", "power", "one over", "elsewhere"])
    if kind == "quotient":
        s.add("Div", value.name, under)
    elif kind == "one over":
        s.add("Mul", value.name, s.add("Div", s.scalar(s.one_of([1.0, -2.0])), under))
    elif kind == "elsewhere":
        s.add("Div", s.pick().name, under)
    elif kind == "power":
        exponent = s.one_of([0.5, 1.5, 3.0, -1.0, -0.5, 1 / 3])
        made = s.add("Pow", under, s.scalar(exponent))
        if s.chance(30):
            s.add("Pow", s.add("ReduceMean", made, keepdims=1), s.scalar(1 / abs(exponent)))
    else:
        s.add({"root": "Sqrt", "log": "Log", "reciprocal": "Reciprocal"}[kind], under)


def activation(s: Sheet) -> None:
    """An activation that is written in single nodes."""
    value = s.pick()
    name = value.name
    one = s.scalar(1)
    kind = s.one_of(["swish", "mish", "logistic", "squareplus", "unit", "squash", "gem", "attention"])
    if kind == "swish":
        s.add("Div", name, s.add("Add", s.add("Exp", s.add("Neg", name)), one))
    elif kind == "mish":
        s.add("Mul", name, s.add("Tanh", s.add("Log", s.add("Add", one, s.add("Exp", name)))))
    elif kind == "logistic":
        s.add("Reciprocal", s.add("Add", s.add("Exp", s.add("Neg", name)), one))
    elif kind == "squareplus":
        s.add("Add", name, s.add("Sqrt", s.add("Add", s.add("Mul", name, name), s.scalar(4))))
    elif kind == "unit":
        s.add("Div", name, s.add("Max", _reduced(s, "ReduceL2", name), s.scalar(1e-3)))
    elif kind == "squash":
        s.add("Div", name, s.add("Add", one, s.add("Abs", name)))
    elif kind == "gem":
        power = s.one_of([2.0, 3.0, 2.5])
        raised = s.add("Pow", s.add("Clip", name, s.scalar(1e-3)), s.scalar(power))
        s.add("Pow", _reduced(s, "ReduceMean", raised), s.scalar(1 / power))
    else:
        _attention(s, value)


def _attention(s: Sheet, value: Value) -> None:
    """Attention without a Softmax: positive queries and keys, over the sum of their products."""
    if value.rank < 2 or value.shape[-1] is None:
        raise Skip
    last = value.shape[-1]
    query, key = (s.add("Add", s.add("Elu", s.add("MatMul", value.name, s.weight(last, 4))), s.scalar(1))
                  for _ in range(2))  # fmt: skip
    over = [*range(value.rank - 2), value.rank - 1, value.rank - 2]
    scores = s.add("MatMul", query, s.add("Transpose", key, perm=over))
    total = s.add("Add", _summed(s, scores), s.scalar(1e-3))
    s.add("MatMul", s.add("Div", scores, total), s.operand((*value.shape[:-1], last), 0))


def _summed(s: Sheet, name: str) -> str:
    return s.add("ReduceSum", name, s.constant(np.array([-1])), keepdims=1)


STEPS = {defined: 10, activation: 6}
