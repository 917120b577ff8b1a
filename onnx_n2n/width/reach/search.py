"""Which groups may have fresh channels, and how large their rows may be."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from onnx_n2n.analysis.failures import RAISE
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Factor, Reason
from onnx_n2n.errors import N2NError
from onnx_n2n.record.mixture import MOST
from onnx_n2n.width.folding import folds
from onnx_n2n.width.mixing import Mixing
from onnx_n2n.width.reach.formulas import BOUNDS, FRESH
from onnx_n2n.width.reach.magnitudes import Magnitudes
from onnx_n2n.width.reach.reach import Gain
from onnx_n2n.width.reach.reading import steep
from onnx_n2n.width.reach.walk import Walk, Walked

LEAST = 1 / 1024  # of the teacher's rows; Adam learns as fast from small rows, but half precision holds no smaller ones
WIDE = 1e38  # what numbers of 32 bits come to, and of 16 as bfloat16
SHARE = 3 / 4  # of the largest number: what mixtures may come to
Found = TypeVar("Found")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fits:
    """That a group may have fresh channels.

    Attributes:
        most: What the weights of a mixture may sum to, in absolute value; float64[n], one for each channel that is
            its first, or a number for all.
        positive: Whether all of them must be above zero.
        gentle: Whether there is room on the way, as in 32 bits and not in half precision, and nothing grows faster than
            a cube. Then numbers somewhat larger than the teacher's, as of weights that are drawn, stay in range too.
    """

    most: Gain
    positive: bool
    gentle: bool


class Reaches:
    """Which factors may have fresh channels.

    A bug in here costs no more than that: groups whose ranges it spoils get copies, and are told why.

    Args:
        analysis: What the model's axes are made of.

    Raises:
        Exception: What a bug in the analysis of ranges raises, when the environment asks for it (:data:`RAISE`), and
            what is no bug: the model's data cannot be read, or there is not enough memory. So does :meth:`of`.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._logged: set[str] = set()
        self._model = self._tried(
            lambda: Walked(analysis, Mixing(analysis), folds(analysis), Magnitudes(analysis, BOUNDS), FRESH)
        )

    def of(self, factor: Factor) -> Fits | Reason:
        """Say whether a factor may have fresh channels; else why not: the first node that may lead out of the range."""
        model = self._model
        return model if isinstance(model, Reason) else self._tried(lambda: self._walked(model, factor))

    def _walked(self, model: Walked, factor: Factor) -> Fits | Reason:
        reason: Reason | None = None
        for positive in (False, True):  # signs of both kinds are worth more than larger rows
            walk = Walk(model, factor, positive=positive)
            found = walk.run(SHARE / LEAST)
            if not isinstance(found, Reason):
                return Fits(np.minimum(MOST, SHARE / np.maximum(found, SHARE)), positive, _gentle(walk))
            reason = reason or found
        assert reason is not None
        return reason

    def _tried(self, work: Callable[[], Found]) -> Found | Reason:
        """Return what some work finds, or that it failed."""
        try:
            return work()
        except (N2NError, OSError, MemoryError):
            raise
        except RecursionError:
            return Reason("the model is nested too deep for its ranges to be followed")
        except Exception as error:
            if os.environ.get(RAISE):
                raise
            said = f"the analysis of ranges failed, which is a bug ({type(error).__name__}: {error})"
            if said not in self._logged:  # one line, since it may fail for many groups
                self._logged.add(said)
                logger.warning("%s; groups get copies instead of fresh channels", said)
            logger.debug("%s", said, exc_info=error)
            return Reason(said)


def _gentle(walk: Walk) -> bool:
    roomy = all(walk.magnitudes.largest(value) >= WIDE for node in walk.slots for value in node.outputs)
    return roomy and not any(steep(walk.analysis, node) for node in walk.slots)
