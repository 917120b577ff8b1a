"""Why a model has not grown as it was asked for, and the nearest factor for which its class has a config."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from onnx_n2n.errors import N2NError
from onnx_n2n.huggingface.configs import Fields
from onnx_n2n.huggingface.fitting import Fitted, fitted
from onnx_n2n.huggingface.teacher import Teacher
from onnx_n2n.passes.widen import Widen
from onnx_n2n.width.choice import unchanged
from onnx_n2n.width.plan import plan


def otherwise(teacher: Teacher, change: Widen, fit: Fitted, reasons: Mapping[str, str]) -> tuple[str, ...]:
    """Return which groups do not grow as asked, and why, in sentences without full stops.

    Args:
        teacher: The old model, as it grows.
        change: What was asked for.
        fit: What grows of it.
        reasons: Why groups were left out of it, by name.
    """
    wanted, kind = plan(teacher.analysis, change), teacher.network.kind.__name__
    unsaid = f"no config of {kind} says what it would become"
    small = f"a factor of {change.times:g} adds not even one to it"
    why = dict.fromkeys((each.name for each in unchanged(teacher.analysis, change)), small)
    why |= {each.name: reasons.get(each.name, unsaid) for each in wanted.grown if each.name not in fit.grown}
    why |= {each.name: each.reason for each in wanted.kept if each.whole}
    names: dict[str, list[str]] = {}
    for name, reason in why.items():
        names.setdefault(reason, []).append(name)
    keep = [f"{_first(each)}: {reason}" for reason, each in names.items()]
    rounded = (each for each in fit.larger.result.change.grown if each.note)
    return (*keep, *(f"{each.name!r} grows from {each.before} to {each.after}: {each.note}" for each in rounded))


def nearest(teacher: Teacher, change: Widen, fields: Fields) -> str:
    """Return a sentence about the factor nearest to the one asked for with which all can grow, as the config goes.

    It is empty if none of those that were tried will do. The class is not traced with it.
    """
    wanted = plan(teacher.analysis, change)
    sizes = {each.name: each.before for each in wanted.grown}
    sizes |= {each.name: each.size for each in wanted.kept if each.whole}
    sizes |= {each.name: each.size for each in unchanged(teacher.analysis, change)}
    for factor in _factors(change.times, min(sizes.values())):
        with contextlib.suppress(N2NError):
            fit = fitted(teacher, replace(change, factor=factor), fields)
            if sizes.keys() <= fit.grown and not any(each.note for each in fit.larger.result.change.grown):
                return f"with a factor of {factor:g} the class has a config in which all of it grows"
    return ""


def _factors(asked: float, smallest: int) -> Iterator[float]:
    """Yield factors, the nearest first: whole ones, and those that make the smallest group, as heads, a whole number.

    >>> list(_factors(1.1, 4))
    [1.25, 2.0]
    """
    found = {step(asked * size) / size for size in (1, smallest) for step in (math.floor, math.ceil)}
    yield from sorted((each for each in found if each > 1 and each != asked), key=lambda each: abs(each - asked))


def _first(names: list[str]) -> str:
    return f"{names[0]!r} keeps its size" + (f", and so do {len(names) - 1} more" if len(names) > 1 else "")
