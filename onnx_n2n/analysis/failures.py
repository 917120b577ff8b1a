"""What becomes of an exception in a rule itself: a log, a pin, and in tests an error."""

from __future__ import annotations

import logging
import os

import onnx_ir as ir

from onnx_n2n.axes.unify import Misaligned
from onnx_n2n.errors import N2NError
from onnx_n2n.rules.context import Context, Refusal

RAISE = "ONNX_N2N_RAISE"  # environment variable: when it is set, what a rule raises is not caught
NESTED = "it is nested too deep to be followed"

logger = logging.getLogger(__name__)


class Failures:
    """The rules that failed in one analysis."""

    def __init__(self) -> None:
        self._seen: set[ir.OperatorIdentifier] = set()

    def reason(self, context: Context, error: Exception) -> str:
        """Return why a node is pinned whose rule has raised ``error``; log it when that is a bug in the rule.

        Raises:
            Exception: ``error``, when the environment asks for it, or when the rule cannot be blamed: the model's data
                cannot be read, or there is not enough memory.
        """
        if isinstance(error, Refusal):
            return str(error)
        if isinstance(error, Misaligned):
            return "axes do not line up"
        if isinstance(error, RecursionError):
            return NESTED
        if isinstance(error, N2NError | OSError | MemoryError) or os.environ.get(RAISE):
            raise error
        said = f"its rule failed, which is a bug ({type(error).__name__}: {error})"
        operator = context.node.op_identifier()
        if operator not in self._seen:  # one line for each operator, since a model may have many such nodes
            self._seen.add(operator)
            logger.warning("%s; what the node touches is pinned", context.reason(said))
        logger.debug("%s", context.reason(said), exc_info=error)
        return said
