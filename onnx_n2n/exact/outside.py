"""What a student takes functions of and its teacher does not, where nothing shows that they are defined.

Residues know no domain: a logarithm of any number, times a weight of 0, is 0 to them. So wherever the teacher
is defined, the student has to be: it takes a function only of numbers that the teacher takes one of that is defined
nowhere else, or of numbers whose range shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from onnx_n2n.exact.domains import BUT_ZERO, Domain
from onnx_n2n.exact.field import Field
from onnx_n2n.exact.lengths import Named
from onnx_n2n.exact.ranges import Asked, Open
from onnx_n2n.exact.world import ROW

# What a function is called when it is taken of numbers, and when it is not.
SAID = {
    "Mod": ("divides by", "does not divide by"),
    "Pow": ("takes a power of", "takes no power of"),
    "Quotient": ("divides by", "does not divide by"),
    "Reciprocal": ("divides by", "does not divide by"),
    "Rsqrt": ("divides by the root of", "does not divide by the root of"),
    "Sqrt": ("takes the root of", "takes no root of"),
    "Total": ("adds", "does not add"),
}
Found = dict[Asked, list[np.ndarray]]
DIVISION = Open("Reciprocal", "", "", 1, BUT_ZERO)  # also by a root, which is one over what `Rsqrt` gives


@dataclass
class Outside:
    """What has to be compared in runs of two models at some shapes.

    Args:
        open: Of teacher and student, functions of numbers for which nothing shows that they are defined.
        asked: Fingerprints of these numbers in the last runs.
    """

    open: tuple[Mapping[Asked, Open], Mapping[Asked, Open]] = ({}, {})
    asked: list[Found] = field(default_factory=lambda: [{}, {}])

    def watch(self, world: Field, side: int) -> None:
        """Keep what the next run asks for: of the teacher (0), if there is anything to compare, or the student (1)."""
        world.wanted = self.open[side] if self.open[1] else {}
        world.asked = self.asked[side] = {}

    def undefined(self) -> Open | None:
        """Return the first function that may not be defined where the teacher is, or None."""
        return next(self._left(overflow=False), None)

    def beyond(self) -> Iterator[Open]:
        """Return what may overflow where nothing does in the teacher."""
        return self._left(overflow=True)

    def _left(self, *, overflow: bool) -> Iterator[Open]:
        """Return what the student takes of numbers that the teacher does not."""
        for (node, name), prints in self.asked[1].items():
            what = self.open[1].get((node, name))
            if what is None or overflow is not (what.domain is None):
                continue
            roots = self.asked[1].get((node, "root"), []) if name == "Rsqrt" else []
            theirs, divisors = self._taken(what), self._taken(DIVISION) if roots else []
            if not all(
                _within(each, theirs) or any(_within(root, divisors) for root in roots[place : place + 1])
                for place, each in enumerate(prints)
            ):
                yield what

    def _taken(self, what: Open) -> list[np.ndarray]:
        """Return numbers that the teacher takes a function of that is no less strict.

        Dividing by the root of a number is dividing by what that root is.
        """
        return [
            each for asked, found in self.asked[0].items() for each in found if _as_strict(self._theirs(*asked), what)
        ]

    def _theirs(self, node: Named, name: str) -> Open:
        """Return what the teacher takes; of a root that it divides by, that is a division."""
        found = self.open[0][node, "Rsqrt" if name == "root" else name]
        return DIVISION if name == "root" and found.function == "Rsqrt" else found


def _as_strict(one: Open, two: Open) -> bool:
    if one.function == two.function:
        return True
    if one.domain is None or two.domain is None or one.arguments > 1 or two.arguments > 1:
        return False
    return one.domain.range.within(two.domain.range)


def _within(one: np.ndarray, others: list[np.ndarray]) -> bool:
    """Return whether all fingerprints, uint64[2, ...], are among others."""
    if any(one.shape == each.shape and (one == each).all() for each in others):
        return True
    if not others:
        return not one.size
    known = _words(np.concatenate([each.reshape(2, -1) for each in others], 1))
    return bool(np.isin(_words(one.reshape(2, -1)), known).all())


def _words(prints: np.ndarray) -> np.ndarray:
    """Return fingerprints, uint64[2, n], each once as one word of 16 bytes."""
    return np.unique(np.ascontiguousarray(prints.T).view("S16").reshape(-1))


def undefined_at(what: Open) -> str:
    """Say why a function keeps models from being called equal."""
    assert isinstance(what.domain, Domain)
    one, other = _said(what)
    return f"the student {one} numbers that the teacher {other}, and nothing shows that they are {what.domain.words}"


def _said(what: Open) -> tuple[str, str]:
    if what.function.startswith(ROW):
        return "looks up a row by", "looks up none by"
    return SAID.get(what.function, (f"takes the {what.function} of", f"takes no {what.function} of"))
