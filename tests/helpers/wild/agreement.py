"""The exact check and a run in ONNX Runtime, each asked about the same student: whether they contradict each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import onnx
from onnx import numpy_helper

from helpers.wild.judge import UNRUN, Judge, tensors_of
from onnx_n2n.exact.pair import Pair
from onnx_n2n.exact.verdict import Verdict
from onnx_n2n.verification.verdict import verify

CHANGE = 1e-2  # by which one weight of a student is changed, relative
ENLARGED = 1.0  # by which it is changed instead to see that it has no part, where both say that nothing differs


@dataclass(frozen=True)
class Agreement:
    """What both say of one student, or of one in which a weight has been changed.

    Attributes:
        way: How it grew.
        changed: Which weight has been changed, or nothing.
        failure: What is wrong with it in ONNX Runtime, or nothing.
        state: The exact check's verdict.
        why: The operator and the reason of that verdict, where it is not "equal".
        seconds: How long the check took.
    """

    way: str
    changed: str
    failure: str
    state: str
    why: str
    seconds: float

    @property
    def contradiction(self) -> str:
        """What the two contradict each other in, or what is wrong with the student of a pass; or nothing.

        A change that hardly moves an output is no such case.
        """
        if self.failure and not self.changed and self.state != "equal":
            return f"{self.way}: WRONG STUDENT, which the check does not call equal: {self.failure}"
        if self.failure and self.state == "equal":
            return f"{self.way}: FALSE EQUAL, {self.changed or 'not changed'}: {self.failure}"
        if not self.failure and not self.changed and self.state == "different":
            return f"{self.way}: FALSE DIFFERENT: {self.why}"
        return ""


def agreements(way: str, model: onnx.ModelProto, result: Any, judge: Judge, seed: int) -> list[Agreement]:
    """Ask both about a student, and about the same one with one weight changed: whether that is still equal."""
    found = [_asked(way, "", model, result.model, result, judge)]
    changed, name = _changed(result.model, seed, CHANGE)
    if name:
        unequal = Verdict("undecided", reason="it is not equal")  # a witness is not looked for: that takes long
        with mock.patch.object(Pair, "explained", return_value=unequal):
            found.append(_asked(way, name, model, changed, result, judge))
        if found[-1].state == "equal" and not found[-1].failure:
            failure = judge.failure(_changed(result.model, seed, ENLARGED)[0])
            if not failure.startswith(UNRUN):  # as of a scale of Resize, which makes another shape now
                found[-1] = replace(found[-1], failure=failure)
    return found


def _asked(
    way: str, changed: str, model: onnx.ModelProto, student: onnx.ModelProto, result: Any, judge: Judge
) -> Agreement:
    verdict = verify(model, student, exact=True, record=result.growth)
    why = f"{verdict.operator}: {verdict.reason}" if verdict.state != "equal" else ""
    return Agreement(way, changed, judge.failure(student), verdict.state, why, verdict.seconds)


def _changed(student: onnx.ModelProto, seed: int, change: float) -> tuple[onnx.ModelProto, str]:
    """Return a model in which a number that is not 0 is another, and which one; nothing where there is none."""
    rng = np.random.default_rng([seed, 3])
    model = onnx.ModelProto.FromString(student.SerializeToString())
    weights = [each for each in tensors_of(model) if each.data_type == onnx.TensorProto.FLOAT]
    weights = [each for each in weights if numpy_helper.to_array(each).any()]
    if not weights:
        return model, ""
    tensor = weights[int(rng.integers(len(weights)))]
    array = numpy_helper.to_array(tensor).copy()
    place = int(rng.choice(np.flatnonzero(array)))
    array.flat[place] *= np.float32(1 + change)
    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(array, name))
    return model, f"element {place} of {name!r} changed"
