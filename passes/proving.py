"""What shows that a student is right: a run of both models, the exact check, or both; and what if they contradict.

The exact check is made with the record of the change, where it is asked for, or cheap. Where there is no ONNX Runtime,
or it cannot run the models for want of memory or of kernels, it is all there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from onnx_n2n.errors import KernelError, MemoryShortageError, N2NError, VerificationError
from onnx_n2n.exact.limit import too_long
from onnx_n2n.passes.report import Change
from onnx_n2n.record.record import Record
from onnx_n2n.verification.options import Proof
from onnx_n2n.verification.runtime import INSTALL

if TYPE_CHECKING:
    from onnx_n2n.exact import Verdict as Exactly
    from onnx_n2n.verification import Verdict

CHEAP = 10.0  # seconds that nobody has asked for
WAITS = "; `exact=True` waits for it"
LARGEST = 1 << 23  # weights of both models with which the check can be done by then

INSTEAD = "verify it on another machine, with `onnx_n2n.verify`"
NO_RUNTIME = N2NError("there is no ONNX Runtime to verify the student with", hint=INSTALL)
REPORTED = "nothing was written. This is a bug in onnx-n2n: please report it with the model"


@dataclass(frozen=True, eq=False)
class Proven:
    """What was found out about a student.

    Attributes:
        verdict: What running both models showed; None if they were not run.
        exact: What the exact check says; None if it was not made.
        unrun: Why they could not be run; None if they were, or need not be.
    """

    verdict: Verdict | None = None
    exact: Exactly | None = None
    unrun: N2NError | None = None

    @property
    def why(self) -> str:
        """The same as a sentence without its full stop; empty if there is nothing to say."""
        return "" if self.unrun is None else self.unrun.reason

    @property
    def failure(self) -> VerificationError | None:
        """What is wrong with the student, in the words of both; None if nothing is.

        Raises:
            N2NError: Nobody knows.
        """
        run, exact = self.verdict, self.exact
        if run is not None and not run.ok:
            but = f". But the exact check says: {exact.sentence}" if exact else ""
            return VerificationError(_apart(run) + but, hint=REPORTED)
        if exact is None or exact.state == "equal":
            return None
        if exact.state == "different":
            said = "the student does not compute what the teacher computes"
            if run is not None:
                said = f"running both models shows no difference ({run.short}), but the exact check does"
            return VerificationError(f"{said}: {exact.sentence}", hint=REPORTED)
        if run is None:
            unrun = self.unrun or NO_RUNTIME
            hint = f"{unrun.hint}. Or go without with `verify=False`"
            raise type(unrun)(f"{unrun.reason}, and the exact check says: {exact.sentence}", hint=hint)
        return None


def attempted(run: Callable[[], Verdict], proof: Proof) -> tuple[Verdict | None, N2NError | None]:
    """Run both models, or say why they cannot be run where the exact check may verify instead.

    Args:
        run: Runs them.
        proof: What is asked for.

    Raises:
        N2NError: They cannot be run and have to be, or running them fails for another reason.
    """
    if not proof.runs:
        return None, NO_RUNTIME
    try:
        return run(), None
    except (KernelError, MemoryShortageError) as failure:
        if not proof.replaceable:
            raise
        return None, type(failure)(failure.reason, hint=INSTEAD)


def checked(
    teacher: Any, student: Any, change: Change, record: Record, proof: Proof, *, weights: int, alone: bool
) -> Exactly:
    """Make the exact check of a student; whatever keeps it from an answer is a reason to be undecided.

    Args:
        teacher: The teacher.
        student: The student, as it is written.
        change: What was done.
        record: The record of that.
        proof: What is asked for.
        weights: How many weights both models have.
        alone: Whether there is no run beside it, so that it has to be made however long it takes.
    """
    # It takes its time to load, and only this needs it.
    from onnx_n2n.exact import Verdict as Found
    from onnx_n2n.verification.exactly import exactly

    seconds = math.inf if alone or proof.exact else CHEAP
    if weights > LARGEST and math.isfinite(seconds):
        return Found("undecided", reason=too_long(seconds) + WAITS)
    try:
        found = exactly(
            teacher, student, shapes=proof.shapes, gained=change.gained, record=record, folder=None, running={},
            seconds=seconds, tensors=change.tensors,
        )  # fmt: skip
        return replace(found, reason=found.reason + WAITS) if found.reason == too_long(seconds) else found
    except N2NError as failure:
        return Found("undecided", reason=failure.reason)
    except Exception as bug:  # of the check, which says nothing of the student
        return Found("undecided", reason=f"the check itself fails ({type(bug).__name__}: {bug})")


def _apart(verdict: Verdict) -> str:
    wrong = f"; the first tensor that is wrong is {verdict.first_wrong}" if verdict.first_wrong else ""
    return (
        f"the student does not compute what the teacher computes: error {verdict.error:.1e} against the teacher's "
        f"{verdict.rounding}{wrong}"
    )
