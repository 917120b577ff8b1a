"""The notation in which operators are declared, read like einops.

``"n (g c) *_, (g m) c *_, (g m)? -> n (g m) *_"`` says of a convolution: the input has axes ``n``, a product of ``g``
and ``c``, and any number of pinned ones; the same letter is the same axis; a letter missing on the right is contracted.

==========  ===========================================================================================
``n``       one axis
``(g c)``   one axis that is a product, outer to inner
``*s``      a run of any number of axes, the same run wherever the name stands
``_``       one axis that is pinned; ``*_`` any number of them
``1``       one axis of length 1 (outputs only)
``~`` ...   the operand broadcasts as in numpy: aligned at the right, axes missing or of length 1 allowed
``?``       the operand may be missing
``...``     the last operand repeats as often as the node has inputs
==========  ===========================================================================================
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from functools import cached_property

TOKEN = re.compile(r"\(([a-z ]+)\)|(\*?[a-z]+|\*?_|1)")


@dataclass(frozen=True)
class Term:
    """One axis, or one run of axes, of an operand: the letters of a product, ``_`` for pinned, ``1`` for length 1."""

    letters: tuple[str, ...]
    run: bool = False

    @property
    def pinned(self) -> bool:
        """Whether the axes are pinned by the declaration."""
        return self.letters == ("_",)


@dataclass(frozen=True)
class Operand:
    """The axes of one input or output."""

    terms: tuple[Term, ...]
    optional: bool = False
    broadcast: bool = False

    @cached_property
    def letters(self) -> frozenset[str]:
        """The letters that name axes here."""
        return frozenset(letter for term in self.terms for letter in term.letters) - {"_", "1"}


@dataclass(frozen=True)
class Pattern:
    """A whole declaration: what the axes of the inputs say about the axes of the outputs."""

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    repeats: bool = False

    def operand(self, slot: int) -> Operand | None:
        """Return the operand that input ``slot`` must match, or None when the declaration has none for it."""
        if slot < len(self.inputs):
            return self.inputs[slot]
        return self.inputs[-1] if self.repeats else None

    @cached_property
    def contracted(self) -> frozenset[str]:
        """The letters that stand on the left only."""
        left = frozenset[str]().union(*(operand.letters for operand in self.inputs))
        return left.difference(*(operand.letters for operand in self.outputs))


@functools.cache
def parse(text: str) -> Pattern:
    """Parse a declaration.

    Raises:
        ValueError: If the text is not in the notation above.
    """
    left, arrow, right = text.partition("->")
    if not arrow:
        raise ValueError(f"a declaration needs '->': {text!r}")
    repeats = "..." in left
    inputs = tuple(_operand(part) for part in left.replace("...", "").split(","))
    return Pattern(inputs, tuple(_operand(part) for part in right.split(",")), repeats)


def _operand(text: str) -> Operand:
    bare = text.strip().removeprefix("~").removesuffix("?").strip()
    terms = tuple(
        Term(tuple(group.split())) if group else Term((word.removeprefix("*"),), word.startswith("*"))
        for group, word in TOKEN.findall(bare)
    )
    if TOKEN.sub("", bare).strip():
        raise ValueError(f"not a list of axes: {text!r}")
    return Operand(terms, text.strip().endswith("?"), text.strip().startswith("~"))
