"""What a growth record must look like: its fields as a table, and the laws that its numbers keep.

A record comes from a file that anybody may have written. Whoever reads one calls :func:`check` first; what follows then
needs no care. ``docs/growth-record.md`` says the same in words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from onnx_n2n.io.tensorfile import shown
from onnx_n2n.record.checks import TEXT, Arrays, At, Damage, array, called, many, maybe, named, one_of, plain, table
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.steps import COPY, ZERO

SQUARE = 1 << 64  # what a square and its denominator are below
LARGEST = 1 << 40  # numbers in one weight; more is no weight, and would not fit into memory either
DEEPEST = 60  # keys that lead to a part of a form
DIGEST = re.compile("[0-9a-f]{64}")


# What a field may be --------------------------------------------------------------------------------------------------


def _finite(value: Any) -> bool:
    return math.isfinite(value) if type(value) is float else type(value) is int and abs(value) < 2**64


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and (value[0] is None or _finite(value[0])) and _finite(value[1])


def _ones(at: At) -> None:
    if at.value != "ones":
        array("float64")(at)


def _origin(at: At) -> None:
    ORIGIN(at)
    try:
        Origin.from_json(at.value)
    except ValueError as failure:
        at.wrong(str(failure))


def _form(at: At) -> None:
    """Check a form, of :mod:`onnx_n2n.record.forms`."""
    if len(at.path) > DEEPEST:
        at.wrong("a form is nested too deeply")
    if not isinstance(at.value, dict) or len(at.value) != 1:
        at.wrong(f"{shown(at.value)} is no form")
    ((kind, value),) = at.value.items()
    inside = At(value, at.arrays, (*at.path, shown(kind)))
    if kind in {"tensor", "student", "setting"}:
        TEXT(inside)
    elif kind == "array":
        array("float64")(inside)
    elif kind == "number":
        _fraction(inside)
    elif kind in {"times", "plus"}:
        many(_form)(inside)
    elif kind in {"power", "shaped"} and isinstance(value, list) and len(value) == 2:
        _form(inside.inside(value[0], "base"))
        (_fraction if kind == "power" else many(plain("length", lambda each: type(each) is int and each >= -1)))(
            inside.inside(value[1], "what it is taken to")
        )
    else:
        at.wrong(f"{shown(at.value)} is no form")


def _square(at: At) -> None:
    _fraction(at)
    if not all(0 < each < SQUARE for each in at.value):
        at.wrong(f"{shown(at.value)} is no fraction of two whole numbers from 1 to 2^64 - 1")


def _fraction(at: At) -> None:
    whole = isinstance(at.value, list) and len(at.value) == 2 and all(type(each) is int for each in at.value)
    if not whole or not 0 < at.value[1] < 2**1100 or abs(at.value[0]) >= 2**1100:
        at.wrong(f"{shown(at.value)} is no fraction of two whole numbers")


# The fields -----------------------------------------------------------------------------------------------------------

WHOLE = plain("whole number from 0 on", _whole)
SHA256 = plain("SHA-256 in hexadecimal digits", lambda value: isinstance(value, str) and bool(DIGEST.fullmatch(value)))
TEXTS, LENGTHS = many(TEXT), many(WHOLE)

AXIS = table(
    {
        "axis": WHOLE,
        "role": one_of("makes", "reads"),
        "index": array("int64"),
        "share": maybe(array("float64")),
        "gradient": maybe(array("float64")),
        "copies": maybe(array("int64")),
        "fresh": maybe(array("uint8")),
        "row": maybe(_ones),
    },
    {"form": _form, "sources": array("int64", 2), "weights": array("float64", 2)},
)
TENSOR = table(
    {
        "teacher": TEXT,
        "student": TEXT,
        "readers": TEXTS,
        "before": LENGTHS,
        "after": LENGTHS,
        "axes": many(AXIS, called("axis", "axis")),
        "scale": plain("finite number above 0", lambda value: _finite(value) and value > 0),
        "noise": plain("finite number from 0 on", lambda value: _finite(value) and value >= 0),
        "seed": LENGTHS,
        "zero": maybe(array("int64", rank=None)),
    },
    {
        "law": plain("law of random values, 2 or 3", lambda value: type(value) is int and value in {2, 3}),
        "squared": _square,
        "offset": plain("finite number", _finite),
    },
)
NEW = table(
    {"student": TEXT, "shape": LENGTHS, "like": TEXT, "readers": TEXTS, "kind": TEXT, "place": WHOLE},
    {"copies": TEXTS, "made": one_of(COPY, ZERO)},
)
FORMS = table({"tensors": named(_form, "form of"), "settings": named(_form, "form of")})
STEP = table(
    {
        "pass": TEXT,
        "seed": maybe(WHOLE),
        "parent": SHA256,
        "tensors": many(TENSOR, called("tensor", "teacher")),
        "new": many(NEW, called("new weight", "student")),
        "settings": named(plain("pair of numbers, the first perhaps null", _pair), "setting"),
    },
    {
        "apart": many(TENSOR, called("apart, tensor", "teacher")),
        "multiplied": TEXTS,
        "gained": TEXTS,
        "forms": FORMS,
        "outputs": TEXTS,
        "gone": TEXTS,
    },
)
ORIGIN = table({"names": TEXTS, "layout": TEXT, "node": TEXT, "source": TEXT}, {"tied": TEXT})
DOCUMENT = table({
    "teacher": SHA256,
    "student": SHA256,
    "steps": many(STEP, lambda place, _: f"step {place + 1}"),
    "origins": named(many(_origin), "origin of"),
})  # fmt: skip


# The laws -------------------------------------------------------------------------------------------------------------
# They yield what is wrong, and nobody asks for more than the first: what stands further down may take it for granted.


@dataclass(frozen=True, eq=False)
class _Axis:
    """An axis that grew, from ``before`` to ``after`` places, with its arrays."""

    before: int
    after: int
    role: str
    index: np.ndarray
    share: np.ndarray | None
    gradient: np.ndarray | None
    copies: np.ndarray | None
    fresh: np.ndarray | None
    row: np.ndarray | str | None
    sources: np.ndarray | None = None
    weights: np.ndarray | None = None


def _along(axis: _Axis) -> Iterator[str]:
    """Yield what is wrong with an axis."""
    for name in ("index", "share", "gradient", "copies", "fresh"):
        found = getattr(axis, name)
        if found is not None and len(found) != axis.after:
            yield f"{name} has {len(found)} places, where the weight has {axis.after} after"
    if isinstance(axis.row, np.ndarray) and len(axis.row) != axis.before:
        yield f"row has {len(axis.row)} places, where the weight had {axis.before}"
    for place in axis.index[(axis.index < 0) | (axis.index >= axis.before + (axis.row is not None))][:1]:
        yield f"index {place} is outside of the {axis.before} places there were"
    if axis.after < axis.before:
        yield f"it shrank from {axis.before} to {axis.after} places"
    for place in np.flatnonzero(np.bincount(axis.index, minlength=axis.before) == 0)[:1]:
        yield f"no place stands for the old place {place}"
    if (axis.share is not None, axis.copies is not None) != (axis.role == "reads",) * 2:
        yield f"an axis that {axis.role!s} has {'no ' if axis.role == 'reads' else ''}share and copies"
    for name in ("share", "gradient", "fresh"):
        found = getattr(axis, name)
        for number in () if found is None else found[(found < 0) | (found > 1)][:1]:
            yield f"{name} {number} is not from 0 to 1"
    if axis.share is not None and axis.copies is not None:
        yield from _divided(axis.index, axis.share, axis.copies)
    yield from _mixed(axis)
    if axis.gradient is not None and axis.share is None:  # a row and fresh places have had no gradient
        yield from _sums("gradients", axis.gradient, axis.index, axis.index, axis.before)


def _mixed(axis: _Axis) -> Iterator[str]:
    """Yield what is wrong with the mixtures of an axis."""
    if axis.sources is None and axis.weights is None:
        return
    if axis.sources is None or axis.weights is None or axis.fresh is None:
        yield "a mixture has sources, weights and fresh places, and one of these is missing"
    elif axis.sources.shape != axis.weights.shape or len(axis.sources) != np.count_nonzero(axis.fresh):
        shapes = f"{list(axis.sources.shape)} sources and {list(axis.weights.shape)} weights"
        yield f"there are {shapes} for {np.count_nonzero(axis.fresh)} fresh places"
    else:
        for place in axis.sources[(axis.sources < 0) | (axis.sources >= axis.before)][:1]:
            yield f"source {place} is outside of the {axis.before} places there were"
        for total in (found := np.abs(axis.weights).sum(axis=1))[found > 1][:1]:
            yield f"a mixture has weights that sum to {total}, and 1 is the most"


def _divided(index: np.ndarray, share: np.ndarray, copies: np.ndarray) -> Iterator[str]:
    """Yield what is wrong with the shares of an axis that is summed over."""
    _, first, group = np.unique(copies, return_index=True, return_inverse=True)
    yield from _sums("shares", share, group, index[first], len(first))
    # The first copy of each group that carries anything: what the others carry must be of the same old place.
    carrying = np.flatnonzero(share > 0)
    stands = np.full(len(first), -1)
    stands[group[carrying][::-1]] = index[carrying][::-1]
    for place in carrying[index[carrying] != stands[group[carrying]]][:1]:
        yield f"places of the old places {stands[group[place]]} and {index[place]} are said to be copies of one another"


def _sums(name: str, parts: np.ndarray, group: np.ndarray, old: np.ndarray, count: int) -> Iterator[str]:
    """Yield the first group whose parts do not sum to exactly 1; they are sums of powers of two, so that they can."""
    sums = np.bincount(group, parts, minlength=count)[:count]
    for place in np.flatnonzero(sums != 1)[:1]:
        yield f"the {name} of the copies of the old place {old[place]} sum to {sums[place]!r}, not to 1"


def _tensor(entry: Mapping[str, Any], arrays: Arrays) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a weight that grew, with the word for where."""
    before, after, numbers = entry["before"], entry["after"], [axis["axis"] for axis in entry["axes"]]
    if len(before) != len(after):
        yield "", f"it has {len(before)} axes before and {len(after)} after"
    if max(math.prod(before), math.prod(after), *before, *after) > LARGEST:
        yield "", f"no weight has {shown(max(math.prod(before), math.prod(after), *before, *after))} numbers"
    for number in numbers:
        if number >= len(before):
            yield f"axis {shown(number)}", f"the weight has {len(before)} axes"
        if numbers.count(number) > 1:
            yield f"axis {number}", "it is there twice"
    for axis in entry["axes"]:
        number = axis["axis"]
        found = {key: arrays.get(axis[key], axis[key]) for key in axis.keys() - {"axis", "role", "row", "form"}}
        row = "ones" if axis["row"] == "ones" else arrays.get(axis["row"])
        yield from (
            (f"axis {number}", fault)
            for fault in _along(_Axis(before[number], after[number], axis["role"], row=row, **found))
        )
    for number in range(len(before)):
        if number not in numbers and before[number] != after[number]:
            yield f"axis {number}", f"it grew from {before[number]} to {after[number]} places, and nothing says how"
    over, under = entry.get("squared", (0, 1))
    if over and not math.isclose(entry["scale"] ** 2, over / under, rel_tol=1e-9):
        yield "", f"its scale is {entry['scale']}, and not the root of {over}/{under}"
    reads = any(axis["role"] == "reads" for axis in entry["axes"])
    if entry.get("offset") and (reads or "squared" not in entry):
        yield "", "it has an offset, " + ("and copies that sum to it" if reads else "and is not scaled")
    zero = None if entry["zero"] is None else arrays[entry["zero"]]
    if zero is not None and zero.size != 1 and not _broadcasts(zero.shape, before):
        yield "", f"what stands for zero has the shape {list(zero.shape)}, where the weight has {before}"


def _broadcasts(shape: Sequence[int], to: Sequence[int]) -> bool:
    return len(shape) == len(to) and all(own in {1, other} for own, other in zip(shape, to, strict=True))


def _steps(document: Mapping[str, Any], arrays: Arrays) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the steps, one after the other."""
    models = [*(step["parent"] for step in document["steps"]), document["student"]]
    if models[0] != document["teacher"]:
        yield "", "the first step does not begin at the teacher"
    if len(set(models)) < len(models):
        yield "", "two steps begin at the same model, or one at the student"
    for number, step in enumerate(document["steps"], 1):
        for entry in step["new"]:
            if len(entry.get("copies", entry["readers"])) != len(entry["readers"]):
                where = f"step {number}, new weight {shown(entry['student'])}"
                yield where, f"it has {len(entry['copies'])} copies of {len(entry['readers'])} readers"
        for kind, entries in (("tensor", step["tensors"]), ("apart, tensor", step.get("apart", ()))):
            for entry in entries:
                where = f"step {number}, {kind} {shown(entry['teacher'])}"
                for place, fault in _tensor(entry, arrays):
                    yield ", ".join(filter(None, (where, place))), fault


def _origins(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with what is said of the parameters in weights that grow in the first step."""
    grown = {entry["teacher"]: entry["before"] for step in document["steps"][:1] for entry in step["tensors"]}
    for weight, before in grown.items():
        for entry in document["origins"].get(weight, ()):
            if not Origin.from_json(entry).layout.fits(len(before)):
                fault = f"no weight of the shape {before} can lie as {shown(entry['layout'])}"
                yield f"origin of {shown(weight)}", fault


def check(document: Any, arrays: Arrays) -> None:
    """Make sure that a document is a growth record, and its arrays are what it says.

    Raises:
        Damage: If they are not, with where and why.
    """
    DOCUMENT(At(document, arrays))
    for where, fault in chain(_steps(document, arrays), _origins(document)):
        raise Damage(f"{where}: {fault}" if where else fault)
