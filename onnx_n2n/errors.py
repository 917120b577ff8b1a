"""Typed errors: each is one paragraph for the person who will read it.

The reason comes first, then the place (node, operator, shapes), then what to do about it. Each class carries the exit
code with which the command line ends when the error reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


class N2NError(Exception):
    """Base of every error that this project raises on purpose.

    Args:
        reason: What is wrong, as a sentence without its full stop.
        node: Name of the node concerned.
        operator: Operator type of that node, such as ``Conv``.
        shapes: Shapes or sizes that a reader needs in order to see the problem.
        hint: What to do, as a sentence without its full stop.
    """

    exit_code = 3

    def __init__(
        self, reason: str, *, node: str = "", operator: str = "", shapes: str = "", hint: str = ""
    ) -> None:
        self.reason, self.node, self.operator, self.shapes, self.hint = reason, node, operator, shapes, hint
        place = " ".join(word for word in (operator, f"node {node!r}" if node else "") if word)
        details = ", ".join(part for part in (place, shapes) if part)
        sentence = reason + (f" ({details})" if details else "")
        super().__init__(". ".join(part for part in (sentence, hint[:1].upper() + hint[1:]) if part) + ".")

    def __reduce__(self) -> tuple[Callable[..., N2NError], tuple[type[N2NError], Mapping[str, str]]]:
        """Say how to make the error again in another process."""
        parts = {"node": self.node, "operator": self.operator, "shapes": self.shapes, "hint": self.hint}
        return _again, (type(self), {"reason": self.reason, **parts})


def _again(kind: type[N2NError], parts: Mapping[str, str]) -> N2NError:
    return kind(**parts)


class OptionError(N2NError):
    """An option or argument has no meaning: a factor below 1, an output that exists already."""

    exit_code = 2


class ModelError(N2NError):
    """The model cannot be read, is not valid ONNX, or cannot be written."""


class KernelError(ModelError):
    """ONNX Runtime has no kernels to run the model here, as those of bfloat16 on a CPU."""


class GrowthError(N2NError):
    """The model is fine, but nothing in it can grow as asked."""


class InputError(N2NError):
    """The teacher cannot be run on the inputs that were given or drawn."""


class RunError(InputError):
    """ONNX Runtime fails on one feed; it may run on another one."""


class TimeLimitError(InputError):
    """One run of a model took longer than is allowed, and was stopped. No other feed is tried."""


class MemoryShortageError(InputError):
    """There is not enough memory to run the models."""


class ExportError(N2NError):
    """The model cannot be carried to a framework: an operator has no counterpart there, or the framework is missing."""


class VerificationError(N2NError):
    """The student does not compute what the teacher computes; nothing was written."""

    exit_code = 1


class EnvironmentWarning(RuntimeWarning):
    """What is installed may not do what it should; its text is a sentence, as those of errors are."""


class LeftOutWarning(UserWarning):
    """Something was left out of a student, which is wrong with it: a bug of ours. Its text names it and a command."""


class NotApplicable(Exception):  # noqa: N818 - an answer, not an error
    """A way of growing cannot be used at one place, for this reason; another way, or none, is taken there."""


@contextmanager
def told(failure: str) -> Iterator[None]:
    """Say in one sentence what went wrong in libraries that raise whatever comes up: for a block, or a function."""
    try:
        yield
    except N2NError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # the IR wraps the reason once for each level of the model
            cause = cause.__cause__
        said = f"there is no {cause}" if isinstance(cause, KeyError) else str(cause).strip() or type(cause).__name__
        reason = said.splitlines()[0][:200].rstrip(".")
        raise ModelError(f"{failure}: {reason}") from error
