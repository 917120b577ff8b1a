"""Changing the type of numbers: the identity where every number fits, else a random function of the type."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import onnx
from onnx import helper

from onnx_n2n.exact import reference
from onnx_n2n.exact.functions import define
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.decisions import NOT_ZERO
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import BOOL, STRING, WHOLE, Tensor, kind, named
from onnx_n2n.exact.undecided import Undecided

_T = onnx.TensorProto
# Of floating-point types how many bits a number has, and the largest number as a power of 2.
FLOATS: dict[int, tuple[int, int]] = {
    _T.FLOAT16: (11, 16), _T.BFLOAT16: (8, 128), _T.FLOAT: (24, 128), _T.DOUBLE: (53, 1024),
}  # fmt: skip
BITS: dict[int, int] = {
    type_: int(name.removeprefix("U").removeprefix("INT")) for name, type_ in _T.DataType.items() if "INT" in name
}
SIGNED: set[int] = {type_ for type_ in BITS if not named(type_).startswith("U")}
LOWER: set[int] = {each for each in _T.DataType.values() if named(each).startswith("FLOAT")} - set(FLOATS)


def _wrapped(x: np.ndarray, type_: int) -> np.ndarray:
    """Return whole numbers without the bits that a type has no place for; of 64 bits, those too large say nothing."""
    bits = BITS[type_]
    if bits == 64:
        low = -(2.0**63) if type_ in SIGNED else 0.0
        return np.where((x >= low) & (x < low + 2.0**64), x, np.nan)
    rest = np.asarray(np.mod(x, 2.0**bits))
    return np.where(rest >= 2.0 ** (bits - 1), rest - 2.0**bits, rest) if type_ in SIGNED else rest


def _truncated(x: np.ndarray, type_: int) -> np.ndarray:
    return _wrapped(np.trunc(x), type_)


def _rounded(x: np.ndarray, type_: int, saturate: int = 1, round_mode: str = "up") -> np.ndarray:
    """Return numbers as a type holds them; of 16 and more bits only those that are too large change."""
    if type_ in FLOATS:
        return np.where(np.abs(x) >= 2.0 ** FLOATS[type_][1], np.sign(x) * np.inf, x)
    node = helper.make_node("Cast", ["x"], ["y"], to=type_, saturate=saturate, round_mode=round_mode)
    (found,) = reference.run(node, 25, [x.astype(np.float32)], node.attribute)
    return found.astype(np.float64)


def _reduced(x: np.ndarray, type_: int) -> np.ndarray:
    """Return whole numbers that a type has; the others say nothing."""
    return np.where(_wrapped(x, type_) == x, x, np.nan)


WRAPPED = define("Wrapped", _wrapped, idempotent=True, zero=True)
# Of sums and products of many numbers, and of powers, ONNX Runtime gives the largest number of a type where others wrap
# them around, or what no rule says.
REDUCED = define("Reduced", _reduced, idempotent=True, zero=True)
TRUNCATED = define("Truncated", _truncated, idempotent=True, zero=True)
ROUNDED = define("Rounded", _rounded, idempotent=True, zero=True)


@rule("Cast")
def cast(site: Site) -> Tensor:
    """Change the type to one that is named."""
    return changed(site, site.attribute("to"))


@rule("CastLike")
def cast_like(site: Site) -> Tensor:
    """Change the type to that of another tensor."""
    like = site.tensor(1)
    if like.known is not None and like.known.size == 1:
        site.run.read(like)  # its number makes no difference
    return changed(site, like.type)


def changed(site: Site, to: int) -> Tensor:
    """Return a node's first input in another type."""
    tensor, how = site.tensor(0), (site.attribute("saturate", 1), site.attribute("round_mode", "up"))
    if to == tensor.type:
        return tensor
    if STRING in {to, tensor.type}:
        raise Undecided("a text is made of a number, or a number of a text")
    if tensor.certain and (array := constant_in_type(tensor, to)) is not None:
        return Tensor(to, array, ids=tensor.ids)
    return site.result(in_type(site, site.numbers(0), tensor.type, to, how), to)


def constant_in_type(tensor: Tensor, to: int) -> np.ndarray | None:
    """Return a constant in another type, where it is certain what that is; else None."""
    assert tensor.known is not None
    if to not in FLOATS or (tensor.type not in FLOATS and not fits(tensor.type, to)):
        return None
    with np.errstate(over="ignore"):
        array = tensor.known.astype(kind(to))
    exact = tensor.type not in WHOLE or bool((array.astype(tensor.known.dtype) == tensor.known).all())
    return array if exact else None


def in_type(site: Site, x: Numbers, old: int, new: int, how: tuple[int, str] = (1, "up")) -> Numbers:
    """Return numbers of one type as another type holds them.

    Args:
        site: The node.
        x: The numbers.
        old: Their type.
        new: The type that they get.
        how: Whether types of 8 and fewer bits take their largest number for larger ones, and how they round.
    """
    if fits(old, new):
        if not x.constant and fits_exactly(old, new):
            back, key = (WRAPPED, (old,)) if old in BITS and new in BITS else function_of(old, (1, "up"))
            site.world.note(back, x, parameters=key)  # back in the old type they are what they were
        return x
    name, parameters = (WRAPPED, (new,)) if old in BITS and new in BITS else function_of(new, how)
    found: Numbers = site.world.apply(name, parameters, x)
    return found


def function_of(type_: int, how: tuple[int, str]) -> tuple[str, tuple[Hashable, ...]]:
    """Return the function that brings floating-point numbers into a type, and its parameters.

    Raises:
        Undecided: If the type is not known.
    """
    if type_ == BOOL:
        return NOT_ZERO, ()
    if type_ in BITS:
        return TRUNCATED, (type_,)
    if type_ in FLOATS:
        return ROUNDED, (type_,)
    if type_ in LOWER:
        return ROUNDED, (type_, *how)
    raise Undecided(f"nothing is known of the type {named(type_)}")


def fits(old: int, new: int) -> bool:
    """Return whether a type holds all numbers of another one, but for the rounding that all arithmetic has."""
    return fits_exactly(old, new) or (old in BITS and new in {_T.FLOAT, _T.DOUBLE})


def fits_exactly(old: int, new: int) -> bool:
    """Return whether a type holds all numbers of another one."""
    if old == BOOL:
        return new in BITS or new in FLOATS
    if old in BITS and new in BITS:
        return BITS[old] + (old not in SIGNED and new in SIGNED) <= BITS[new] and (old not in SIGNED or new in SIGNED)
    if old in BITS and new in FLOATS:
        return BITS[old] <= FLOATS[new][0]
    if old in FLOATS and new in FLOATS:
        return all(a <= b for a, b in zip(FLOATS[old], FLOATS[new], strict=True))
    return old in LOWER and new in {_T.FLOAT16, _T.FLOAT, _T.DOUBLE, _T.BFLOAT16} and named(old) != "FLOAT8E8M0"
