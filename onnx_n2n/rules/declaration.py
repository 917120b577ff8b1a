"""A rule made from a pattern: how the letters of a declaration become ties, contractions and limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from onnx_n2n.axes.algebra import UNIT, Axis, axis_of, blame, is_unit, pin, product, size
from onnx_n2n.axes.unify import UNSAID, Misaligned, split_product
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.notation import Operand, Pattern, Term, parse
from onnx_n2n.rules.obligations import Summand

WINDOW = "the operator looks at neighbouring places along this axis"
PARTIAL = "it is not defined for every number"
FIXED = "the operator has a fixed number of parts here"


@dataclass(frozen=True)
class Declaration:
    """A pattern with what it cannot say by letters alone.

    Attributes:
        pattern: The axes of inputs and outputs.
        sizes: Letters whose size is a number, which stays, or is stated by an attribute, which grows with the letter.
        even: Letters over which the operator takes a mean.
        maximum: Letters over which it takes a maximum.
        pinned: Letters that may not grow.
        partial: Whether the operator is not defined everywhere, so that new channels must be copies.
        why: Why axes are pinned that the pattern pins.
        text: The pattern as it was written.
    """

    pattern: Pattern
    sizes: Mapping[str, str | int] = field(default_factory=dict)
    even: frozenset[str] = frozenset()
    maximum: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    partial: bool = False
    why: str = WINDOW
    text: str = ""

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        sizes: Mapping[str, str | int] | None = None,
        even: str = "",
        maximum: str = "",
        pinned: str = "",
        partial: bool = False,
        why: str = WINDOW,
    ) -> Declaration:
        """Parse a pattern, with letters separated by blanks, and check that every contracted one has a meaning.

        Raises:
            ValueError: If a letter stands on one operand only, is contracted, and no keyword says how.
        """
        pattern = parse(text)
        means, maxima, fixed = (frozenset(letters.split()) for letters in (even, maximum, pinned))
        fixed |= {letter for letter, stated in (sizes or {}).items() if isinstance(stated, int)}
        for letter in pattern.contracted - means - maxima - fixed:
            if sum(letter in operand.letters for operand in pattern.inputs) < 2:
                raise ValueError(f"{letter!r} is contracted on one operand in {text!r}: say how")
        return cls(pattern, sizes or {}, means, maxima, fixed, partial, why, text)

    @property
    def meaning(self) -> str:
        """What the pattern does not say, in words."""
        said = [f"`{letter}` is `{stated}`" for letter, stated in self.sizes.items()]
        kinds = {"mean over": self.even, "maximum over": self.maximum, "pinned:": self.pinned}
        said += [f"{kind} {' '.join(f'`{letter}`' for letter in sorted(of))}" for kind, of in kinds.items() if of]
        return "; ".join([*said, *["copies only"] * self.partial])

    def __call__(self, context: Context) -> None:
        """Apply the declaration to a node."""
        letters = _Letters(context, self.sizes, self.why)
        matched: dict[int, list[tuple[Term, Axis]]] = {}
        unknown: dict[int, Operand] = {}
        for slot in range(max(len(context.node.inputs), len(self.pattern.inputs))):
            operand = self.pattern.operand(slot)
            if operand is None:
                raise Refusal(f"input {slot} is not covered by its declaration")
            if not context.has(slot):
                if not operand.optional:
                    raise Refusal(f"input {slot} is missing")
            elif context.rank_known(slot):
                matched[slot] = letters.match(operand, context.axes(slot))
            else:
                unknown[slot] = operand
        for slot, operand in unknown.items():
            letters.guess(operand, slot)
        self._limit(context, letters)
        self._contract(context, letters, matched)
        for slot, operand in enumerate(self.pattern.outputs[: len(context.node.outputs)]):
            context.result(letters.build(operand, context.inferred(slot)), slot)

    @cached_property
    def summed(self) -> tuple[str, ...]:
        """The letters over which products are summed."""
        return tuple(sorted(self.pattern.contracted - self.even - self.maximum - self.pinned))

    def _limit(self, context: Context, letters: _Letters) -> None:
        for letter, axis in letters.everything():
            if letter in self.even:
                context.require_even(axis, "it takes a mean over this axis")
            if letter in self.maximum:
                context.require_copies(axis, "it takes a maximum over this axis")
            if letter in self.pinned:
                context.pin(axis, FIXED if isinstance(self.sizes.get(letter), int) else self.why)
            if self.partial:
                context.require_copies(axis, PARTIAL)
        for letter, stated in self.sizes.items():
            if isinstance(stated, str) and letter not in self.pinned:
                context.require_length(stated, None, letters.single[letter])

    def _contract(self, context: Context, letters: _Letters, matched: dict[int, list[tuple[Term, Axis]]]) -> None:
        for letter in self.summed:
            if letter not in letters.single:
                raise Refusal("it sums over several axes at once")
            summands = []
            for slot, axes in matched.items():
                for position, (term, axis) in enumerate(axes):
                    if term.letters == (letter,):
                        summands.append(Summand(slot, position, ((axis, True),)))
                    elif letter in term.letters:
                        parts = tuple((letters.single[part], part == letter) for part in term.letters)
                        summands.append(Summand(slot, position, parts))
            context.contract(summands)


class _Letters:
    """What each letter of a pattern stands for at one node."""

    def __init__(self, context: Context, sizes: Mapping[str, str | int], why: str) -> None:
        self._context, self._why = context, why
        self.single: dict[str, Axis] = {}
        self.runs: dict[str, list[Axis]] = {}
        self._pinned_run = 0  # length of the pinned run of the first operand
        self._stated = {
            letter: stated if isinstance(stated, int) else int(context.attribute(stated, 1))
            for letter, stated in sizes.items()
        }

    def everything(self) -> list[tuple[str, Axis]]:
        """Return every axis with the letter it has."""
        return [*self.single.items(), *((letter, axis) for letter, run in self.runs.items() for axis in run)]

    def match(self, operand: Operand, axes: tuple[Axis, ...]) -> list[tuple[Term, Axis]]:
        """Match the axes of an operand, and return each axis with its term."""
        pairs = list(zip(self._spread(operand, len(axes)), axes, strict=True))
        self._pinned_run = self._pinned_run or sum(term.run and term.pinned for term, _ in pairs)
        for term in operand.terms:
            if term.run and not term.pinned:
                self._run(term.letters[0], [axis for other, axis in pairs if other is term], operand.broadcast)
        for term, axis in pairs:
            if term.pinned:
                self._context.pin(axis, self._why)
            elif not term.run and not (operand.broadcast and is_unit(axis) and set(term.letters) <= self.single.keys()):
                self._product(term.letters, axis)
        return pairs

    def guess(self, operand: Operand, slot: int) -> None:
        """Take what the other operands say about one whose rank is unknown, and pin all of it.

        Of one that broadcasts, they say nothing: its rank may be higher than theirs.
        """
        refusal = self._context.unknown_rank(slot)
        reason = refusal.cause or self._context.reason("it meets a tensor of unknown shape here")
        for term in operand.terms:
            if term.run and not term.pinned and (operand.broadcast or term.letters[0] not in self.runs):
                raise refusal
            for letter in term.letters if not term.pinned else ():
                for axis in self.runs[letter] if term.run else [self.single.setdefault(letter, axis_of(None, reason))]:
                    pin(axis, reason)

    def build(self, operand: Operand, inferred: tuple[int | None, ...] | None) -> list[Axis]:
        """Return the axes of an output."""
        built: list[Axis] = []
        for place, term in enumerate(operand.terms):
            after = len(operand.terms) - place - 1
            if term.letters == ("1",):
                built.append(UNIT)
            elif term.pinned and term.run:
                unknown = (None,) * self._pinned_run
                known = unknown if inferred is None else inferred[len(built) : len(inferred) - after]
                built += [self._context.pinned_axis(length, self._why) for length in known]
            elif term.pinned:
                length = inferred[len(built)] if inferred is not None and len(built) < len(inferred) else None
                built.append(self._context.pinned_axis(length, self._why))
            elif term.run:
                built += self.runs[term.letters[0]]
            elif self.single.keys() >= set(term.letters):
                built.append(product(*(self.single[letter] for letter in term.letters)))
            else:
                raise Refusal("an axis of its result is on no operand")
        return built

    def _spread(self, operand: Operand, rank: int) -> list[Term]:
        """Return one term for every axis, repeating the run."""
        runs = [term for term in operand.terms if term.run]
        fixed = len(operand.terms) - len(runs)
        spare = rank - fixed
        if len(runs) > 1:
            raise Refusal("its declaration has two runs side by side")
        if operand.broadcast and spare < 0:
            return list(operand.terms)[-rank:] if rank else []
        if spare < 0 or (spare and not runs):
            raise Refusal(f"an operand has rank {rank}, its declaration {fixed}{' or more' if runs else ''}")
        return [term for term in operand.terms for _ in range(spare if term.run else 1)]

    def _run(self, letter: str, axes: list[Axis], broadcast: bool) -> None:
        known = self.runs.get(letter)
        if known is None:
            self.runs[letter] = list(axes)
        elif broadcast:
            self.runs[letter] = self._context.align(known, axes)
        else:
            if len(known) != len(axes):
                raise Refusal("operands differ in rank")
            for one, other in zip(known, axes, strict=True):
                self._context.tie(one, other)

    def _product(self, letters: tuple[str, ...], axis: Axis) -> None:
        """Match one axis with the product of ``letters``, of which all but one must have a known size."""
        sizes = [self._size(letter) for letter in letters]
        if len(letters) > 1 and size(axis) is None:
            cause = blame(axis)
            parts = [self.single.setdefault(letter, axis_of(n)) for letter, n in zip(letters, sizes, strict=True)]
            for each in (axis, *parts):
                text = "its length is known only at run time, so that its parts cannot be told apart"
                self._context.pin(each, text, cause)
            return
        for place, letter in enumerate(letters):
            head: Axis
            if place == len(letters) - 1:
                head, axis = axis, UNIT
            else:
                width = sizes[place]
                if width is None:
                    rest = math.prod(known or 0 for known in sizes[place + 1 :])
                    length = size(axis)
                    if not rest or length is None or length % rest:
                        raise Refusal("the parts of an axis cannot be told apart")
                    width = length // rest
                try:
                    reason = self._context.crossing(axis) if width > 1 else UNSAID
                    head, axis = split_product(axis, width, reason)
                except Misaligned:
                    raise Refusal(f"{self._context.described(axis)} does not split into {width} parts") from None
            if letter in self.single:
                self._context.tie(self.single[letter], head)
            else:
                self.single[letter] = head

    def _size(self, letter: str) -> int | None:
        return size(self.single[letter]) if letter in self.single else self._stated.get(letter)
