"""Teacher and student once through finite fields: equal outputs mean equal functions."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from onnx_n2n.exact import operators as _operators  # registers them
from onnx_n2n.exact import sizes
from onnx_n2n.exact.field import Field
from onnx_n2n.exact.files import File, load
from onnx_n2n.exact.interface import difference
from onnx_n2n.exact.run import Run
from onnx_n2n.exact.tensor import Map, Tensor, Value
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.verdict import Verdict

CERTAIN = 1e-12  # a verdict "equal" has at most this chance to be wrong
PRIMES = (5, 8)  # so many at first, and so many if their chance is too large
Model = onnx.ModelProto | Path | str

__all__ = ["CERTAIN", "Model", "check"]
assert _operators


def check(teacher: Model, student: Model, *, gained: Iterable[str] = ()) -> Verdict:
    """Say whether two models compute the same for every input of some shapes, in exact arithmetic.

    Raises:
        ModelError: If one of them cannot be read.
    """
    started = time.monotonic()
    one, two = load(teacher), load(student)
    if differs := difference(one, two, gained):
        return Verdict("different", reason=differs)
    try:
        found = _compared(one, two)
    except Undecided as why:
        found = Verdict("undecided", node=why.node, operator=why.operator, reason=why.reason)
    return replace(found, seconds=time.monotonic() - started)


def _compared(teacher: File, student: File) -> Verdict:
    why = None
    for shapes in sizes.attempts(list(teacher.inputs)):
        for count in PRIMES:
            try:
                found = _at(teacher, student, shapes, count)
            except Undecided as undecided:
                why = why or undecided
                break
            if found.chance is None or found.chance <= CERTAIN:
                return found
        else:
            return replace(found, state="undecided", reason=f"the chance of an error would be {found.chance:.1e}")
    assert why is not None
    raise why


def _at(teacher: File, student: File, shapes: sizes.Shapes, count: int) -> Verdict:
    field = Field(count)
    given: dict[str, Value] = {
        each.name: Tensor(
            each.type.tensor_type.elem_type, None,
            field.given(each.name, each.type.tensor_type.elem_type, shapes[each.name]),
        )
        for each in teacher.inputs
    }  # fmt: skip
    runs = Run(field, teacher), Run(field, student)
    results = [run.outputs(given) for run in runs]
    for name, value in results[0].items():
        if reason := _unequal(runs, value, results[1][name]):
            return Verdict("undecided", output=name, primes=count, shapes=(shapes,), reason=reason)
    for run in runs:
        if unread := run.reads.unread():
            name, places = next(iter(unread.items()))
            raise Undecided(f"{places} elements of {name!r} have no part in a run with these shapes")
    chance = field.comparisons.chance(field.primes, len(field.roots))
    return Verdict("equal", chance=chance, primes=count, shapes=(shapes,))


def _unequal(runs: tuple[Run, Run], one: Value, two: Value) -> str:
    """Say in what an output of both models differs, or return nothing; sequences and maps element by element."""
    if isinstance(one, list) and isinstance(two, list):
        if len(one) != len(two):
            return f"it has {len(one)} elements in the teacher and {len(two)} in the student"
        reasons = (_unequal(runs, *each) for each in zip(one, two, strict=True))
        return next((f"element {place}: {reason}" for place, reason in enumerate(reasons) if reason), "")
    if isinstance(one, Map) and isinstance(two, Map):
        return _unequal(runs, one.values, two.values) if one.labels == two.labels else "its labels differ"
    if one is None and two is None:
        return ""
    if not isinstance(one, Tensor) or not isinstance(two, Tensor):
        return "it is of another kind"
    if one.shape != two.shape:
        return f"it has the shape {one.shape} in the teacher and {two.shape} in the student"
    if one.type != two.type:
        return "its type differs"
    for run, each in zip(runs, (one, two), strict=True):
        run.read(each)
    first, second = runs[0].numbers(one), runs[1].numbers(two)
    field = runs[0].world
    field.comparisons.add("output", 1, first.bound.joined(second.bound))
    wrong = (first.values != second.values).any(0)
    return f"{np.mean(wrong):.0%} of its numbers are not shown to be equal" if wrong.any() else ""
