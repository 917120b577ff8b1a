"""The assertion that two models compute the same, for tests of any kind: pytest is not needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from onnx_n2n import exact as exact_check
from onnx_n2n.testing import messages
from onnx_n2n.verification.sessions import AnyModel, short
from onnx_n2n.verification.verdict import Verdict, verify

Feeds = Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | str | os.PathLike[str]

DIFFERENT = "the student does not compute what the teacher computes"
UNKNOWN = "it cannot be told whether the student computes what the teacher computes"


def assert_same_function(
    teacher: AnyModel, student: AnyModel, *, inputs: Feeds | None = None, exact: bool = False
) -> None:
    """Assert that a student computes what its teacher computes, within the teacher's own rounding error.

    >>> onnx_n2n.testing.assert_same_function("model.onnx", "model.onnx")

    Args:
        teacher: The model that is right: a path, bytes, a ``ModelProto``, a graphsurgeon ``Graph`` or an ``ir.Model``.
        student: The model to judge.
        inputs: A feed, or several, or an npz file of one; without one, they are drawn to fit the teacher.
        exact: Whether to make the exact check instead, for every input and without ONNX Runtime.

    Raises:
        AssertionError: It does not, or the exact check cannot decide. The message shows each output that is off, by how
            much, the teacher's rounding error, and the first tensor that differs.
        N2NError: It cannot be asked: there is no model, or no such input, or no ONNX Runtime is installed, or rounding
            decides what the teacher gives.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    options: dict[str, Any] = {"exact": exact, "trace": not exact, "inputs": inputs}
    verdict: Verdict | exact_check.Verdict = verify(teacher, student, **options)
    if isinstance(verdict, Verdict):
        if not verdict:
            raise AssertionError("\n  ".join([DIFFERENT, *_lines(verdict)]))
    elif not verdict:
        raise AssertionError(f"{UNKNOWN if verdict.state == 'undecided' else DIFFERENT}\n  {verdict}")


def _lines(verdict: Verdict) -> Iterator[str]:
    """What a verdict says of a student that is not the same."""
    yield from messages.interface(verdict.differences, "teacher", "student")
    yield from messages.outputs(verdict.outputs, verdict.differences)
    yield from (f"{each.what}: {each.why}" for each in verdict.tried if each.same is False)
    if verdict.first_wrong is not None:
        unknown = verdict.first_wrong.removeprefix("unknown: ")
        yield f"first tensor that differs: {verdict.wrong or f'not known ({unknown})'}"
    yield f"on {short(verdict.provider)}; inputs {verdict.inputs}"
