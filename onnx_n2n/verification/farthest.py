"""Where an output is furthest off, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_n2n.verification.differences import difference, form_of, is_real, laid_out, worst_of
from onnx_n2n.verification.yardstick import Yardstick


@dataclass(frozen=True)
class Farthest:
    """The entry of an output that is furthest off, for what is acceptable there.

    Attributes:
        feed: Which feed it is an answer to.
        index: Where it is; sequences and maps are laid end to end.
        truth: What the teacher has there.
        value: What the student has there.
    """

    feed: int
    index: tuple[int, ...]
    truth: Any
    value: Any


def farthest(stick: Yardstick, student: Sequence[Any]) -> Farthest | None:
    """Find the entry that decides a comparison; None where types, shapes or keys differ, or nothing does."""
    found: list[tuple[tuple[float, bool], Farthest]] = []
    for feed, (old, limit, value) in enumerate(zip(stick.truth, stick.limits, student, strict=True)):
        new = laid_out(value)
        if form_of(value) != stick.forms[feed]:
            return None
        gap = difference(old, new) if is_real(old) else np.asarray(old != new, float)
        if gap.any():
            worst, place = worst_of(gap, limit)
            index = tuple(map(int, place))
            found.append((worst, Farthest(feed, index, old[index], new[index])))
    return max(found, key=lambda pair: pair[0], default=(None, None))[1]
