"""Numbers in a model that a network's own code may work out from a width that grew.

The scale of attention is one over the root of the length of a head, and some networks multiply embeddings by the root
of their width. In the file both are constants, and stay; code that works them out again from the larger width gets
others, and computes something else. Nothing in the file tells how a number was found, so every number is reported that
is such a power of a width that grew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

POWERS = (0.25, 0.5, 1.0)
LEAST = 5  # below, powers are numbers that anything may be
ANY = frozenset({0.5, 1.0, 2.0, 3.0})  # halves, squares and cubes, as in activations and norms
CLOSE = 1e-6  # of a number: float32


def derived(before: Mapping[str, float], after: Mapping[str, float], widths: Collection[int]) -> dict[str, float]:
    """Return which numbers stay that are a power of a width that grew, or one over it, by node and slot.

    Args:
        before: All numbers that nodes have of their own, in the teacher.
        after: The same in the student.
        widths: The sizes, in the teacher, of what grew.
    """
    powers = [width**power for width in set(widths) if width >= LEAST for power in POWERS]
    stay = {name: number for name, number in before.items() if after.get(name) == number and _scales(name, number)}
    return {
        name: number
        for name, number in stay.items()
        if any(abs(each - root) <= CLOSE * root for root in powers for each in (number, 1 / number))
    }


def _scales(name: str, number: float) -> bool:
    """Say whether a number is an operand, or a scale: no slope of an activation, and no epsilon."""
    last = name.rpartition(".")[2]
    return isinstance(number, float) and number > 0 and number not in ANY and (last.isdecimal() or last == "scale")
