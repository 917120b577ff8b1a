"""Shapes of inputs that are tried one after the other, until runs of both models decide."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx

from onnx_n2n.exact import sizes
from onnx_n2n.exact.lengths import Visit
from onnx_n2n.exact.pair import Misfit, Pair, Unread
from onnx_n2n.exact.survey import long
from onnx_n2n.exact.undecided import Emptied, Undecided
from onnx_n2n.exact.verdict import Verdict
from onnx_n2n.exact.watched import LARGEST, TooLarge

SECONDS = 60.0  # no further shapes are tried after so long
REPEATED = 12  # shapes that do not fit at one place for one reason, after which no more are tried
LARGE = 1 << 23  # numbers that a run makes, above which smaller images are tried first
FAR = (sizes.STRETCHED, 32, 8)  # by how much longer inputs are where it is looked for axes that become longer
LONGEST = 1 << 14  # rows of a table that a run may be made long enough for


def compared(pair: Pair, fixed: Mapping[str, tuple[int, ...]], started: float) -> Verdict:
    """Try shapes until a run of both models decides; say why not what came nearest to it.

    Images of a stated size that take long are tried smaller first: where no node states their size, all of them fit.
    """
    given = list(pair.teacher.inputs)
    relaxed = sizes.relaxed(given)
    if not fixed and relaxed != given and _large(pair, given):
        most = _size(next(sizes.attempts(given))[-1])
        less = (each for each in sizes.attempts(relaxed) if _size(each[-1]) < most)
        found = Tried(pair, relaxed, fixed, started).first(less)
        if found:
            return replace(found, declared=False)
    batches, others = sizes.names(given, fixed)
    if not batches and not others:
        pair = replace(pair, dead=True)  # there are no other shapes in which an element could have a part
    tried = Tried(pair, given, fixed, started, () if others else tuple(sizes.attempts(given, fixed)))
    if (found := tried.first(sizes.attempts(given, fixed))) is not None:
        return found
    lengths = () if not tried.unread else sorted({each for each in tried.unread[-1].shape if 1 < each <= LONGEST})
    for length in lengths:
        if (found := tried.first(sizes.attempts(given, fixed, reaching=length))) is not None:
            return found
    raise next(reversed(tried.unread), None) or tried.why or Undecided("no shapes were found that fit the inputs")


def _large(pair: Pair, given: Sequence[onnx.ValueInfoProto]) -> bool:
    """Return whether runs at the shapes that inputs declare make many numbers."""
    shapes = next(sizes.attempts(given), ({},))[0]
    try:
        return max(pair.survey(shapes, side).made for side in (0, 1)) > LARGE
    except Misfit as why:
        return isinstance(why.__cause__, TooLarge)


@dataclass
class Tried:
    """Shapes that have been tried.

    Args:
        pair: The models.
        inputs: Their inputs.
        fixed: Shapes of some inputs.
        started: When the check began.
        batches: All shapes that may be tried, where these differ in nothing but batches.
        why: Why the first ones did not decide.
        unread: What constants they left unread; this may be mended by larger ones.
    """

    pair: Pair
    inputs: Sequence[onnx.ValueInfoProto]
    fixed: Mapping[str, tuple[int, ...]]
    started: float
    batches: tuple[sizes.Attempt, ...] = ()
    why: Undecided | None = None
    unread: list[Unread] = field(default_factory=list)

    def first(self, attempts: Iterator[sizes.Attempt]) -> Verdict | None:
        """Return the verdict on the first shapes that decide."""
        last, times = None, 0
        for attempt in attempts:
            if time.monotonic() - self.started > SECONDS:
                break
            try:
                return self._on(self._least(attempt))
            except Unread as unread:
                self.unread.append(unread)
            except Undecided as why:
                self.why = self.why or why
                place = why.node, why.operator, why.reason
                times = times + 1 if place == last else 1
                if times == (REPEATED if isinstance(why, Misfit | Emptied) else 2) or isinstance(why, TooLarge):
                    break  # other lengths change nothing, or make it worse
                last = place
        return None

    def _least(self, attempt: sizes.Attempt) -> sizes.Attempt:
        """Return the smallest shapes, nearly in the same proportion, at which runs show as much: time grows with them.

        Raises:
            Undecided: If runs at the shapes themselves do not show enough.
        """
        for number, found in enumerate(sizes.smaller(self.inputs, self.fixed, attempt)):
            if not number:
                self.pair.lengths(attempt)
            if not self.pair.shows(found[-1], attempt):
                continue
            least, most = 0, len(found) - 1
            while least < most:
                middle = (least + most) // 2
                least, most = (least, middle) if self.pair.shows(found[middle], attempt) else (middle + 1, most)
            return found[least]
        return attempt

    def _on(self, attempt: sizes.Attempt) -> Verdict:
        """Return the verdict on some shapes, where what they leave unread may be so at any batch."""
        try:
            self.pair.lengths(attempt)
            attempt = (*attempt, *self._stretched(attempt))
            found = self.pair.on(attempt)
        except Unread:
            if not self._dead(attempt):
                raise
            attempt = (*attempt, *self._stretched(attempt))
            found = replace(self.pair, dead=True).on(attempt)
        if found.state != "equal":
            return found
        inputs = list(self.pair.teacher.inputs)
        level = list(sizes.level(inputs, self.fixed, attempt, alone=self.pair.large))
        for shapes in (*sizes.longer(inputs, self.fixed, attempt[0]), *level):
            if (why := self.pair.misfit(shapes)) is not None:
                return Verdict("undecided", shapes=attempt, node=why.node, operator=why.operator, reason=why.reason)
        for shapes in level:
            if (unlike := replace(self.pair, dead=True).unlike(shapes)) is not None:
                return unlike
        return found

    def _stretched(self, attempt: sizes.Attempt) -> Iterator[sizes.Shapes]:
        """Yield more shapes to run: the smallest in which axes are longer that are 1 or less at all of some.

        What is alone is its own sum, mean and maximum, and a Softmax makes 1 of it: a stride of 3 hides that at lengths
        of 2 and 3.
        """
        surveys = [self.pair.survey(shapes, 0) for shapes in attempt]
        known, visits = set().union(*map(long, surveys)), set().union(*(each.shapes for each in surveys))

        def gained(shapes: sizes.Shapes) -> set[tuple[Visit, int, int]] | None:
            try:
                return {axis for axis in long(self.pair.survey(shapes, 0)) - known if axis[0] in visits}
            except Misfit:
                return None

        for ascending in sizes.stretched(self.inputs, self.fixed, attempt[0]):
            far = next((at for at in FAR if gained(ascending[at - 1]) is not None), 0)
            wanted = gained(ascending[far - 1]) if far else None
            if wanted:
                yield ascending[bisect_left(range(far - 1), True, key=lambda at: gained(ascending[at]) == wanted)]

    def _dead(self, attempt: sizes.Attempt) -> bool:
        """Return whether what some batches leave unread is so at any: a large one has to leave it unread as well."""
        if self.pair.dead or not self.batches:
            return False
        made = max(self.pair.survey(attempt[0], side).made for side in (0, 1)) / _size(attempt[0])
        large = [shapes for each in self.batches for shapes in each if made * _size(shapes) < LARGEST]
        return self.pair.dead_at(*attempt, max(large, key=_size, default=attempt[0]))


def _size(shapes: sizes.Shapes) -> int:
    return sum(int(np.prod(each)) for each in shapes.values())
