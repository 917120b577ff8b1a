"""Errors in constants: one number, or several."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from onnx import TensorProto

from exact_mistakes.model import LARGE, NORMS, RECURRENT, Function, Kinds, Model, NoPlaceError

KINDS = Kinds()


def moved(to: Callable[[Any], Any], suits: Callable[[TensorProto], bool] = lambda each: len(each.dims) > 1) -> Function:
    """Return a kind that changes one element of a constant that is not 0."""

    def move(model: Model) -> str:
        return element(model, model.named(suits), to)

    return move


def element(model: Model, name: str, to: Callable[[Any], Any]) -> str:
    """Change one element of a constant: as ``to`` says, or by `LARGE` of it or of 1."""
    array = model.array(name)
    places = np.flatnonzero(array)
    place = model.one(places if len(places) else range(array.size))
    number = array.reshape(-1)[place]
    with np.errstate(over="ignore"):
        array.reshape(-1)[place] = number + LARGE * max(1, abs(number)) if model.large else to(number)
    return f"{model.put(name, array)}[{place}]"


def next_up(number: Any) -> Any:
    """Return the next number that the type holds."""
    return np.nextafter(number, np.array(np.inf, number.dtype))


def next_down(number: Any) -> Any:
    """Return the number before it that the type holds."""
    return np.nextafter(number, np.array(-np.inf, number.dtype))


KINDS |= {
    "a weight one unit in the last place up": moved(next_up),
    "a weight one unit in the last place down": moved(next_down),
    "a weight 1e-3 off": moved(lambda number: number * 1.001),
    "a weight 1e-6 off": moved(lambda number: number * (1 + 1e-6)),
    "a weight's sign": moved(lambda number: -number),
    "a weight times 2": moved(lambda number: number * 2),
    "a weight times 2^31": moved(lambda number: number * 2.0**31),
    "a weight times 2^-20": moved(lambda number: number * 2.0**-20),
    "a weight 0": moved(lambda number: number * 0),
    "a bias moved by 1e-4": moved(lambda number: number + 1e-4, lambda each: len(each.dims) == 1 and each.dims[0] > 1),
    "a scalar 1e-3 off": moved(lambda number: number * 1.001, lambda each: int(np.prod(each.dims)) == 1),
    "a scalar one unit off": moved(next_up, lambda each: int(np.prod(each.dims)) == 1),
}


@KINDS.kind("a zero that leaks 1e-7")
def leak(model: Model) -> str:
    """Make a weight that is 0 very small."""
    name = model.one(
        n for n, t in model.constants.items() if len(t.dims) > 1 and t.data_type == 1 and (model.array(n) == 0).any()
    )
    array = model.array(name)
    place = model.one(np.flatnonzero(array == 0))
    array.reshape(-1)[place] = LARGE if model.large else 1e-7
    return f"{model.put(name, array)}[{place}]"


def of_operator(operators: Iterable[str], slots: tuple[int, ...], to: Callable[[Any], Any]) -> Function:
    """Return a kind that changes one element of a constant that some operators read."""
    return lambda model: element(model, model.read_by(operators, *slots), to)


KINDS |= {
    "a norm's gain 1e-3 off": of_operator(NORMS, (1,), lambda number: number * 1.001),
    "a norm's offset 1e-3 off": of_operator(NORMS, (2,), lambda number: number * 1.001),
    "a mean 1e-3 off": of_operator({"BatchNormalization"}, (3,), lambda number: number * 1.001),
    "a variance one unit off": of_operator({"BatchNormalization"}, (4,), next_up),
    "a table's element 1e-3 off": of_operator({"Gather"}, (0,), lambda number: number * 1.001),
    "a recurrent weight 1e-3 off": of_operator(RECURRENT, (1, 2, 3), lambda number: number * 1.001),
    "a divisor or factor 1e-5 off": of_operator({"Div", "Mul", "Pow"}, (0, 1), lambda number: number * 1.00001),
    "a scale of quantisation one unit off": of_operator(
        {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"}, (1, 4, 6), next_up
    ),
}


# --- several numbers of a constant


def exchanged(axis: int, suits: Callable[[TensorProto], bool]) -> Function:
    """Return a kind that exchanges two slices of a constant along an axis."""

    def exchange(model: Model) -> str:
        return swap(model, model.named(suits), axis)

    return exchange


def swap(model: Model, name: str, axis: int) -> str:
    """Exchange two slices of a constant along an axis."""
    array = model.array(name)
    if array.ndim <= axis or array.shape[axis] < 2:
        raise NoPlaceError
    one, two = model.draw.choice(array.shape[axis], 2, replace=False)
    array = np.moveaxis(array, axis, 0)
    array[[one, two]] = array[[two, one]]
    return f"{model.put(name, np.moveaxis(array, 0, axis))}, {one} and {two} of axis {axis}"


KINDS |= {
    "two rows exchanged": exchanged(0, lambda each: len(each.dims) > 1 and each.dims[0] > 1),
    "two columns exchanged": exchanged(1, lambda each: len(each.dims) > 1 and each.dims[1] > 1),
    "two elements of a bias exchanged": exchanged(0, lambda each: len(each.dims) == 1 and each.dims[0] > 1),
    "two places of a kernel exchanged": exchanged(2, lambda each: len(each.dims) > 2 and each.dims[2] > 1),
    "the variances of two channels exchanged": lambda model: swap(model, model.read_by(NORMS, 4), 0),
    "two rows of a table exchanged": lambda model: swap(model, model.read_by({"Gather"}, 0), 0),
}


@KINDS.kind("a square weight transposed")
def transposed(model: Model) -> str:
    """Transpose a square matrix."""
    name = model.named(lambda each: len(each.dims) == 2 and each.dims[0] == each.dims[1] > 1)
    return model.put(name, model.array(name).T)


@KINDS.kind("a kernel transposed")
def kernel_transposed(model: Model) -> str:
    """Transpose a square kernel in its two last axes."""
    name = model.named(lambda each: len(each.dims) == 4 and each.dims[2] == each.dims[3] > 1)
    return model.put(name, model.array(name).swapaxes(2, 3))


@KINDS.kind("the share of one copy times 1.5")
def share(model: Model) -> str:
    """Multiply what reads one channel."""
    name = model.named(lambda each: len(each.dims) > 1)
    array = model.array(name)
    axis, place = model.draw.integers(2), 0
    place = model.draw.integers(array.shape[axis])
    np.moveaxis(array, axis, 0)[place] *= array.dtype.type(1.5)
    return f"{model.put(name, array)}, {place} of axis {axis}"


@KINDS.kind("two constants of the same shape exchanged")
def constants_exchanged(model: Model) -> str:
    """Exchange the numbers of two tensors."""
    one = model.named(lambda each: int(np.prod(each.dims)) > 1)
    shape = model.constants[one].dims
    two = model.named(lambda each: each.dims == shape and each is not model.constants[one])
    first, second = model.array(one), model.array(two)
    model.put(one, second.astype(first.dtype))
    model.put(two, first.astype(second.dtype))
    return f"{one} and {two}"


@KINDS.kind("a whole number off by one")
def index(model: Model) -> str:
    """Move an index, a length or an axis that is a constant."""
    name = model.named(lambda each: int(np.prod(each.dims)) > 0, "i")
    array = model.array(name)
    place = model.draw.integers(array.size)
    array.reshape(-1)[place] += model.one((-1, 1))
    return f"{model.put(name, array)}[{place}]"


@KINDS.kind("a mask constant")
def mask(model: Model) -> str:
    """Change a place of a mask: a boolean, an infinity or a very large number."""
    found = []
    for name, each in model.constants.items():
        if each.data_type in (TensorProto.BOOL, TensorProto.FLOAT) and 0 < np.prod(each.dims, dtype=int) < 1 << 18:
            array = model.array(name)
            if array.dtype == bool or (np.abs(array) > 1e4).any():
                found.append(name)
    name = model.one(found)
    array = model.array(name)
    place = model.draw.integers(array.size)
    number = array.reshape(-1)[place]
    array.reshape(-1)[place] = not number if array.dtype == bool else (0 if abs(number) > 1e4 else -np.inf)
    return f"{model.put(name, array)}[{place}]"
