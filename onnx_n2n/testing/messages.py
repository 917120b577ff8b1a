"""What a failed test says: which output is off, by how much, what is acceptable, and where it begins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from onnx_n2n.verification.compare import OutputVerdict
from onnx_n2n.verification.farthest import Farthest
from onnx_n2n.verification.interfaces import Difference
from onnx_n2n.words import brief

MOST = 8  # lines about one thing


def interface(found: Sequence[Difference], before: str, now: str) -> Iterator[str]:
    """Say how inputs and outputs differ, with what the two models are called."""
    for each in found[:MOST]:
        if each.what == "missing":
            yield f"{each.where} {each.name!r} ({each.teacher}) is missing"
        elif each.what == "added":
            yield f"{each.where} {each.name!r} ({each.student}) is new"
        else:
            yield f"{each.where} {each.name!r} has another {each.what}: {before} {each.teacher}, {now} {each.student}"
    yield from _more(found)


def outputs(
    found: Sequence[OutputVerdict], differences: Sequence[Difference], places: Sequence[Farthest | None] = ()
) -> Iterator[str]:
    """Say how far each output is off that does not pass, and where it is furthest off if that is known.

    Those of another type or shape are told as differences of the interfaces.
    """
    told = {each.name for each in differences if each.where == "output"}
    wrong = [pair for pair in zip_longest(found, places) if not pair[0].ok and pair[0].name not in told]
    for output, place in wrong[:MOST]:
        yield f"output {output.name!r} {_off(output)}"
        if place is not None:
            where = f"at [{', '.join(map(str, place.index))}] " * bool(place.index)
            yield f"  furthest {where}of feed {place.feed}: recorded {_value(place.truth)}, now {_value(place.value)}"
    yield from _more(wrong)


def _off(output: OutputVerdict) -> str:
    of = " of its own size" if output.vacuous else " of how far it moves from one input to another"
    of *= output.tolerance > 0  # an output of zeros has no size
    error = f"{output.error:.1e}{of}" if math.isfinite(output.error) else "infinitely much"
    rounding = "not measured" if output.rounding_error is None else f"{output.rounding_error:.1e}"
    return f"is off by {error} (allowed {output.tolerance:.1e}, rounding error {rounding})"


def _value(value: object) -> str:
    return brief(str(value), 24)


def _more(found: Sequence[object]) -> Iterator[str]:
    if len(found) > MOST:
        yield f"and {len(found) - MOST} more"
